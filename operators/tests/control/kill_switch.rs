//! Switches that end streams.

use millstream_engine::runtime::{JobState, Outcome};
use millstream_engine::testing::{Ending as SinkEnding, probe_sink, probe_source};
use millstream_operators::control::{KillSwitch, KillSwitchAborted, SwitchState};
use millstream_operators::prelude::*;

use super::*;

#[tokio::test]
async fn k1_shutdown_cancels_up_and_completes_down_while_the_stream_waits() {
    for behind_boundary in [false, true] {
        let switch = KillSwitch::new("enough");
        let (probe, numbers) = probe_source::<u64>();
        let flow = Dataflow::new("waiting");
        let numbers = flow.source("in", numbers);
        let all = if behind_boundary {
            numbers.boundary().map(|n| n).kill_switch(&switch).chunks(2).boundary().collect()
        } else {
            numbers.map(|n| n).kill_switch(&switch).chunks(2).collect()
        };
        let job = flow.start_with(&small()).unwrap();
        for n in 0..3 {
            probe.send(n).await;
        }
        probe.asked().await;
        settle().await;
        switch.shutdown();
        let report = job.await.unwrap();
        // What was held behind the switch comes out as at any end.
        assert_eq!(report.take(all), Some(vec![vec![0, 1], vec![2]]));
        assert_eq!(report.outcome(), Outcome::Completed);
        assert!(probe.is_cancelled());
    }
}

#[tokio::test]
async fn k1_shutdown_acts_while_the_stream_waits_for_room() {
    let switch = KillSwitch::new("enough");
    let killed = switch.clone();
    let (flow, sink) = stuck(move |numbers| numbers.kill_switch(&killed).boxed());
    let job = flow.start_with(&small()).unwrap();
    settle().await;
    switch.shutdown();
    settle().await;
    let source = job.metrics().stages[0].clone();
    assert_eq!(source.finished, 1, "what is before it has ended");
    assert_eq!(job.state(), JobState::Running, "what had passed waits for room");
    sink.request(1000);
    let report = job.await.unwrap();
    let written = report.records_written();
    assert!((1..30).contains(&written), "{written}");
}

#[tokio::test]
async fn k1_abort_fails_the_job_in_the_operators_name_wherever_it_waits() {
    for blocked in [false, true] {
        let switch = KillSwitch::new("broken pipe");
        let killed = switch.clone();
        let (_probe, waiting) = probe_source::<u64>();
        let (flow, sink) = if blocked {
            stuck(move |numbers| numbers.kill_switch(&killed).named("switch").boxed())
        } else {
            let (sink, end) = probe_sink();
            let flow = Dataflow::new("waiting");
            let numbers = flow.source("in", waiting).kill_switch(&killed).named("switch");
            numbers.boundary().sink("out", end);
            (flow, sink)
        };
        let job = flow.start_with(&small()).unwrap();
        settle().await;
        switch.abort(std::io::Error::other("torn"));
        let error = job.await.unwrap_err();
        assert_eq!(error.operator_name(), Some("switch"), "{error}");
        assert_eq!(
            error.to_string(),
            "operator `switch` failed: kill switch `broken pipe` was thrown: torn"
        );
        let cause = error.cause().unwrap().downcast_ref::<KillSwitchAborted>().unwrap();
        assert!(cause.cause.is::<std::io::Error>());
        assert_eq!(error.report().unwrap().outcome(), Outcome::Failed);
        assert_eq!(sink.ended().await, SinkEnding::Dropped);
    }
}

#[tokio::test]
async fn k1_the_first_call_wins_and_later_ones_do_nothing() {
    let switch = KillSwitch::new("once");
    assert_eq!(switch.state(), SwitchState::On);
    let (probe, numbers) = probe_source::<u64>();
    let flow = Dataflow::new("first");
    let count = flow.source("in", numbers).kill_switch(&switch).count();
    let job = flow.start().unwrap();
    probe.asked().await;
    switch.shutdown();
    switch.abort("too late");
    switch.clone().shutdown();
    assert_eq!(switch.state(), SwitchState::Shutdown);
    assert_eq!(job.await.unwrap().take(count), Some(0));

    let switch = KillSwitch::new("other way round");
    let flow = Dataflow::new("aborted");
    flow.source("in", source::never::<u32>()).kill_switch(&switch).ignore();
    let job = flow.start().unwrap();
    switch.abort("first");
    switch.shutdown();
    assert!(job.await.unwrap_err().to_string().ends_with("first"));
}

#[tokio::test]
async fn k1_one_switch_ends_many_streams_of_many_jobs_and_those_that_come_later() {
    let switch = KillSwitch::new("shared");
    let build = || {
        let flow = Dataflow::new("shared");
        for name in ["a", "b"] {
            let numbers = flow.source(name, source::from_iter(0_u64..)).parallel(2);
            numbers.kill_switch(&switch).ignore();
        }
        flow
    };
    let (one, two) = (build(), build());
    let jobs = [one.start().unwrap(), one.start().unwrap(), two.start().unwrap()];
    settle().await;
    switch.shutdown();
    for job in jobs {
        assert_eq!(job.await.unwrap().outcome(), Outcome::Completed);
    }
    // Nobody had ended it, and yet it does not begin.
    assert_eq!(two.run().await.unwrap().records_written(), 0);
    let aborted = KillSwitch::new("aborted");
    aborted.abort("before");
    let flow = Dataflow::new("late");
    flow.source("in", source::once(1)).kill_switch(&aborted).named("switch").ignore();
    assert_eq!(flow.start().unwrap_err().operator_name(), Some("switch"));
    assert!(format!("{aborted:?}").contains("Aborted"));
}

#[tokio::test(start_paused = true)]
async fn k1_a_switch_within_a_section_ends_the_section_and_the_stream() {
    for abort in [false, true] {
        let switch = KillSwitch::new("inner");
        let inner = switch.clone();
        let (probe, numbers) = probe_source::<u32>();
        let flow = Dataflow::new("section");
        let backoff = Backoff::default().with_attempts(3);
        let section = flow
            .source("in", numbers)
            .restart_section(backoff, move |numbers| numbers.kill_switch(&inner).boundary());
        let count = section.count();
        let job = flow.start().unwrap();
        probe.send(1).await;
        Clock::system().sleep(Duration::from_secs(1)).await;
        if abort {
            switch.abort("enough");
        } else {
            switch.shutdown();
        }
        let ended = within(Duration::from_secs(600), job).await;
        match ended {
            Ok(report) => assert_eq!((report.take(count), abort), (Some(1), false)),
            Err(error) => assert!(abort && error.to_string().contains("enough"), "{error}"),
        }
    }
}
