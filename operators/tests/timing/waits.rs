//! Timers: groups, choices and timeouts, and the switches.

use millstream_operators::timing::{
    CompletionTimedOut, IdleTimedOut, InitialTimedOut, Rate, Switch,
};

use super::*;

#[tokio::test]
async fn d2_a_chunk_goes_out_in_time_without_traffic_and_never_empty() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.chunks_timeout(3, SECOND));
    output.request(100);
    hand.advance(SECOND * 5).await;
    assert_eq!(output.waiting(), 0);
    input.send(1).await;
    hand.advance(SECOND - NANO).await;
    assert_eq!(output.waiting(), 0);
    hand.advance(NANO).await;
    output.expect([vec![1]]).await;
    for n in 2..=5 {
        input.send(n).await;
    }
    output.expect([vec![2, 3, 4]]).await;
    drained(&input, job).await;
    output.expect([vec![5]]).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d2_the_last_group_is_flushed_at_end() {
    let hand = Hand::new();
    for batch in [1, 2, 100] {
        let flow = Dataflow::new("flushed");
        let numbers = flow.source("numbers", source::from_iter(0..7_u32));
        let chunks = numbers.chunks_timeout(4, SECOND).collect();
        let report = flow.run_with(hand.options().with_batch_records(batch)).await.unwrap();
        assert_eq!(report.take(chunks), Some(vec![vec![0, 1, 2, 3], vec![4, 5, 6]]));
    }
}

#[tokio::test]
async fn d2_a_chunk_in_the_making_survives_a_drain() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.chunks_timeout(3, SECOND));
    input.send(1).await;
    hand.settle().await;
    output.request(9);
    job.drain(SECOND * 60).await.unwrap();
    output.expect([vec![1]]).await;
}

#[tokio::test]
async fn d2_a_chunk_whose_time_came_while_all_was_full_goes_out_at_once() {
    let hand = Hand::new();
    let beat = MILLI * 300;
    let (input, output, job) =
        probed!(hand, |numbers| { numbers.chunks_timeout(9, SECOND).keep_alive(beat, Vec::new) });
    input.send(1).await;
    // Beats fill up what is behind, and the stage is stopped.
    hand.advance(beat).await;
    hand.advance(beat).await;
    hand.advance(SECOND * 60).await;
    output.request(9);
    hand.settle().await;
    let mut beats = 0;
    while output.next().await.unwrap().value.is_empty() {
        beats += 1;
    }
    assert!((1..=2).contains(&beats), "{beats} beats, and then the chunk, without further time");
    assert_eq!(hand.clock.clock().now().since_start(), SECOND * 60 + beat * 2);
    drained(&input, job).await;
}

#[tokio::test]
async fn d4_idle_timeout_fails_with_the_name_of_the_operator() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.idle_timeout(SECOND).named("idle"));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    let error = job.await.unwrap_err();
    assert_eq!(error.operator_name(), Some("idle"));
    assert_eq!(cause::<IdleTimedOut>(&error), IdleTimedOut { limit: SECOND });
}

#[tokio::test]
async fn d4_time_behind_a_stuck_sink_is_not_idle_time() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.idle_timeout(SECOND));
    for n in 0..4 {
        input.send(n).await;
    }
    for _ in 0..10 {
        hand.advance(SECOND * 6).await;
        assert!(is_running(&job), "stuck, not idle");
    }
    output.expect(0..4).await;
    hand.settle().await;
    assert!(is_running(&job));
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job), "the time begins when there is room");
    hand.advance(NANO).await;
    assert_eq!(cause::<IdleTimedOut>(&job.await.unwrap_err()).limit, SECOND);
}

#[tokio::test]
async fn d4_time_blocked_by_a_timers_output_is_not_idle_time() {
    let hand = Hand::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.idle_timeout(SECOND * 2).chunks_timeout(9, SECOND));
    // Three chunks by time: one in the sink's hands, one before it, and the stage is full.
    for n in 0..2 {
        input.send(n).await;
        hand.advance(SECOND).await;
    }
    hand.advance(SECOND * 60).await;
    assert!(is_running(&job), "blocked by a chunk, not by a record");
    output.request(9);
    // It has been blocked from the first chunk on, so all of the time is left.
    hand.advance(SECOND * 2 - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    assert_eq!(cause::<IdleTimedOut>(&job.await.unwrap_err()).limit, SECOND * 2);
}

#[tokio::test]
async fn d4_time_behind_a_waiting_throttle_is_not_idle_time() {
    let hand = Hand::new();
    let rate = Rate::new(1, SECOND * 10);
    let (input, output, job) = probed!(hand, |numbers| numbers.idle_timeout(SECOND).throttle(rate));
    output.request(9);
    for n in 0..3 {
        input.send(n).await;
    }
    for _ in 0..19 {
        hand.advance(SECOND).await;
        assert!(is_running(&job), "the throttle waits, and the input could give no more");
    }
    hand.advance(SECOND).await;
    output.expect(0..3).await;
    hand.advance(SECOND).await;
    assert_eq!(cause::<IdleTimedOut>(&job.await.unwrap_err()).limit, SECOND);
}

#[tokio::test]
async fn d4_the_time_of_a_second_input_begins_when_it_is_read() {
    let hand = Hand::new();
    let flow = Dataflow::new("second");
    let (first, source) = probe_source::<u32>();
    let one = flow.source("first", source);
    let two = flow.source("second", source::from_iter([7])).idle_timeout(SECOND);
    let all = one.concat(two).collect();
    let job = flow.start_with(&hand.options()).unwrap();
    hand.advance(SECOND * 60).await;
    first.end().await;
    assert_eq!(job.await.unwrap().take(all), Some(vec![7]));
}

#[tokio::test]
async fn d5_the_result_does_not_depend_on_batches() {
    for batch in [1, 2, 3, 100] {
        let hand = Hand::new();
        let flow = Dataflow::new("debounced");
        let (input, source) = probe_source::<u32>();
        let arrivals = Arrivals::new(hand.clock.clock());
        let numbers = flow.source("input", source).boundary();
        numbers.debounce(SECOND).sink("arrivals", arrivals.clone());
        let options = hand.options().with_batch_records(batch).with_edge_capacity(batch);
        let job = flow.start_with(&options).unwrap();
        for group in [0..4, 4..5, 5..9] {
            for n in group {
                input.send(n).await;
            }
            hand.advance(SECOND).await;
        }
        input.send(9).await;
        drained(&input, job).await;
        let seen: Vec<_> = arrivals.take().iter().map(|(at, n)| (at.as_secs(), *n)).collect();
        assert_eq!(seen, [(1, 3), (2, 4), (3, 8), (3, 9)], "batches of {batch}");
    }
}

#[tokio::test]
async fn d9_a_delay_holds_what_it_has_room_for_and_drains() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.delay(SECOND, 3));
    output.request(9);
    for n in 0..4 {
        input.send(n).await;
    }
    hand.advance(SECOND - NANO).await;
    assert_eq!(output.waiting(), 0);
    hand.advance(NANO).await;
    assert_eq!(output.waiting(), 3, "the fourth had to wait outside");
    input.end().await;
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    job.await.unwrap();
    output.expect(0..4).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d14_two_words_due_at_one_instant_both_fire() {
    let hand = Hand::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.sample(SECOND).chunks_timeout(9, SECOND));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND).await;
    input.send(2).await;
    // At two seconds 2 is due, and the chunk that 1 has begun.
    hand.advance(SECOND).await;
    output.expect([vec![1]]).await;
    hand.advance(SECOND).await;
    output.expect([vec![2]]).await;
    drained(&input, job).await;
}

#[tokio::test]
async fn d14_time_that_stands_still_fires_nothing() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.sample(NANO).audit(NANO));
    output.request(9);
    for n in 0..50 {
        input.send(n).await;
    }
    hand.settle().await;
    assert_eq!(output.waiting(), 0);
    drained(&input, job).await;
    output.expect([49]).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d15_keep_alive_is_silent_while_nothing_can_be_sent() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.keep_alive(SECOND, || 0));
    output.request(1);
    hand.advance(SECOND).await;
    output.expect([0]).await;
    // Two beats fill the sink up; then it is stuck for a minute.
    for _ in 0..60 {
        hand.advance(SECOND).await;
    }
    output.request(9);
    hand.settle().await;
    let waiting = output.waiting();
    assert!(waiting <= 2, "{waiting} beats were made for nobody");
    hand.advance(SECOND).await;
    assert_eq!(output.waiting(), waiting + 1);
    drained(&input, job).await;
}

#[tokio::test]
async fn d16_completion_timeout_fires_while_the_sink_is_stuck() {
    let hand = Hand::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.completion_timeout(SECOND).named("deadline"));
    for n in 0..4 {
        input.send(n).await;
    }
    hand.advance(SECOND - NANO).await;
    assert!(is_running(&job));
    hand.advance(NANO).await;
    let error = job.await.unwrap_err();
    assert_eq!(error.operator_name(), Some("deadline"));
    assert_eq!(cause::<CompletionTimedOut>(&error).limit, SECOND);
    drop(output);
}

#[tokio::test]
async fn d16_initial_timeout_waits_for_the_first_record_only() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.initial_timeout(SECOND));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND * 60).await;
    drained(&input, job).await;
    let (_input, _output, job) = probed!(hand, |numbers| numbers.initial_timeout(SECOND));
    hand.advance(SECOND).await;
    assert_eq!(cause::<InitialTimedOut>(&job.await.unwrap_err()).limit, SECOND);
}

#[tokio::test]
async fn d18_take_within_cancels_its_input_without_another_record() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.take_within(SECOND));
    output.request(9);
    input.send(1).await;
    hand.advance(SECOND - NANO).await;
    assert!(!input.is_cancelled());
    hand.advance(NANO).await;
    assert!(input.is_cancelled());
    job.await.unwrap();
    output.expect([1]).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d20_a_pause_holds_and_lets_the_end_pass() {
    let hand = Hand::new();
    let pause = Switch::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.pause_when(&pause).chunks_timeout(9, SECOND));
    output.request(9);
    input.send(1).await;
    hand.settle().await;
    pause.turn_on();
    input.send(2).await;
    input.send(3).await;
    hand.advance(SECOND * 9).await;
    output.expect([vec![1]]).await;
    assert_eq!(output.waiting(), 0, "timers behind go on, and nothing else");
    pause.turn_off();
    hand.advance(SECOND).await;
    output.expect([vec![2, 3]]).await;
    pause.turn_on();
    drained(&input, job).await;
    output.expect_end().await;
}

#[tokio::test]
async fn d20_who_has_enough_is_not_held_up_by_a_pause() {
    let hand = Hand::new();
    let pause = Switch::new();
    pause.turn_on();
    let enough = Switch::new();
    let (input, output, job) =
        probed!(hand, |numbers| numbers.pause_when(&pause).take_until_signal(&enough));
    input.send(1).await;
    hand.settle().await;
    enough.turn_on();
    job.await.unwrap();
    assert!(input.is_cancelled());
    output.expect_end().await;
}

#[tokio::test]
async fn k9_a_signal_ends_a_stream_that_rests_one_that_is_stuck_and_one_that_is_busy() {
    let hand = Hand::new();
    let signal = Switch::new();
    let (rests, resting, first) = probed!(hand, |numbers| numbers.take_until_signal(&signal));
    let (stuck, _nobody, second) = probed!(hand, |numbers| numbers.take_until_signal(&signal));
    for n in 0..4 {
        stuck.send(n).await;
    }
    let flow = Dataflow::new("busy");
    let endless = flow.source("endless", source::from_iter(0_u64..));
    let count = endless.take_until_signal(&signal).count();
    let third = flow.start_with(&JobOptions::default()).unwrap();
    hand.settle().await;
    signal.turn_on();
    rests.cancelled().await;
    stuck.cancelled().await;
    first.await.unwrap();
    resting.expect_end().await;
    assert!(third.await.unwrap().take(count) > Some(0));
    second.abort();
    second.await.unwrap_err();
}

#[tokio::test]
async fn b12_batch_min_lets_out_what_has_waited() {
    let hand = Hand::new();
    let (input, output, job) = probed!(hand, |numbers| numbers.batch_min(3, SECOND));
    output.request(9);
    input.send(1).await;
    input.send(2).await;
    hand.advance(SECOND - NANO).await;
    assert_eq!(output.waiting(), 0);
    hand.advance(NANO).await;
    assert_eq!(output.waiting(), 2);
    drained(&input, job).await;
}
