//! Attempts, delays and limits on time, compared with a model of them in every order of events,
//! also of those that fall on the same instant.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::testing::{TestDriver, VirtualClock, probe_source};
use millstream_operators::concurrent::TimedOut;
use millstream_operators::prelude::*;

use super::sleep;

const ATTEMPTS_MAX: usize = 3;
/// What an attempt does: so many milliseconds, and whether it succeeds then.
const OUTCOMES: usize = 8;

fn outcome(script: usize, attempt: usize) -> (u64, bool) {
    let digit = script / OUTCOMES.pow(u32::try_from(attempt).unwrap()) % OUTCOMES;
    (digit as u64 / 2, digit.is_multiple_of(2))
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    whole: Option<u64>,
    single: Option<u64>,
    attempts: u32,
    delay: u64,
}

fn too_late(millis: u64) -> String {
    TimedOut(Duration::from_millis(millis)).to_string()
}

/// What becomes of a value, when, and how often it was tried.
type Fate = (String, u64, usize);

fn model(script: usize, limits: Limits) -> Fate {
    let whole = limits.whole.unwrap_or(u64::MAX);
    let (mut now, mut failed) = (0, 0);
    loop {
        let (takes, succeeds) = outcome(script, failed);
        let (answer, single) = (now + takes, limits.single.map_or(u64::MAX, |limit| now + limit));
        let error = if answer <= single && answer <= whole {
            if succeeds {
                return (format!("done {failed}"), answer, failed + 1);
            }
            now = answer;
            "refused".to_owned()
        } else if single <= whole {
            let error = too_late(single - now);
            now = single;
            error
        } else {
            return (format!("{}, {}", too_late(whole), failed + 1), whole, failed + 1);
        };
        failed += 1;
        if failed == limits.attempts as usize || whole <= now {
            return (format!("{error}, {failed}"), now, failed);
        }
        now += limits.delay;
        if whole <= now {
            return (format!("{}, {failed}", too_late(whole)), whole, failed);
        }
    }
}

/// All scripts at once, each as a value.
fn run(limits: Limits) -> Vec<Fate> {
    let scripts = OUTCOMES.pow(u32::try_from(ATTEMPTS_MAX).unwrap());
    let fates = Arc::new(Mutex::new(vec![(String::new(), 0, 0); scripts]));
    let millis = Duration::from_millis;
    let flow = Dataflow::new("attempts");
    let (dead, letters) = flow.dead_letters("given up");
    let backoff = Backoff::default().with_initial(millis(limits.delay)).with_jitter(0.0);
    let backoff = backoff.with_factor(1.0).with_attempts(limits.attempts);
    let mut policy = CallPolicy::new(OnError::retry(backoff).or_dead_letter(&dead));
    if let Some(whole) = limits.whole {
        policy = policy.with_timeout(millis(whole));
    }
    if let Some(single) = limits.single {
        policy = policy.with_attempt_timeout(millis(single));
    }
    let driven = Arc::new(Mutex::new(None));
    let call = {
        let (fates, driven) = (Arc::clone(&fates), Arc::clone(&driven));
        move |script: usize| {
            let attempt = std::mem::replace(&mut fates.lock().unwrap()[script].2, 0);
            fates.lock().unwrap()[script].2 = attempt + 1;
            let (takes, succeeds) = outcome(script, attempt);
            let clock: VirtualClock = driven.lock().unwrap().clone().unwrap();
            async move {
                if takes > 0 {
                    sleep(&clock.clock(), takes).await;
                }
                if succeeds { Ok((script, attempt)) } else { Err(std::io::Error::other("refused")) }
            }
        }
    };
    let (input, factory) = probe_source::<usize>();
    let values = flow.source("scripts", factory).flat_map_iter(|scripts| 0..scripts);
    let note = |fates: &Arc<Mutex<Vec<Fate>>>, driven: &Arc<Mutex<Option<VirtualClock>>>| {
        let (fates, driven) = (Arc::clone(fates), Arc::clone(driven));
        move |script: usize, fate: String| {
            let now = driven.lock().unwrap().as_ref().unwrap().clock().now();
            let fates = &mut fates.lock().unwrap()[script];
            assert!(fates.0.is_empty(), "one fate and no more");
            (fates.0, fates.1) = (fate, u64::try_from(now.since_start().as_millis()).unwrap());
        }
    };
    let (done, gave_up) = (note(&fates, &driven), note(&fates, &driven));
    values
        .try_map_async_unordered(scripts, policy, call)
        .for_each(move |(script, attempt)| done(script, format!("done {attempt}")));
    letters.for_each(move |letter| {
        gave_up(letter.original, format!("{}, {}", letter.error, letter.attempts));
    });
    let options = JobOptions::default().with_publish_every(None).with_stall_warning(None);
    let mut driver = TestDriver::start_with(flow.blueprint(), &options).unwrap();
    *driven.lock().unwrap() = Some(driver.clock().clone());
    driver.push(&input, scripts);
    for _ in 0..20 {
        driver.advance(millis(1));
    }
    driver.end(&input);
    driver.finish().unwrap();
    let fates = fates.lock().unwrap();
    fates.clone()
}

#[test]
fn c7_attempts_do_what_their_model_does_also_where_events_meet() {
    for whole in [None, Some(0), Some(1), Some(2), Some(3), Some(5)] {
        for single in [None, Some(1), Some(2)] {
            for attempts in [1, 2, 3] {
                for delay in [0, 1, 2] {
                    let limits = Limits { whole, single, attempts, delay };
                    for (script, fate) in run(limits).into_iter().enumerate() {
                        let said: Vec<_> = (0..3).map(|at| outcome(script, at)).collect();
                        assert_eq!(fate, model(script, limits), "{limits:?} {said:?}");
                    }
                }
            }
        }
    }
}
