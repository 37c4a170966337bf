//! What a run of the benches came to, as it is written to a file and read for the page.

use std::collections::BTreeMap;
use std::ops::Div;

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// One run of the command.
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// As it was typed.
    pub(crate) command: String,
    pub(crate) rounds: usize,
    /// The part of the usual number of records that was processed; anything but 1 is a trial.
    pub(crate) scale: f64,
    /// Of the peers and of Millstream, by crate.
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) tables: Vec<Table>,
}

/// One workload's contenders. The first is the limit.
#[derive(Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) question: String,
    pub(crate) records: u64,
    pub(crate) rows: Vec<Row>,
    /// How many nanoseconds a line of cache took from core to core, before each round.
    pub(crate) crossings: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Side {
    Hand,
    Millstream,
    Peer,
}

/// One contender, and a sample for each round.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) side: Side,
    pub(crate) reaches: Vec<Reach>,
    pub(crate) samples: Vec<Sample>,
}

/// Against whom a reach is that does not name another contender.
pub(crate) const FASTEST: &str = "the fastest peer";

/// What a contender is to reach: at most `must` times the figure of another, and better `aim`.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Reach {
    pub(crate) measure: Measure,
    pub(crate) must: f64,
    pub(crate) aim: f64,
    /// A contender of the same table, or [`FASTEST`].
    pub(crate) against: String,
}

/// One measurement, in a process of its own.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Nanoseconds a record.
    pub(crate) wall: f64,
    /// Nanoseconds a record of all threads together.
    pub(crate) cpu: f64,
    /// The most memory that the process ever held, its input included, in MiB.
    pub(crate) peak: f64,
    pub(crate) latency: Option<Latency>,
}

/// From the moment that a record was due until it came out, in microseconds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// A figure of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Measure {
    Wall,
    Cpu,
    Peak,
    P50,
    P99,
    P999,
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "CPU",
            Self::Peak => "peak",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        }
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Wall | Self::Cpu => "ns",
            Self::Peak => "MiB",
            Self::P50 | Self::P99 | Self::P999 => "µs",
        }
    }

    fn of(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Wall => Some(sample.wall),
            Self::Cpu => Some(sample.cpu),
            Self::Peak => Some(sample.peak),
            Self::P50 => sample.latency.map(|latency| latency.p50),
            Self::P99 => sample.latency.map(|latency| latency.p99),
            Self::P999 => sample.latency.map(|latency| latency.p999),
        }
    }
}

/// A measure over all rounds.
#[derive(Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
    /// Where the median of ever so many rounds would be, in nine of ten cases.
    pub(crate) middle: (f64, f64),
}

impl Spread {
    /// None of nothing.
    fn of(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let (count, last) = (sorted.len() as f64, sorted.len() - 1);
        let median = (sorted[last / 2] + sorted[sorted.len() / 2]) / 2.0;
        // How many lie below the true median is binomial: 1.645 standard deviations to either side
        // of the half of them.
        let below = (count / 2.0 - 0.82 * count.sqrt()).max(0.0) as usize;
        Some(Self { least, median, most, middle: (sorted[below], sorted[last - below]) })
    }
}

impl Div<f64> for Spread {
    type Output = Self;

    fn div(self, by: f64) -> Self {
        Self {
            least: self.least / by,
            median: self.median / by,
            most: self.most / by,
            middle: (self.middle.0 / by, self.middle.1 / by),
        }
    }
}

impl Row {
    /// None if no sample has it.
    pub(crate) fn spread(&self, measure: Measure) -> Option<Spread> {
        Spread::of(self.samples.iter().filter_map(|sample| measure.of(sample)))
    }

    pub(crate) fn median(&self, measure: Measure) -> Option<f64> {
        self.spread(measure).map(|spread| spread.median)
    }

    /// How many times `other` it takes, round by round. Within a round the two had the same
    /// machine, which from the first round to the last may have changed a lot.
    pub(crate) fn ratios(&self, other: &Self, measure: Measure) -> Option<Spread> {
        let rounds = self.samples.iter().zip(&other.samples);
        let ratio = |(own, its)| Some(measure.of(own)? / measure.of(its)?);
        Spread::of(rounds.filter_map(ratio))
    }

    /// How many times `other` it takes: the median of the rounds' ratios.
    pub(crate) fn ratio(&self, other: &Self, measure: Measure) -> Option<f64> {
        self.ratios(other, measure).map(|ratios| ratios.median)
    }
}

impl Table {
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Whom a row is to be compared with.
    pub(crate) fn against(&self, reach: &Reach) -> Option<&Row> {
        if reach.against == FASTEST {
            return self.best(Side::Peer, reach.measure);
        }
        self.row(&reach.against)
    }

    /// Those between whom the rounds do not tell whether a must is held, by their places.
    pub(crate) fn undecided(&self) -> Vec<usize> {
        let mut names = Vec::new();
        for row in &self.rows {
            for reach in &row.reaches {
                let Some(other) = self.against(reach) else { continue };
                let middle = row.ratios(other, reach.measure).map(|ratios| ratios.middle);
                if middle.is_some_and(|(low, high)| low <= reach.must && reach.must < high) {
                    names.extend([&row.name, &other.name]);
                }
            }
        }
        let rows = self.rows.iter().enumerate();
        rows.filter(|(_, row)| names.contains(&&row.name)).map(|(at, _)| at).collect()
    }

    /// Who of a side takes least, by the median.
    pub(crate) fn best(&self, side: Side, measure: Measure) -> Option<&Row> {
        let rows = self.rows.iter().filter(|row| row.side == side);
        let figures = rows.filter_map(|row| Some((row, row.median(measure)?)));
        figures.min_by(|one, other| one.1.total_cmp(&other.1)).map(|(row, _)| row)
    }

    /// How far apart the cores were, in nanoseconds.
    pub(crate) fn crossing(&self) -> Option<Spread> {
        Spread::of(self.crossings.iter().copied())
    }

    /// How many times the limit a row takes.
    pub(crate) fn ratio(&self, row: &Row, measure: Measure) -> Option<f64> {
        row.ratio(self.rows.first()?, measure)
    }

    /// The first of the measures is the one that the contenders are ranked by.
    pub(crate) fn measures(&self) -> &'static [Measure] {
        let timed = |row: &Row| row.median(Measure::P50).is_some();
        if self.rows.iter().any(timed) {
            &[Measure::P50, Measure::P99, Measure::P999, Measure::Cpu, Measure::Peak]
        } else {
            &[Measure::Wall, Measure::Cpu, Measure::Peak]
        }
    }
}
