//! Planted stalls, each with the one who is to blame, and what `explain` makes of them.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millstream_engine::batch::Barrier;
use millstream_engine::graph::EdgeOptions;
use millstream_engine::metrics::{Doing, Explanation, Why};
use millstream_engine::testing::{
    SinkProbe, SourceProbe, TestDriver, VirtualClock, probe_sink, probe_source,
};
use millstream_operators::prelude::*;
use millstream_operators::source::MissedTicks;

const HOUR: Duration = Duration::from_secs(3600);

/// Whom a stall is to be blamed on.
struct Blame {
    what: &'static str,
    /// The stage's name has this in it, and the operator's is this.
    operator: &'static str,
    why: Why,
    instance: Option<usize>,
}

const fn blame(what: &'static str, operator: &'static str, why: Why) -> Blame {
    Blame { what, operator, why, instance: None }
}

/// Whether an explanation names the one, with the time for which it has lasted.
fn names(explanation: &Explanation, blame: &Blame, age: Duration) -> bool {
    explanation.culprit.as_ref().is_some_and(|culprit| {
        culprit.operator.as_deref() == Some(blame.operator)
            && culprit.stage.contains(blame.operator)
            && culprit.why == blame.why
            && culprit.instance == blame.instance
            && culprit.age == age
    })
}

/// Small everything, so that a few records fill a graph.
fn options() -> JobOptions {
    let options = JobOptions::default().with_batch_records(1).with_edge_capacity(2);
    options.with_publish_every(None).with_stall_warning(None)
}

/// A graph driven into a stall, an hour ago.
struct Stalled {
    driver: TestDriver,
    // What is held so that nothing ends.
    _held: Vec<Box<dyn std::any::Any>>,
}

impl Stalled {
    fn new(flow: &Dataflow, feed: impl FnOnce(&mut TestDriver)) -> Self {
        let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
        feed(&mut driver);
        driver.settle();
        driver.clock().advance(HOUR);
        Self { driver, _held: Vec::new() }
    }

    fn holding(mut self, held: impl std::any::Any) -> Self {
        self._held.push(Box::new(held));
        self
    }
}

/// As many records as the graph takes.
fn fill(driver: &mut TestDriver, input: &SourceProbe<u64>) {
    for n in 0..200 {
        if driver.try_push(input, n).is_err() {
            break;
        }
    }
}

fn probed(flow: &Dataflow, name: &str) -> (SourceProbe<u64>, DataStream<u64>) {
    let (probe, factory) = probe_source();
    (probe, flow.source(name, factory).boxed())
}

/// A sink that takes nothing.
fn stuck(stream: DataStream<u64, impl Chain<Item = u64>>, name: &str) -> SinkProbe<u64> {
    let (probe, factory) = probe_sink();
    stream.sink(name, factory);
    probe
}

fn numbers(flow: &Dataflow, name: &str) -> DataStream<u64> {
    flow.source(name, source::from_iter(0_u64..)).boxed()
}

fn retry() -> OnError<u64> {
    let backoff = Backoff::default().with_initial(HOUR * 24).with_max_delay(HOUR * 24);
    OnError::retry(backoff.with_attempts(9))
}

fn fails(_: &u64) -> Result<u64, std::io::Error> {
    Err(std::io::Error::other("not yet"))
}

/// Every stall that a graph can be driven into without a thread that blocks.
#[allow(clippy::too_many_lines, reason = "a table")]
fn planted() -> Vec<(Blame, Stalled)> {
    let mut all = Vec::new();
    let mut plant = |blame: Blame, stalled: Stalled| all.push((blame, stalled));

    let flow = Dataflow::new("1");
    let sink = stuck(numbers(&flow, "in"), "out");
    let what = "a stuck sink behind its source";
    plant(blame(what, "out", Why::SinkIsSlow), Stalled::new(&flow, |_| {}).holding(sink));

    let flow = Dataflow::new("2");
    let stream = numbers(&flow, "in").boundary().map(|n| n).boundary().map(|n| n).boundary();
    let sink = stuck(stream, "out");
    let what = "a stuck sink behind four stages";
    plant(blame(what, "out", Why::SinkIsSlow), Stalled::new(&flow, |_| {}).holding(sink));

    let flow = Dataflow::new("3");
    let sink = stuck(flow.source("silent", source::never()).boundary().map(|n: u64| n), "out");
    let what = "a source that never gives anything";
    plant(blame(what, "silent", Why::SourceIsQuiet), Stalled::new(&flow, |_| {}).holding(sink));

    let flow = Dataflow::new("4");
    numbers(&flow, "in").boundary().try_map(retry(), fails).named("flaky").boundary().ignore();
    let what = "a retry that waits";
    plant(blame(what, "flaky", Why::AwaitsItself), Stalled::new(&flow, |_| {}));

    let flow = Dataflow::new("5");
    numbers(&flow, "in").try_map(retry(), fails).named("flaky").map(|n| n).ignore();
    let what = "a retry that waits in the only stage";
    plant(blame(what, "flaky", Why::AwaitsItself), Stalled::new(&flow, |_| {}));

    let flow = Dataflow::new("6");
    let (fast, slow) = {
        let [fast, slow] = numbers(&flow, "in").broadcast();
        (fast, slow)
    };
    fast.map(|n| n).ignore();
    let sink = stuck(slow.map(|n| n), "slow");
    let what = "a slow branch of a broadcast";
    plant(blame(what, "slow", Why::SinkIsSlow), Stalled::new(&flow, |_| {}).holding(sink));

    let flow = Dataflow::new("7");
    let stream = numbers(&flow, "in").parallel(3).try_map(retry(), |n| match n % 3 {
        1 => Err(std::io::Error::other("not yet")),
        _ => Ok(*n),
    });
    stream.named("shaky").gather().ignore();
    let what = "a slow instance of a parallel stage";
    let blamed = Blame { instance: Some(1), ..blame(what, "shaky", Why::AwaitsItself) };
    plant(blamed, Stalled::new(&flow, |_| {}));

    let flow = Dataflow::new("8");
    let keyed = numbers(&flow, "in").key_by(|_| 7_u64).parallel(4).running_count();
    let sink = stuck(keyed.gather().map(|(_, count)| count), "out");
    let what = "a skewed key in front of a stuck sink";
    plant(blame(what, "out", Why::SinkIsSlow), Stalled::new(&flow, |_| {}).holding(sink));

    let flow = Dataflow::new("9");
    let (first, one) = probed(&flow, "first");
    one.concat(numbers(&flow, "second")).ignore();
    let what = "a concat that waits for the end of its first input";
    let stalled = Stalled::new(&flow, |driver| fill(driver, &first)).holding(first);
    plant(blame(what, "first", Why::SourceIsQuiet), stalled);

    let flow = Dataflow::new("10");
    let edge = flow.blueprint().add_edge::<u64>("meet", EdgeOptions::default());
    let (left, one) = probed(&flow, "left");
    let (right, other) = probed(&flow, "right");
    one.forward(edge);
    other.forward(edge);
    DataStream::<u64>::behind(flow.clone(), edge, 1, "meet").ignore();
    let what = "a barrier that one input has not delivered, and the other is full behind it";
    let stalled = Stalled::new(&flow, |driver| {
        driver.barrier(&left, Barrier(1));
        fill(driver, &left);
    });
    plant(blame(what, "right", Why::SourceIsQuiet), stalled.holding((left, right)));

    let flow = Dataflow::new("11");
    let handed = numbers(&flow, "in").boundary();
    handed.for_each_concurrent(2, |_| std::future::pending::<()>());
    let what = "an asynchronous sink whose futures hang";
    let blamed = blame(what, "for_each_concurrent", Why::SinkIsSlow);
    plant(blamed, Stalled::new(&flow, |_| {}));

    let flow = Dataflow::new("12");
    let (queue, offers) = source::queue::<u64>(4);
    flow.source("orders", offers).boundary().map(|n| n).ignore();
    let what = "a queue that nobody fills";
    plant(blame(what, "orders", Why::SourceIsQuiet), Stalled::new(&flow, |_| {}).holding(queue));

    let flow = Dataflow::new("13");
    flow.source("clockwork", source::interval(HOUR * 24, MissedTicks::Skip)).boundary().ignore();
    let what = "a tick that is far off";
    plant(blame(what, "clockwork", Why::SourceIsQuiet), Stalled::new(&flow, |_| {}));

    let flow = Dataflow::new("14");
    let sink = stuck(numbers(&flow, "in").boundary(), "out");
    let stalled = Stalled::new(&flow, |driver| {
        driver.job().unwrap().request_drain(HOUR * 24);
    });
    let what = "a job that drains into a sink that is stuck";
    plant(blame(what, "out", Why::SinkIsSlow), stalled.holding(sink));

    let flow = Dataflow::new("15");
    let (probe, stream) = probed(&flow, "in");
    let sink = stuck(stream, "out");
    let stalled = Stalled::new(&flow, |driver| driver.push(&probe, 1));
    let what = "a sink that holds the only record";
    plant(blame(what, "out", Why::SinkIsSlow), stalled.holding((sink, probe)));

    let flow = Dataflow::new("16");
    let (good, dead) = (numbers(&flow, "in"), flow.dead_letters::<u64>("letters"));
    good.try_map(OnError::dead_letter(&dead.0), fails).boundary().ignore();
    let (probe, letters) = probe_sink();
    dead.1.map(|letter| letter.original).sink("letterbox", letters);
    let what = "dead letters that nobody takes";
    let stalled = Stalled::new(&flow, |_| {}).holding(probe as SinkProbe<u64>);
    plant(blame(what, "letterbox", Why::SinkIsSlow), stalled);

    let flow = Dataflow::new("17");
    let (odd, even) = numbers(&flow, "in").split(|n| n % 2 == 1);
    odd.boundary().try_map(retry(), fails).named("flaky").ignore();
    even.boundary().ignore();
    let what = "the head of a line: a branch of a split that waits";
    plant(blame(what, "flaky", Why::AwaitsItself), Stalled::new(&flow, |_| {}));

    let flow = Dataflow::new("18");
    let sink = stuck(numbers(&flow, "busy").merge(numbers(&flow, "too")).boundary(), "out");
    let what = "two sources before one stuck sink";
    plant(blame(what, "out", Why::SinkIsSlow), Stalled::new(&flow, |_| {}).holding(sink));

    let flow = Dataflow::new("19");
    let calls = numbers(&flow, "in").map_async(3, |_| std::future::pending::<u64>());
    calls.boundary().ignore();
    let what = "calls that are never answered";
    plant(blame(what, "map_async", Why::AwaitsItself), Stalled::new(&flow, |_| {}));

    let flow = Dataflow::new("20");
    let (probe, stream) = probed(&flow, "in");
    stream.map_async(3, |_| std::future::pending::<u64>()).boundary().ignore();
    let what = "one call that is never answered, and a quiet source";
    let stalled = Stalled::new(&flow, |driver| driver.push(&probe, 1)).holding(probe);
    plant(blame(what, "map_async", Why::AwaitsItself), stalled);

    all
}

/// A thread that blocks inside user code, in the stage that `plant` makes, on a runtime that has
/// others.
fn blocked(plant: impl FnOnce(DataStream<u64>, Arc<Mutex<Receiver<()>>>)) -> (Explanation, bool) {
    let (let_go, gate): (SyncSender<()>, _) = sync_channel(1);
    let (flow, clock) = (Dataflow::new("blocked"), VirtualClock::new());
    let gate = Arc::new(Mutex::new(gate));
    plant(flow.source("in", source::from_iter(0..3_u64)).boxed(), Arc::clone(&gate));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(3).enable_all().build().unwrap();
    let options = options().with_operator_counts(true).with_clock(clock.clock());
    let (explained, stalled) = runtime.block_on(async {
        let job = flow.start_with(&options).unwrap();
        // Until it hangs, and all else has come to rest.
        let (mut before, mut still) = (job.metrics(), 0);
        while still < 2_000 || before.stages.iter().all(|stage| stage.busy_now == 0) {
            tokio::task::yield_now().await;
            let now = job.metrics();
            still = if now == before { still + 1 } else { 0 };
            before = now;
        }
        clock.advance(HOUR);
        let explained = job.explain();
        let stalled = job.metrics().stages.iter().any(|stage| stage.stalled() == HOUR);
        // Dropped, it lets go of whoever waits for it.
        drop(let_go);
        job.await.unwrap();
        (explained, stalled)
    });
    (explained, stalled)
}

fn hang(gate: &Mutex<Receiver<()>>) {
    // An error says that the other end is gone, which is what is waited for.
    gate.lock().unwrap().recv().ok();
}

#[test]
fn m3_of_twenty_two_planted_stalls_each_is_named() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (blame, stalled) in planted() {
        count += 1;
        let explanation = stalled.driver.explain();
        if !names(&explanation, &blame, HOUR) {
            wrong.push(format!("{}: `{}`, and not\n{explanation}", blame.what, blame.operator));
        }
    }
    let in_map = blocked(|stream, gate| {
        let slow = move |n| {
            hang(&gate);
            n
        };
        stream.boundary().map(|n| n).map(slow).named("blocking").map(|n| n).boundary().ignore();
    });
    let in_sink = blocked(|stream, gate| {
        stream.map(|n| n).for_each(move |_| hang(&gate));
    });
    let named = [("blocking", in_map), ("for_each", in_sink)];
    for (operator, (explanation, stalled)) in named {
        count += 1;
        let blame = blame("a closure that blocks its thread", operator, Why::Busy);
        if !(names(&explanation, &blame, HOUR) && stalled) {
            wrong.push(format!("{}: `{operator}`, and not\n{explanation}", blame.what));
        }
    }
    assert_eq!(count, 22);
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn m3_the_first_busy_operator_below_backpressured_ones_is_the_culprit() {
    let (explanation, _) = blocked(|stream, gate| {
        let slow = move |n| {
            hang(&gate);
            n
        };
        let stream = stream.boundary().map(|n| n).boundary().with_capacity(1);
        stream.map(slow).named("slow").boundary().map(|n| n).ignore();
    });
    let culprit = explanation.culprit.unwrap();
    assert_eq!(culprit.operator.as_deref(), Some("slow"));
    assert!(culprit.stage.contains("slow") && culprit.why == Why::Busy, "{culprit}");
}

#[test]
fn m4_a_quiet_input_that_holds_the_watermark_is_named() {
    let flow = Dataflow::new("held");
    let (left, one) = probed(&flow, "left");
    let (right, other) = probed(&flow, "right");
    one.merge(other).named("meet").ignore();
    let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
    driver.watermark(&left, Timestamp::from_millis(5_000));
    driver.watermark(&right, Timestamp::from_millis(1_000));
    let holders = driver.explain().watermark_holders;
    assert_eq!(holders[0].0, "right");
    let text = driver.explain().to_string();
    assert!(text.contains("`right` holds back the watermark of"), "{text}");
}

#[test]
fn m6_the_dump_says_who_waits_on_whom_and_since_when() {
    let flow = Dataflow::new("dump");
    let (input, stream) = probed(&flow, "in");
    let sink = stuck(stream.boundary().map(|n| n).named("step").boundary(), "out");
    let stalled = Stalled::new(&flow, |driver| fill(driver, &input)).holding(sink);
    let text = stalled.driver.explain().to_string();
    let lines = [
        "held up by `boundary-2 → out`: `out` waits for the outside to take, for 3600.000s",
        "in [0]: waits for room, `boundary`, for 3600.000s",
        "boundary → step [0]: waits for room, `boundary-2`, for 3600.000s",
        "boundary-2 → out [0]: waits for room, `out`, for 3600.000s",
    ];
    for line in lines {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
}

#[test]
fn m6_the_dump_is_safe_while_everything_moves() {
    let flow = Dataflow::new("moving");
    let keyed = numbers(&flow, "in").parallel(2).map(|n| n + 1).gather();
    keyed.take(300_000).ignore();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut job = flow.start().unwrap();
        let observer = job.observer();
        let watching = tokio::task::spawn_blocking(move || {
            let mut asked = 0;
            while observer.outcome().is_none() {
                assert!(!observer.explain().to_string().is_empty());
                asked += 1;
            }
            asked
        });
        let report = (&mut job).await.unwrap();
        assert_eq!(report.records_written(), 300_000);
        assert!(watching.await.unwrap() > 0);
    });
}

#[test]
fn m3_a_paused_job_is_paused_and_does_not_wait_for_its_source() {
    for sources in [1, 2] {
        let flow = Dataflow::new("paused");
        let mut probes = Vec::new();
        for index in 0..sources {
            let (probe, source) = probe_source::<u64>();
            probes.push(probe);
            flow.source(&format!("in {index}"), source).boundary().ignore();
        }
        let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
        driver.settle();
        driver.job().unwrap().pause();
        driver.push(&probes[0], 1);
        driver.settle();
        let explanation = driver.job().unwrap().explain();
        let culprit = explanation.culprit.clone().unwrap();
        assert_eq!(culprit.why, Why::Paused, "{explanation}");
        assert!(explanation.to_string().contains("is paused"), "{explanation}");
        assert_eq!(explanation.waits[0].doing, Doing::Paused);
        driver.job().unwrap().resume();
        driver.settle();
        let culprit = driver.job().unwrap().explain().culprit;
        assert!(culprit.is_none_or(|culprit| culprit.why == Why::SourceIsQuiet));
    }
}

#[test]
fn m3_a_stage_that_was_cut_off_is_told_of_and_holds_nobody_up() {
    let (probe, source) = probe_source::<u64>();
    let flow = Dataflow::new("cut off");
    let (main, tap) = flow.source("in", source).wire_tap();
    tap.map(|n| 1 / n).named("brittle").ignore();
    main.boundary().ignore();
    let mut driver = TestDriver::start_with(flow.blueprint(), &options()).unwrap();
    (0..3).for_each(|n| driver.push(&probe, n));
    driver.settle();
    let explanation = driver.job().unwrap().explain();
    assert_eq!(explanation.failed.len(), 1, "{explanation}");
    assert!(explanation.failed[0].contains("brittle"), "{explanation}");
    assert!(explanation.to_string().contains("cut off"), "{explanation}");
    assert!(explanation.waits.iter().all(|wait| !wait.stage.contains("brittle")), "{explanation}");
    driver.clock().advance(HOUR);
    let culprit = driver.job().unwrap().explain().culprit.unwrap();
    assert_eq!(culprit.operator.as_deref(), Some("in"), "{culprit}");
    assert_eq!(driver.metrics().stages[1].stalled(), Duration::ZERO);
}
