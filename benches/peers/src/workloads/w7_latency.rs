//! W7: what three hops cost and how long records take over them, at 100,000 a second, from the
//! moment they were due.
//!
//! A thread sends five records every 50 µs, whether or not the ones before have arrived: whoever
//! falls behind is charged for all that wait.
//!
//! Twice: as programs are usually run, which tells of CPU time, and with the priority of real time,
//! which tells of latency. Otherwise the tail would be that of whatever else the machine does.

use std::cell::RefCell;
use std::convert::identity;
use std::fs;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use millstream::prelude::*;
use millstream::source::{Queue, Source, SourceFactory};
use renoir::BatchMode;
use serde::{Deserialize, Serialize};
use timely::dataflow::operators::vec::Map as _;
use timely::dataflow::operators::{Input as _, Inspect as _, Probe as _};
use timely::dataflow::{InputHandle, ProbeHandle};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

use crate::contender::{By, Contender, Outcome, Work, Workload};
use crate::results::Latency;
use crate::results::Measure::{Cpu, P50, P99};
use crate::runtime;

const MPSC: &str = "tokio mpsc a hop, two workers";
const HOPS: u64 = 3;
const BURST: u64 = 5;
const INTERVAL: Duration = Duration::from_micros(50);
/// Until the first record, so that all tasks are up.
const LEAD: Duration = Duration::from_millis(20);
const CAPACITY: usize = 1024;
const RECORDS: u64 = 200_000;

pub(super) fn workloads() -> [Workload; 2] {
    let [usual, real_time] = [false, true].map(contenders);
    [
        Workload {
            name: "w7",
            question: "What do three hops cost, at 100,000 records a second?",
            records: RECORDS,
            real_time: false,
            contenders: usual,
        },
        Workload {
            name: "w7-real-time",
            question: "How long do records take over three hops, at 100,000 a second, if nothing \
                       else may interrupt them?",
            records: RECORDS,
            real_time: true,
            contenders: real_time,
        },
    ]
}

fn contenders(real_time: bool) -> Vec<Contender> {
    let work = Work { input: identity, expected };
    let woken = work.on(2, "Millstream, woken by I/O, two workers", By::Millstream, woken_by_io);
    let woken = if real_time {
        woken.reach(P50, 1.0, 0.8, MPSC).reach(P99, 1.0, 0.8, MPSC)
    } else {
        woken.reach(Cpu, 1.0, 0.7, MPSC)
    };
    vec![
        work.on(2, "source straight into the sink", By::Hand, straight),
        work.on(2, MPSC, By::Peer("tokio"), tokio_mpsc),
        work.on(2, "Millstream, two workers", By::Millstream, millstream),
        woken,
        work.on(1, "tokio mpsc a hop, one thread", By::Peer("tokio"), tokio_mpsc),
        work.on(1, "Millstream, one thread", By::Millstream, millstream),
        work.on(2, "Millstream, fused, two workers", By::Millstream, fused),
        work.alone("timely, 1 worker, paces itself", By::Peer("timely"), timely),
        work.alone("renoir, a record a batch", By::Peer("renoir"), renoir),
    ]
}

/// Each hop adds one, so that a checksum shows who has left one out.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Event {
    number: u64,
    /// Nanoseconds after the start.
    due: u64,
}

fn hop(event: Event) -> Event {
    Event { number: event.number + 1, ..event }
}

fn expected(records: u64) -> u64 {
    (0..records).map(|n| n + HOPS).sum()
}

/// The source: its records come when they are due, or at once if that is past.
struct Paced {
    start: Instant,
    numbers: std::ops::Range<u64>,
}

impl Paced {
    fn new(start: Instant, records: u64) -> Self {
        finer_sleep();
        Self { start, numbers: 0..records }
    }

    /// When the next record is due, if there is one.
    fn due(&self) -> Option<Instant> {
        let bursts = self.numbers.clone().next()? / BURST;
        Some(self.start + INTERVAL * bursts as u32)
    }

    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= Instant::now())
    }
}

impl Iterator for Paced {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        let due = self.due()?;
        let wait = due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            thread::sleep(wait);
        }
        let number = self.numbers.next()?;
        Some(Event { number, due: (due - self.start).as_nanos() as u64 })
    }
}

/// Linux lets a sleep last 50 µs longer than was asked for; this thread's shall not.
fn finer_sleep() {
    let told = fs::read_link("/proc/thread-self");
    if let Some(thread) = told.as_deref().ok().and_then(|path| path.file_name()?.to_str()) {
        // Where it may not be said, all contenders sleep as badly.
        let _ = fs::write(format!("/proc/{thread}/timerslack_ns"), "1");
    }
}

/// What the sink writes down.
#[derive(Clone)]
struct Book {
    start: Instant,
    sum: u64,
    nanos: Vec<u64>,
}

impl Book {
    fn new(start: Instant, records: u64) -> Self {
        Self { start, sum: 0, nanos: Vec::with_capacity(records as usize) }
    }

    fn enter(&mut self, event: Event) {
        self.sum += event.number;
        let now = self.start.elapsed().as_nanos() as u64;
        self.nanos.push(now.saturating_sub(event.due));
    }

    fn close(mut self) -> Outcome {
        self.nanos.sort_unstable();
        let last = self.nanos.len().saturating_sub(1);
        let at = |part: f64| {
            let place = (last as f64 * part).round() as usize;
            self.nanos.get(place).map_or(f64::NAN, |nanos| *nanos as f64 / 1_000.0)
        };
        let latency = Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999) };
        Outcome { checksum: self.sum, latency: Some(latency) }
    }
}

/// Sends from a thread of its own, and tries again where there is no room.
fn from_thread<R>(
    records: u64,
    offer: impl Fn(Event) -> bool + Send + 'static,
    run: impl FnOnce(Instant) -> R,
) -> R {
    let start = Instant::now() + LEAD;
    thread::scope(|scope| {
        scope.spawn(move || {
            for event in Paced::new(start, records) {
                while !offer(event) {
                    thread::yield_now();
                }
            }
        });
        run(start)
    })
}

async fn sink(mut events: mpsc::Receiver<Event>, mut book: Book) -> Book {
    while let Some(event) = events.recv().await {
        book.enter(event);
    }
    book
}

/// The limit: what the source's own wake and one channel cost. The sink does all hops.
fn straight(runtime: &Runtime, records: u64) -> Outcome {
    let (sender, mut events) = mpsc::channel(CAPACITY);
    let offer = move |event| sender.try_send(event).is_ok();
    from_thread(records, offer, |start| {
        let mut book = Book::new(start, records);
        runtime.block_on(async {
            let sink = tokio::spawn(async move {
                while let Some(event) = events.recv().await {
                    book.enter(hop(hop(hop(event))));
                }
                book
            });
            sink.await.expect("nothing panics").close()
        })
    })
}

fn tokio_mpsc(runtime: &Runtime, records: u64) -> Outcome {
    fn stage(mut input: mpsc::Receiver<Event>) -> mpsc::Receiver<Event> {
        let (sender, output) = mpsc::channel(CAPACITY);
        tokio::spawn(async move {
            while let Some(event) = input.recv().await {
                if sender.send(hop(event)).await.is_err() {
                    break;
                }
            }
        });
        output
    }
    let (sender, events) = mpsc::channel(CAPACITY);
    let offer = move |event| sender.try_send(event).is_ok();
    from_thread(records, offer, |start| {
        let book = Book::new(start, records);
        runtime.block_on(async {
            let sink = tokio::spawn(sink(stage(stage(stage(events))), book));
            sink.await.expect("nothing panics").close()
        })
    })
}

fn millstream(runtime: &Runtime, records: u64) -> Outcome {
    hops(runtime, records, identity)
}

fn woken_by_io(runtime: &Runtime, records: u64) -> Outcome {
    hops(runtime, records, source::woken_by_io)
}

/// As many stages and channels as `tokio_mpsc` has: the first hop is part of what reads the queue.
fn hops<F: SourceFactory<Source: Source<Item = Event>>>(
    runtime: &Runtime,
    records: u64,
    wake: impl FnOnce(Queue<Event>) -> F,
) -> Outcome {
    let (handle, events) = source::queue(CAPACITY);
    let offer = move |event| handle.offer(event).is_accepted();
    from_thread(records, offer, |start| {
        let flow = Dataflow::new("hops");
        let book = flow
            .source("events", wake(events))
            .map(hop)
            .boundary()
            .map(hop)
            .boundary()
            .map(hop)
            .boundary()
            .fold(Book::new(start, records), Book::enter);
        runtime::run(runtime, &flow, book).close()
    })
}

fn fused(runtime: &Runtime, records: u64) -> Outcome {
    let (handle, events) = source::queue(CAPACITY);
    let offer = move |event| handle.offer(event).is_accepted();
    from_thread(records, offer, |start| {
        let flow = Dataflow::new("hops");
        let events = flow.source("events", events);
        let book = events.map(hop).map(hop).map(hop).fold(Book::new(start, records), Book::enter);
        runtime::run(runtime, &flow, book).close()
    })
}

/// The worker is the source as well: it sleeps until records are due, and steps until they are
/// through.
fn timely(records: u64) -> Outcome {
    let start = Instant::now() + LEAD;
    let config = timely::Config::thread();
    let workers = timely::execute(config, move |worker| {
        let book = Rc::new(RefCell::new(Book::new(start, records)));
        let entered = Rc::clone(&book);
        let mut input = InputHandle::<u64, _>::new();
        let probe = ProbeHandle::new();
        worker.dataflow(|scope| {
            let events = scope.input_from(&mut input);
            let hops = events.map(hop).map(hop).map(hop);
            hops.inspect(move |event| entered.borrow_mut().enter(*event)).probe_with(&probe);
        });
        let mut events = Paced::new(start, records);
        while let Some(event) = events.next() {
            input.send(event);
            while events.is_due() {
                events.next().into_iter().for_each(|event| input.send(event));
            }
            input.advance_to(events.numbers.start);
            while probe.less_than(input.time()) {
                worker.step();
            }
        }
        drop(input);
        super::finish(worker);
        let book = book.borrow().clone();
        book
    });
    let mut books = workers.expect("the worker starts").join().into_iter();
    books.next().expect("there is one").expect("the worker does not panic").close()
}

/// Its source paces itself too; each block has a thread.
fn renoir(records: u64) -> Outcome {
    let start = Instant::now() + LEAD;
    let environment = super::renoir(1);
    let book = Arc::new(Mutex::new(Book::new(start, records)));
    let entered = Arc::clone(&book);
    environment
        .stream_iter(Paced::new(start, records))
        .batch_mode(BatchMode::single())
        .shuffle()
        .map(hop)
        .shuffle()
        .map(hop)
        .shuffle()
        .map(hop)
        .shuffle()
        .for_each(move |event| entered.lock().expect("nothing panics").enter(event));
    environment.execute_blocking();
    let book = book.lock().expect("nothing panics").clone();
    book.close()
}
