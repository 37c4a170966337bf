//! A workload and those who run it.

use tokio::runtime::Runtime;

use crate::results::{Latency, Measure, Reach};
use crate::runtime::runtime;

/// One table: the same work, done by all of its contenders. The first is the limit.
pub(crate) struct Workload {
    /// What it is asked for by: `w3-combined` is also met by `w3`.
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    /// How many records a contender processes that takes no smaller share.
    pub(crate) records: u64,
    /// Whether its threads have the priority of real time: nothing else interrupts them.
    pub(crate) real_time: bool,
    pub(crate) contenders: Vec<Contender>,
}

/// Who wrote the code that a contender measures.
#[derive(Clone, Copy)]
pub(crate) enum By {
    /// A loop or threads written by hand: what the others are measured against.
    Hand,
    Millstream,
    /// A crate, by its name in `Cargo.lock`.
    Peer(&'static str),
}

/// What came of a run: a checksum of the results, and the latencies where those are the question.
pub(crate) struct Outcome {
    pub(crate) checksum: u64,
    pub(crate) latency: Option<Latency>,
}

impl From<u64> for Outcome {
    fn from(checksum: u64) -> Self {
        Self { checksum, latency: None }
    }
}

/// What the contenders of a table all do.
#[derive(Clone, Copy)]
pub(crate) struct Work<I, E> {
    /// Makes what they are given, for so many records.
    pub(crate) input: I,
    /// The checksum that they must come to.
    pub(crate) expected: E,
}

impl<T, I, E> Work<I, E>
where
    T: Copy + 'static,
    I: Fn(u64) -> T + Copy + 'static,
    E: Fn(T) -> u64 + Copy + 'static,
{
    /// A contender that needs nothing else.
    pub(crate) fn alone<O: Into<Outcome> + 'static>(
        self,
        name: &'static str,
        by: By,
        run: impl Fn(T) -> O + Copy + 'static,
    ) -> Contender {
        Contender::new(name, by, move |records| {
            let input = (self.input)(records);
            (move || run(input), (self.expected)(input))
        })
    }

    /// One that runs on tokio with so many workers.
    pub(crate) fn on<O: Into<Outcome> + 'static>(
        self,
        workers: usize,
        name: &'static str,
        by: By,
        run: impl Fn(&Runtime, T) -> O + Copy + 'static,
    ) -> Contender {
        Contender::new(name, by, move |records| {
            let (runtime, input) = (runtime(workers), (self.input)(records));
            (move || run(&runtime, input), (self.expected)(input))
        })
    }
}

/// The part of a run that is measured.
type Run = Box<dyn Fn() -> Outcome>;

/// One way to do the work.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) by: By,
    /// It processes one so-many-th of the records, because it is slow. Figures are by record.
    pub(crate) share: u64,
    pub(crate) reaches: Vec<Reach>,
    prepare: Box<dyn Fn(u64) -> (Run, u64)>,
}

impl Contender {
    /// `prepare` makes what is needed for so many records and is not measured; what it returns is:
    /// the run, and the checksum that the run must come to.
    pub(crate) fn new<R, O>(
        name: &'static str,
        by: By,
        prepare: impl Fn(u64) -> (R, u64) + 'static,
    ) -> Self
    where
        R: Fn() -> O + 'static,
        O: Into<Outcome>,
    {
        let prepare = move |records| {
            let (run, expected) = prepare(records);
            let run: Run = Box::new(move || run().into());
            (run, expected)
        };
        Self { name, by, share: 1, reaches: Vec::new(), prepare: Box::new(prepare) }
    }

    /// Processes one so-many-th of the records.
    pub(crate) fn share(mut self, share: u64) -> Self {
        self.share = share;
        self
    }

    /// What is to be reached: at most `must` times the figure of the contender named `against`, and
    /// better `aim`.
    pub(crate) fn reach(
        mut self,
        measure: Measure,
        must: f64,
        aim: f64,
        against: &'static str,
    ) -> Self {
        self.reaches.push(Reach { measure, must, aim, against: against.into() });
        self
    }

    /// The run of so many records, and the checksum that it must come to.
    pub(crate) fn prepare(&self, records: u64) -> (Run, u64) {
        (self.prepare)(records)
    }
}
