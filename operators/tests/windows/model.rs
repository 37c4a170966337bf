//! Random clicks through whole graphs, next to a naive model: the same at every size of batch and
//! edge, with any number of instances, under every schedule.

use std::collections::BTreeMap;

use millstream_engine::random::Random;
use millstream_engine::testing::{TestDriver, explore, probe_sink, probe_source};

use super::*;
use Firing::{Late, OnTime};

const DISORDER: i64 = 12;

/// What was told, and what was too late, each sorted.
type Results = (Vec<Told>, Vec<Click>);

fn random_clicks(random: &mut Random) -> Vec<Click> {
    let count = i64::try_from(random.below(120)).unwrap();
    let mut below = |bound| i64::try_from(random.below(bound)).unwrap();
    let click = |n: i64| {
        // Some are far behind.
        let behind = if below(8) == 0 { below(80) } else { below(15) };
        let key = char::from(b'a' + u8::try_from(below(5)).unwrap());
        (key, n * 2 - 40 - behind, 1 + n.unsigned_abs())
    };
    (0..count).map(click).collect()
}

/// Windows of `size`, one record after another.
fn model(clicks: &[Click], size: i64, lateness: i64) -> Results {
    let mut windows: BTreeMap<(i64, char), (u64, bool)> = BTreeMap::new();
    let (mut watermark, mut told, mut late) = (i64::MIN, Vec::new(), Vec::new());
    for &(key, time, number) in clicks {
        let start = time.div_euclid(size) * size;
        let end = start + size;
        if end + lateness <= watermark {
            late.push((key, time, number));
        } else {
            let (total, is_told) = windows.entry((start, key)).or_default();
            *total += number;
            if end <= watermark {
                told.push((key, start, *total, if *is_told { Late } else { OnTime }));
                *is_told = true;
            }
        }
        watermark = watermark.max(time - DISORDER);
        for ((start, key), (total, is_told)) in &mut windows {
            if start + size <= watermark && !*is_told {
                told.push((*key, *start, *total, OnTime));
                *is_told = true;
            }
        }
    }
    let rest = windows.into_iter().filter(|(_, (_, is_told))| !is_told);
    told.extend(rest.map(|((start, key), (total, _))| (key, start, total, OnTime)));
    told.sort();
    late.sort_unstable();
    (told, late)
}

fn through_a_graph(
    clicks: &[Click],
    (size, lateness): (i64, i64),
    parallel: usize,
    options: &JobOptions,
) -> Results {
    let (input, source) = probe_source::<Click>();
    let [(windows, told), (side, late)] = [probe_sink(), probe_sink()];
    let flow = Dataflow::new("model");
    let (tag, too_late) = flow.side_output::<Click>("late");
    let disorder = Watermarks::bounded_disorder(ms(DISORDER.unsigned_abs()));
    let millis = |millis: i64| ms(millis.unsigned_abs());
    flow.source("clicks", source)
        .event_time(time_of, disorder)
        .key_by(key_of)
        .parallel(parallel)
        .window(Tumbling::of(millis(size)))
        .allowed_lateness(millis(lateness))
        .late_to(&tag)
        .aggregate(Total)
        .map(|w| Ok((w.key, w.window.start.as_millis(), w.value, w.firing)))
        .boundary()
        .sink("told", told);
    too_late.map(Err).sink("too late", late);
    let mut driver = TestDriver::start_with(flow.blueprint(), options).unwrap();
    let (mut out, mut late) = (Vec::<Told>::new(), Vec::<Click>::new());
    let mut read = |driver: &mut TestDriver| {
        for result in driver.read(&windows).into_iter().chain(driver.read(&side)) {
            match result {
                Ok(told) => out.push(told),
                Err(click) => late.push(click),
            }
        }
    };
    for click in clicks {
        driver.push(&input, *click);
        read(&mut driver);
    }
    driver.end(&input);
    read(&mut driver);
    driver.finish().unwrap();
    out.sort();
    late.sort_unstable();
    (out, late)
}

#[test]
fn h6_windows_tell_what_a_naive_model_does_whatever_the_schedule() {
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let clicks = random_clicks(&mut random);
        let mut below = |bound| i64::try_from(random.below(bound)).unwrap();
        let windows = (1 + below(30), below(3) * below(30));
        let expected = model(&clicks, windows.0, windows.1);
        explore([seed], |options| {
            for (batch, capacity, parallel) in [(1, 1, 1), (2, 3, 2), (5, 4, 3), (3, 1, 1)] {
                let options =
                    options.clone().with_batch_records(batch).with_edge_capacity(capacity);
                let results = through_a_graph(&clicks, windows, parallel, &options);
                assert_eq!(results, expected, "{windows:?}, {batch}, {capacity}, {parallel}");
            }
        });
    }
}

#[test]
fn h6_the_model_has_records_of_every_kind() {
    let (mut on_time, mut corrected, mut late) = (0, 0, 0);
    for seed in 0..40 {
        let clicks = random_clicks(&mut Random::new(seed));
        let (told, too_late) = model(&clicks, 10, 15);
        on_time += told.iter().filter(|told| told.3 == OnTime).count();
        corrected += told.iter().filter(|told| told.3 == Late).count();
        late += too_late.len();
    }
    assert!(on_time > 500 && corrected > 20 && late > 50, "{on_time}, {corrected}, {late}");
}
