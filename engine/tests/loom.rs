//! The edge's channel under every interleaving of its two ends, by model.
//!
//! `RUSTFLAGS="--cfg millstream_loom" cargo test -p millstream-engine --release --test loom`
//!
//! Each model carries more batches than there is room for, because a forgotten wake shows only
//! then. A lost wake-up is a deadlock, which loom reports; the last two models plant one, to prove
//! that it does.

#![cfg(millstream_loom)]

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::{Arc, Mutex};
use loom::thread;
use millstream_engine::Record;
use millstream_engine::batch::Batch;
use millstream_engine::edge::{Capacity, Received, Receiver, Sender, Sent, channel};

/// One record that a queue of one has room for, and two more.
const RECORDS: u32 = 3;

/// A record that says when it is dropped.
struct Counted {
    value: u32,
    dropped: Arc<Mutex<[u32; RECORDS as usize]>>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.dropped.lock().unwrap()[self.value as usize] += 1;
    }
}

fn of_one<T>() -> (Sender<T>, Receiver<T>) {
    channel(Capacity::records(1, 1))
}

fn one<T>(value: T) -> Batch<T> {
    Batch { records: vec![Record::new(value)], ..Batch::new() }
}

fn send<T>(sender: &mut Sender<T>, batch: &mut Batch<T>) -> Sent {
    block_on(poll_fn(|cx| sender.poll_send(cx, batch, 0)))
}

fn receive<T>(receiver: &mut Receiver<T>) -> Received<T> {
    block_on(poll_fn(|cx| receiver.poll_recv(cx)))
}

/// Sends every record, until it is told not to, and the end if asked for.
fn produce(sender: &mut Sender<u32>, end: bool) -> Sent {
    for value in 0..RECORDS {
        let sent = send(sender, &mut one(value));
        if sent != Sent::Sent {
            return sent;
        }
    }
    let mut last = Batch { end: true, ..Batch::new() };
    if end { send(sender, &mut last) } else { Sent::Sent }
}

/// Takes until the end or a failure.
fn consume(receiver: &mut Receiver<u32>) -> (Vec<u32>, bool) {
    let mut values = Vec::new();
    loop {
        match receive(receiver) {
            Received::Batch(batch) => {
                values.extend(batch.records.iter().map(|record| record.value));
                if batch.end {
                    return (values, true);
                }
            }
            Received::Failed => return (values, false),
        }
    }
}

#[test]
fn everything_arrives_in_order_and_nobody_sleeps_for_ever() {
    loom::model(|| {
        let (mut sender, mut receiver) = of_one();
        let producer = thread::spawn(move || produce(&mut sender, true));
        assert_eq!(consume(&mut receiver), (vec![0, 1, 2], true));
        assert_eq!(producer.join().unwrap(), Sent::Sent);
    });
}

#[test]
fn a_sender_that_leaves_without_an_end_has_failed() {
    loom::model(|| {
        let (mut sender, mut receiver) = of_one();
        let producer = thread::spawn(move || produce(&mut sender, false));
        assert_eq!(consume(&mut receiver), (vec![0, 1, 2], false));
        assert_eq!(producer.join().unwrap(), Sent::Sent);
    });
}

#[test]
fn a_receiver_that_leaves_wakes_a_parked_sender() {
    loom::model(|| {
        let (mut sender, mut receiver) = of_one();
        let producer = thread::spawn(move || produce(&mut sender, true));
        assert!(matches!(receive(&mut receiver), Received::Batch(_)));
        drop(receiver);
        assert_eq!(producer.join().unwrap(), Sent::Failed);
    });
}

#[test]
fn a_receiver_that_has_enough_wakes_a_parked_sender() {
    loom::model(|| {
        let (mut sender, mut receiver) = of_one();
        let producer = thread::spawn(move || produce(&mut sender, true));
        assert!(matches!(receive(&mut receiver), Received::Batch(_)));
        receiver.finish();
        assert_eq!(producer.join().unwrap(), Sent::Finished);
    });
}

#[test]
fn who_waits_to_be_wanted_or_for_the_close_is_woken() {
    loom::model(|| {
        let (mut sender, mut receiver) = of_one::<u32>();
        let producer = thread::spawn(move || {
            block_on(poll_fn(|cx| sender.poll_wanted(cx)));
            assert_eq!(send(&mut sender, &mut one(0)), Sent::Sent);
            block_on(poll_fn(|cx| sender.poll_closed(cx)))
        });
        assert!(matches!(receive(&mut receiver), Received::Batch(_)));
        receiver.finish();
        assert_eq!(producer.join().unwrap(), Sent::Finished);
    });
}

#[test]
fn every_record_is_dropped_once_wherever_it_is() {
    loom::model(|| {
        let dropped = Arc::new(Mutex::new([0; RECORDS as usize]));
        let (mut sender, mut receiver) = of_one();
        let counts = Arc::clone(&dropped);
        let producer = thread::spawn(move || {
            for value in 0..RECORDS {
                let dropped = Arc::clone(&counts);
                let sent = send(&mut sender, &mut one(Counted { value, dropped }));
                if sent != Sent::Sent {
                    return value + 1;
                }
            }
            RECORDS
        });
        assert!(matches!(receive(&mut receiver), Received::Batch(_)));
        drop(receiver);
        let made = producer.join().unwrap();
        let dropped = *dropped.lock().unwrap();
        let expected = [0, 1, 2].map(|value| u32::from(value < made));
        assert_eq!(dropped, expected);
    });
}

/// A channel of one that is wrong on purpose.
#[derive(Default)]
struct Wrong {
    full: bool,
    closed: bool,
    sender: Option<Waker>,
    receiver: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Closing leaves the parked sender asleep.
    SilentClose,
    /// The waker is kept only after another look would have been needed.
    LateWaker,
}

impl Wrong {
    fn poll_send(shared: &Mutex<Self>, cx: &Context<'_>, fault: Fault) -> Poll<bool> {
        let mut queue = shared.lock().unwrap();
        if queue.closed {
            return Poll::Ready(false);
        }
        if !queue.full {
            queue.full = true;
            let waker = queue.receiver.take();
            drop(queue);
            waker.into_iter().for_each(Waker::wake);
            return Poll::Ready(true);
        }
        if fault == Fault::LateWaker {
            drop(queue);
            queue = shared.lock().unwrap();
        }
        queue.sender = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_recv(shared: &Mutex<Self>, cx: &Context<'_>) -> Poll<()> {
        let mut queue = shared.lock().unwrap();
        if !queue.full {
            queue.receiver = Some(cx.waker().clone());
            return Poll::Pending;
        }
        queue.full = false;
        let waker = queue.sender.take();
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
        Poll::Ready(())
    }

    fn close(shared: &Mutex<Self>, fault: Fault) {
        let mut queue = shared.lock().unwrap();
        queue.closed = true;
        let waker = queue.sender.take().filter(|_| fault != Fault::SilentClose);
        drop(queue);
        waker.into_iter().for_each(Waker::wake);
    }
}

fn planted(fault: Fault) {
    loom::model(move || {
        let shared = Arc::new(Mutex::new(Wrong::default()));
        let other = Arc::clone(&shared);
        let producer = thread::spawn(move || {
            for _ in 0..RECORDS {
                block_on(poll_fn(|cx| Wrong::poll_send(&other, cx, fault)));
            }
        });
        let taken = if fault == Fault::LateWaker { RECORDS } else { 1 };
        for _ in 0..taken {
            block_on(poll_fn(|cx| Wrong::poll_recv(&shared, cx)));
        }
        Wrong::close(&shared, fault);
        producer.join().unwrap();
    });
}

/// Names the fault to plant. loom aborts the process at a deadlock, so each fault has a process.
const PLANT: &str = "MILLSTREAM_PLANTED_FAULT";

#[test]
fn a_model_with_a_planted_fault() {
    planted(match std::env::var(PLANT).as_deref() {
        Ok("close") => Fault::SilentClose,
        Ok("waker") => Fault::LateWaker,
        _ => Fault::None,
    });
}

#[test]
fn a_close_that_wakes_nobody_and_a_waker_kept_too_late_are_caught() {
    for fault in ["close", "waker"] {
        let run = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_model_with_a_planted_fault", "--nocapture"])
            .env(PLANT, fault)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(!run.status.success(), "`{fault}` was not caught");
        assert!(said.contains("deadlock"), "`{fault}`: {said}");
    }
}
