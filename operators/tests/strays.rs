//! Streams and handles that are used where they don't belong: found before anything runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use millstream_engine::{BuildError, Error, ErrorKind};
use millstream_operators::fan::MergeEnd;
use millstream_operators::fan::side_output::Side;
use millstream_operators::group::{AtLimit, Groups};
use millstream_operators::prelude::*;
use millstream_operators::recovery::RestartPolicy;

/// Who was found to have strayed.
fn strayed(error: &Error) -> Vec<&str> {
    let ErrorKind::Build(mistakes) = error.kind() else {
        panic!("not found before the start: {error}");
    };
    let strayed = mistakes.iter().filter_map(|mistake| match mistake {
        BuildError::Strayed { operator } => Some(operator.as_str()),
        _ => None,
    });
    strayed.collect()
}

fn numbers(name: &str) -> (Dataflow, DataStream<u32, impl Chain<Item = u32> + use<>>) {
    let flow = Dataflow::new(name);
    let numbers = flow.source("numbers", source::from_iter(0..10_u32)).map(|n| n);
    (flow, numbers)
}

#[test]
fn e4_a_handle_of_another_dataflow_is_found_before_the_start() {
    let (other, elsewhere) = numbers("other");
    let (tag, side) = other.side_output::<u32>("side");
    side.ignore();
    let use_it = |n: u32, side: &mut Side<'_, u32>| {
        side.emit(n);
        Some(n)
    };
    elsewhere.process_with_side(&tag, use_it).ignore();
    other.validate().unwrap();

    // With edges of its own, of which one has the same number.
    let (flow, numbers) = numbers("flow");
    numbers.boundary().process_with_side(&tag, use_it).named("lost").ignore();
    assert_eq!(strayed(&flow.validate().unwrap_err()), ["lost"]);
    let error = flow.start().unwrap_err();
    assert!(error.to_string().contains("`lost`"), "{error}");
}

#[test]
fn j5_dead_letters_of_another_dataflow_are_found_before_the_start() {
    let (dead, letters) = Dataflow::new("other").dead_letters::<u32>("dead");
    letters.ignore();
    let (flow, numbers) = numbers("flow");
    let fail = |_: &u32| Err::<u32, _>(std::fmt::Error);
    numbers.boundary().try_map(OnError::dead_letter(&dead), fail).ignore();
    assert_eq!(strayed(&flow.validate().unwrap_err()), ["try_map"]);
}

#[test]
fn e5_a_diversion_of_another_dataflow_is_found_before_the_start() {
    let (diverted, rest) = Dataflow::new("other").diverted("rest");
    rest.ignore();
    let (flow, numbers) = numbers("flow");
    let groups = Groups::new(2, Duration::from_secs(1), AtLimit::Divert(diverted));
    numbers.boundary().group_by(|n| *n, groups).each(|group| group).ignore();
    assert_eq!(strayed(&flow.validate().unwrap_err()), ["group_by"]);
}

#[test]
fn f1_streams_of_two_dataflows_do_not_meet() {
    type Word = (&'static str, fn(DataStream<u32>, DataStream<u32>));
    let words: [Word; 8] = [
        ("merge", |a, b| a.merge(b).ignore()),
        ("merge_all", |a, b| a.merge_all([b]).ignore()),
        ("merge_until", |a, b| a.merge_until(b, MergeEnd::First).ignore()),
        ("concat", |a, b| a.concat(b).ignore()),
        ("concat_eager", |a, b| a.concat_eager(b).ignore()),
        ("zip", |a, b| a.zip(b).ignore()),
        ("race", |a, b| a.race(b).ignore()),
        ("connect", |a, b| a.connect(b).map(|n| n, |n| n).ignore()),
    ];
    for (word, meet) in words {
        let (first, a) = numbers("first");
        let (second, b) = numbers("second");
        // Otherwise the second's edge could have the number of the first's.
        meet(a.boxed(), b.boundary().boxed());
        for flow in [first, second] {
            let error = flow.validate().unwrap_err();
            assert!(
                !strayed(&error).is_empty(),
                "{word} of `{}`: {error}",
                flow.blueprint().name()
            );
        }
    }
}

/// Nobody would read what they emit.
#[test]
fn e5_an_operator_with_a_side_output_is_not_let_into_a_group() {
    let groups = || Groups::new(4, Duration::from_secs(1), AtLimit::Evict);
    let (flow, all) = numbers("letters");
    let (dead, letters) = flow.dead_letters::<u32>("dead");
    letters.ignore();
    let fail = |_: &u32| Err::<u32, _>(std::fmt::Error);
    let grouped = all.group_by(|n| n % 2, groups());
    grouped.each(|group| group.try_map(OnError::dead_letter(&dead), fail)).ignore();
    assert_eq!(strayed(&flow.validate().unwrap_err()), ["group_by"]);

    let (flow, all) = numbers("tap");
    let grouped = all.group_by(|n| n % 2, groups());
    let tapped = grouped.each(|group| {
        let (group, tap) = group.wire_tap();
        tap.ignore();
        group
    });
    tapped.ignore();
    assert_eq!(strayed(&flow.validate().unwrap_err()), ["group_by"]);
}

#[tokio::test(start_paused = true)]
async fn j4_a_handle_from_outside_fails_a_section_for_good() {
    let (flow, numbers) = numbers("section");
    let (tag, side) = flow.side_output::<u32>("side");
    side.ignore();
    let outer = tag.clone();
    let numbers = numbers.process_with_side(&outer, |n, _: &mut Side<'_, u32>| Some(n));
    let numbers = numbers.restart_section(RestartPolicy::new(Backoff::default()), move |numbers| {
        numbers.process_with_side(&tag, |n, _: &mut Side<'_, u32>| Some(n))
    });
    numbers.ignore();
    let error = flow.run().await.unwrap_err();
    assert_eq!(error.operator_name(), Some("restart_section"));
    assert!(error.chain_text().contains("`process_with_side`"), "{error}");
}

trait ChainText {
    fn chain_text(&self) -> String;
}

impl ChainText for Error {
    /// The error and everything behind it.
    fn chain_text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}
