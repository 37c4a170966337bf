//! Tests of the job in virtual time.

use super::*;

/// What is taken of `items` of each producer, in that order, and how long it takes.
async fn run(queue: Queue, capacity: usize, items: u32) -> (Vec<Item>, Duration) {
    let (flow, taken) = graph(&Options { queue, capacity, items, graph: false, metrics: None });
    let options = JobOptions::default().with_batch_records(1).with_stall_warning(None);
    let report = flow.run_with(options).await.unwrap();
    assert_eq!(report.records_read(), 3 * u64::from(items));
    (report.take(taken).unwrap(), report.elapsed())
}

fn numbers(taken: &[Item]) -> Vec<u32> {
    taken.iter().map(|item| item.number).collect()
}

/// The most items that were made and not taken, at any time.
fn most_waiting(taken: &[Item]) -> usize {
    let waiting = |at: Instant| {
        taken.iter().filter(|item| item.made <= at && at < item.made + item.waited).count()
    };
    taken.iter().map(|item| waiting(item.made)).max().unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_item_is_taken_once_whatever_the_order() {
    for queue in [Queue::Fifo, Queue::Lifo, Queue::Priority] {
        for capacity in [1, 2, 24, 1000] {
            let (taken, elapsed) = run(queue, capacity, 50).await;
            let mut numbers = numbers(&taken);
            numbers.sort_unstable();
            assert_eq!(numbers, (1..=150).collect::<Vec<_>>(), "{queue:?}, {capacity}");
            // Both consumers are at work all the time, but for their first wait and their last.
            let work = 75 * TAKING;
            assert!((work..work + 2 * TAKING).contains(&elapsed), "{elapsed:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_producers_are_held_up_when_the_queue_is_full() {
    for queue in [Queue::Fifo, Queue::Lifo, Queue::Priority] {
        for capacity in [1, 8, 40] {
            // Besides the queue, an edge and a hand before each consumer have room for an item, and
            // so has what brings the producers together.
            let [few, many] = [run(queue, capacity, 60).await.0, run(queue, capacity, 180).await.0];
            let most = [most_waiting(&few), most_waiting(&many)];
            assert!(most[0] >= capacity, "{queue:?}: {most:?} wait, of {capacity}");
            assert!(most[1] <= capacity + 16, "{queue:?}: {most:?} wait, of {capacity}");
            let behind = many.iter().map(|item| item.behind).max().unwrap();
            assert!(behind > Duration::from_secs(1), "the consumers take seconds: {behind:?}");
        }
    }
    let (taken, _) = run(Queue::Fifo, 1000, 60).await;
    let behind = taken.iter().map(|item| item.behind).max().unwrap();
    assert!(behind < 2 * MAKING, "there is room for everything: {behind:?}");
}

#[tokio::test(start_paused = true)]
async fn the_order_is_the_one_that_was_asked_for() {
    let (taken, _) = run(Queue::Fifo, 24, 80).await;
    for first in 1..=3 {
        let own = numbers(&taken).into_iter().filter(|number| number % 3 == first % 3);
        assert!(own.is_sorted_by(|a, b| *a < *b + 6), "but for two consumers, in order");
    }
    let longest_of_all = |taken: &[Item]| longest(taken, true).max(longest(taken, false));
    let (newest_first, elapsed) = run(Queue::Lifo, 24, 80).await;
    assert!(longest_of_all(&taken) < elapsed / 3, "who came first is served first");
    assert!(longest_of_all(&newest_first) > elapsed * 4 / 5, "who came first is served last");

    let (by_urgency, _) = run(Queue::Priority, 24, 80).await;
    let [urgent, others] = [true, false].map(|urgent| longest(&by_urgency, urgent));
    assert!(urgent * 3 < others * 2, "{urgent:?} and {others:?}");
}
