//! Fragments of a pipeline: functions from stream to stream.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use millstream_operators::prelude::*;

fn lengths(
    lines: DataStream<&'static str, impl Chain<Item = &'static str>>,
) -> DataStream<usize, impl Chain<Item = usize>> {
    let words = lines.flat_map_iter(str::split_whitespace);
    words.map(str::len).named("measure")
}

#[tokio::test]
async fn b9_a_fragment_is_fused_with_what_is_around_it() {
    let flow = Dataflow::new("lengths");
    let lines = flow.source("lines", source::from_iter(["to be", "or not"]));
    let longest = lines.pipe(lengths).reduce(|most, n| *most = n.max(*most));
    let graph = flow.graph().unwrap();
    assert_eq!(graph.stages.len(), 1);
    let names: Vec<_> = graph.operators.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["lines", "flat_map_iter", "measure", "reduce"]);
    assert_eq!(flow.run().await.unwrap().take(longest), Some(Some(3)));
}

#[tokio::test]
async fn b9_what_is_said_inside_a_fragment_wins_over_what_is_said_outside() {
    let flow = Dataflow::new("named");
    let lines = flow.source("lines", source::from_iter(["to be"]));
    let failing = |lengths: DataStream<usize>| {
        lengths.try_map(OnError::fail(), |_| Err::<usize, _>(std::fmt::Error)).named("inner")
    };
    lines.pipe(lengths).named("outside").boxed().pipe(failing).named("outer").ignore();
    let names: Vec<_> = flow.graph().unwrap().operators.into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["lines", "flat_map_iter", "measure", "inner", "ignore"]);
    assert_eq!(flow.run().await.unwrap_err().operator_name(), Some("inner"));
}
