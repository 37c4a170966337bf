//! Tests of the gateway on virtual time: whatever crashes and whenever, each request is answered
//! once, and no service begins with one twice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread;

use futures::future::join_all;
use tokio::runtime::Builder;

use super::*;

/// The gateway without HTTP.
struct Gateway {
    requests: QueueHandle<Request>,
    crashes: Crashes,
    job: JobHandle,
}

impl Gateway {
    fn start<R>(serve: impl Fn(usize, String) -> R + Clone + Send + Sync + 'static) -> Self
    where
        R: Future<Output = Result<String, OperatorError>> + Send + 'static,
    {
        let (requests, queue) = source::queue(3 * WAITING);
        let crashes = Crashes::new();
        let options = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
        let options = options.with_publish_every(None).with_stall_warning(None);
        let job = graph(queue, &crashes, serve).start_with(&options).unwrap();
        Self { requests, crashes, job }
    }
}

fn sleep(millis: u64) -> impl Future<Output = ()> {
    Clock::system().sleep(Duration::from_millis(millis))
}

/// A service that is slow, fails, panics or hangs, by chance, and notes with what it has begun.
async fn unreliable(
    seed: u64,
    begun: Arc<Mutex<BTreeMap<String, u32>>>,
    body: String,
) -> Result<String, OperatorError> {
    *begun.lock().unwrap().entry(body.clone()).or_default() += 1;
    let mut random = Random::fork(seed, 1, body.parse()?);
    sleep(random.below(40)).await;
    match random.below(40) {
        0 => return Err(OperatorError::new("no such thing")),
        1 => panic!("a request that the service can't bear"),
        2 => sleep(10_000).await,
        _ => sleep(random.below(10)).await,
    }
    Ok(body)
}

/// One run: requests and crashes at moments that the seed chooses. How many had a result, were
/// shed, or failed.
async fn run(seed: u64) -> [u64; 3] {
    let begun = Arc::new(Mutex::new(BTreeMap::new()));
    let noted = Arc::clone(&begun);
    let gateway = Gateway::start(move |_, body| unreliable(seed, Arc::clone(&noted), body));
    let mut random = Random::new(seed);
    let asking: Vec<_> = (0..25_u64)
        .map(|number| {
            // The first of them has more than it can do.
            let service = random.below(6).saturating_sub(3) as usize;
            let at = random.below(60);
            let requests = gateway.requests.clone();
            async move {
                sleep(at).await;
                (number.to_string(), ask(&requests, service, number.to_string()).await)
            }
        })
        .collect();
    let moments: Vec<_> = (0..3).map(|_| (random.below(200), random.below(3) as usize)).collect();
    let crashing = moments.into_iter().map(|(at, service)| {
        let crashes = gateway.crashes.clone();
        async move {
            sleep(at).await;
            crashes.crash(service);
        }
    });
    let all = async { tokio::join!(join_all(asking), join_all(crashing)) };
    let (answers, _) = tokio::select! {
        all = all => all,
        () = sleep(3_600_000) => panic!("seed {seed}: somebody waits for an answer for ever"),
    };

    let mut counts = [0; 3];
    for (body, answer) in answers {
        let times = begun.lock().unwrap().get(&body).copied().unwrap_or_default();
        let (column, expected) = match answer {
            Answer::Result(said) => {
                assert_eq!(said, body, "seed {seed}: somebody else's answer");
                (0, 1..=1)
            }
            Answer::Shed => (1, 0..=0),
            // It may have crashed before it had a chance.
            Answer::Failed => (2, 0..=1),
        };
        counts[column] += 1;
        assert!(expected.contains(&times), "seed {seed}: {body} was begun {times} times");
    }
    gateway.job.drain(Duration::from_secs(60)).await.unwrap();
    counts
}

/// Such runs one after the other, in a runtime of their own.
fn runs(seeds: Range<u64>) -> [u64; 3] {
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut all = [0; 3];
        for seed in seeds {
            let counts = run(seed).await;
            all.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        all
    })
}

#[test]
fn each_request_is_answered_once_whatever_crashes_and_whenever() {
    // Panics are part of the runs, and no news.
    std::panic::set_hook(Box::new(|info| {
        if !info.to_string().contains("can't bear") {
            eprintln!("{info}");
        }
    }));
    let all = thread::scope(|scope| {
        let parts = [0..250, 250..500, 500..750, 750..1000];
        let parts = parts.map(|seeds| scope.spawn(|| runs(seeds)));
        parts.map(|part| part.join().unwrap())
    });
    let [results, shed, failed] =
        [0, 1, 2].map(|what| all.map(|part| part[what]).iter().sum::<u64>());
    assert_eq!(results + shed + failed, 25_000);
    assert!(results > 10_000 && shed > 100 && failed > 1000, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_or_crashes_takes_no_other_with_it() {
    let gateway = Gateway::start(|service, body| async move {
        sleep(if service == 0 { 10_000 } else { 5 }).await;
        Ok(body)
    });
    for round in 0..50 {
        if round % 5 == 0 {
            gateway.crashes.crash(2);
        }
        // Nobody waits for these.
        for _ in 0..5 {
            drop(gateway.requests.offer(Request::new(0, "stuck".to_owned()).0));
        }
        let answer = ask(&gateway.requests, 1, round.to_string()).await;
        assert_eq!(answer, Answer::Result(round.to_string()));
    }
    gateway.job.drain(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn more_than_there_is_room_for_is_turned_away_at_once() {
    let gateway = Gateway::start(|_, body| async move {
        sleep(100).await;
        Ok(body)
    });
    let clock = Clock::system();
    let asking = (0..100).map(|number| {
        let (requests, clock) = (gateway.requests.clone(), clock.clone());
        async move {
            // They come one after the other, far faster than they are served.
            clock.sleep(Duration::from_millis(number)).await;
            let asked = clock.now();
            let answer = ask(&requests, 1, String::new()).await;
            (answer, clock.now().saturating_since(asked))
        }
    });
    let answers = join_all(asking).await;
    let shed: Vec<_> = answers.iter().filter(|(answer, _)| *answer == Answer::Shed).collect();
    assert!((50..95).contains(&shed.len()), "{} of 100 shed", shed.len());
    assert!(shed.iter().all(|(_, after)| *after < Duration::from_millis(10)));
    assert!(answers.iter().all(|(answer, _)| *answer != Answer::Failed));
    gateway.job.drain(Duration::from_secs(60)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn when_the_gateway_stops_everybody_is_told() {
    let gateway = Gateway::start(|_, body| async move {
        sleep(100).await;
        Ok(body)
    });
    let asking = (0..10).map(|_| ask(&gateway.requests, 0, String::new()));
    let stopping = async {
        sleep(50).await;
        gateway.job.abort();
    };
    let (answers, ()) = tokio::join!(join_all(asking), stopping);
    assert!(answers.contains(&Answer::Failed), "those it had begun with");
    assert!(answers.contains(&Answer::Shed), "those that waited");
    assert_eq!(ask(&gateway.requests, 0, String::new()).await, Answer::Shed);
}

#[tokio::test]
async fn answers_are_told_by_their_status() {
    let (handle, queue) = source::queue(3 * WAITING);
    let serve = |_, body: String| async move {
        if body == "7" { Ok(body) } else { Err(OperatorError::new("no such thing")) }
    };
    let at_once = JobOptions::default().with_batch_records(1).with_edge_capacity(1);
    let job = graph(queue, &Crashes::new(), serve).start_with(&at_once).unwrap();
    let server = http::Server::start(None, handle).await.unwrap();
    assert_eq!(server.get("users/7").await, 200);
    assert_eq!(server.get("users/8").await, 502);
    assert_eq!(server.get("nobody/7").await, 404);
    job.drain(Duration::from_secs(60)).await.unwrap();
    assert_eq!(server.get("users/7").await, 503);
}
