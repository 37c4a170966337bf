//! Keyed streams that are connected.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use millstream_engine::operator::Operator;
use millstream_engine::testing::{TestDriver, probe_sink, probe_source};
use millstream_operators::fan::Either;
use millstream_operators::prelude::*;

use crate::rig::{Event, at};

/// What came of each key, and with which number.
fn sums(
    left: usize,
    right: usize,
    after: Option<usize>,
    streams: [usize; 2],
) -> (BTreeMap<u8, (u64, u64)>, usize) {
    let flow = Dataflow::new("both");
    let events = |side: u64| (0..60_u64).map(move |n| ((n % 7) as u8, n * 10 + side));
    let lefts = flow.source("left", source::from_iter(events(1))).parallel(streams[0]);
    let rights = flow.source("right", source::from_iter(events(2))).parallel(streams[1]);
    let rights = rights.key_by(|right| right.0).parallel(right);
    let both = lefts.key_by(|left| left.0).parallel(left).connect(rights);
    let both = after.into_iter().fold(both, |both, instances| both.parallel(instances));
    let sums = both.fold((0, 0), |sums, either| match either {
        Either::Left((_, value)) => sums.0 += value,
        Either::Right((_, value)) => sums.1 += value,
    });
    let instances = sums.parallelism();
    let sums = sums.collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let report = runtime.block_on(flow.run()).unwrap();
    let mut by_key = BTreeMap::new();
    for (key, sums) in report.take(sums).unwrap() {
        assert!(by_key.insert(key, sums).is_none(), "key {key} was in two places");
    }
    (by_key, instances)
}

#[test]
fn f7_keyed_streams_meet_where_their_keys_are() {
    let (expected, one) = sums(1, 1, None, [1, 1]);
    assert_eq!((expected.len(), one), (7, 1));
    for left in 1..=4 {
        for right in 1..=4 {
            let (got, instances) = sums(left, right, None, [1, 1]);
            assert_eq!((got, instances), (expected.clone(), left.max(right)), "{left} {right}");
        }
    }
    for (after, streams) in [(1, [1, 1]), (3, [1, 1]), (2, [3, 1]), (1, [2, 4]), (4, [2, 2])] {
        let (got, instances) = sums(2, 3, Some(after), streams);
        assert_eq!((got, instances), (expected.clone(), after), "{after} {streams:?}");
    }
}

/// Notes the watermarks that come by.
#[derive(Clone)]
struct Note(Arc<Mutex<Vec<Timestamp>>>);

impl<T: Send + 'static> Operator<T> for Note {
    type Out = T;
    const NAME: &'static str = "note";

    fn process(
        &mut self,
        record: Record<T>,
        out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        out.push(record);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Timestamp,
        _out: &mut impl Collector<T>,
    ) -> Result<(), OperatorError> {
        self.0.lock().unwrap().push(watermark);
        Ok(())
    }
}

#[test]
fn f7_event_time_is_that_of_the_earlier_keyed_stream() {
    let flow = Dataflow::new("time");
    let (lefts, left_source) = probe_source::<Event>();
    let (rights, right_source) = probe_source::<Event>();
    let (counts, sink) = probe_sink();
    let notes = Arc::new(Mutex::new(Vec::new()));
    let lefts_in = flow.source("left", left_source).key_by(|left| left.0);
    let both = lefts_in.connect(flow.source("right", right_source).key_by(|right| right.0));
    both.running_count().via(Note(Arc::clone(&notes))).sink("counts", sink);
    let mut driver = TestDriver::start(flow.blueprint()).unwrap();
    counts.request(usize::MAX);
    driver.watermark(&lefts, at(10));
    assert!(notes.lock().unwrap().is_empty());
    driver.watermark(&rights, at(4));
    driver.push(&rights, Record::at((1, 1, 5), at(5)));
    driver.push(&lefts, Record::at((1, 1, 12), at(12)));
    driver.idle(&rights);
    driver.end(&rights);
    driver.end(&lefts);
    assert_eq!(driver.read(&counts), [(1, 1), (1, 2)]);
    driver.finish().unwrap();
    assert_eq!(*notes.lock().unwrap(), [at(4), at(10)]);
}

#[test]
fn f7_a_keyed_stream_of_another_dataflow_is_refused() {
    let flow = Dataflow::new("one");
    let other = Dataflow::new("other");
    let here = flow.source("here", source::from_iter(0..3_u64)).key_by(|n| *n);
    let there = other.source("there", source::from_iter(0..3_u64)).key_by(|n| *n);
    here.connect(there).count().ignore();
    let refused = flow.validate().unwrap_err().to_string();
    assert!(refused.contains("not in its dataflow"), "{refused}");
}
