//! A curve: a cost at some sizes. `peers` compiles this file, too, and plots what was measured.

use serde::{Deserialize, Serialize};

/// What is measured, and what is aimed at.
pub(crate) struct Curve {
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    /// What grows from point to point. Empty where the points are cases and not sizes.
    pub(crate) x: &'static str,
    /// What a point costs, with its unit.
    pub(crate) y: &'static str,
    pub(crate) aim: Aim,
    pub(crate) points: &'static [Size],
    pub(crate) measure: fn(u64) -> Result<f64, String>,
}

/// A size and what it is called.
pub(crate) struct Size(pub(crate) u64, pub(crate) &'static str);

/// What every point, or the whole curve, is held to.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Aim {
    /// No point costs more than this, and what none may cost more than.
    AtMost { aim: f64, must: Option<f64> },
    /// No point may cost more than so many times the cheapest one of smaller size: no cliff.
    Flat(f64),
    /// It is shown, and that is all.
    Shown,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Point {
    pub(crate) at: u64,
    pub(crate) label: String,
    /// One of each round.
    pub(crate) samples: Vec<f64>,
}

impl Point {
    pub(crate) fn new(Size(at, label): &Size) -> Self {
        Self { at: *at, label: (*label).to_owned(), samples: Vec::new() }
    }

    pub(crate) fn median(&self) -> f64 {
        self.sorted().get(self.samples.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The least and the most of all rounds.
    pub(crate) fn range(&self) -> (f64, f64) {
        let sorted = self.sorted();
        let [least, most] = [sorted.first(), sorted.last()].map(|end| *end.unwrap_or(&f64::NAN));
        (least, most)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

/// How a point compares with what it is held to.
pub(crate) struct Verdict {
    pub(crate) line: String,
    /// It costs more than it may.
    pub(crate) broken: bool,
    /// It costs more than was aimed at.
    pub(crate) missed: bool,
}

/// A curve as it came out.
#[derive(Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) question: String,
    pub(crate) x: String,
    pub(crate) y: String,
    pub(crate) aim: Aim,
    pub(crate) points: Vec<Point>,
}

impl Measured {
    pub(crate) fn new(curve: &Curve, points: Vec<Point>) -> Self {
        let [name, question, x, y] =
            [curve.name, curve.question, curve.x, curve.y].map(str::to_owned);
        Self { name, question, x, y, aim: curve.aim, points }
    }

    /// What is to be said of each point that is held to something, and of every cliff.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let mut cheapest = f64::INFINITY;
        let mut verdicts = Vec::new();
        for point in &self.points {
            let cost = point.median();
            let mut line = format!("{}, {}: {cost:.2} {}", self.name, point.label, self.y);
            match self.aim {
                Aim::AtMost { aim, must } => {
                    let broken = must.is_some_and(|must| cost > must);
                    if let Some(must) = must {
                        let held = if broken { "**broken**" } else { "held" };
                        line.push_str(&format!("; must be {must}: {held}"));
                    }
                    let missed = cost > aim;
                    let reached = if missed { "missed" } else { "reached" };
                    line.push_str(&format!("; aim {aim}: {reached}"));
                    verdicts.push(Verdict { line, broken, missed });
                }
                Aim::Flat(times) if cost > times * cheapest => {
                    line.push_str(&format!("; must be {:.2}: **broken**", times * cheapest));
                    verdicts.push(Verdict { line, broken: true, missed: true });
                }
                Aim::Flat(_) | Aim::Shown => {}
            }
            cheapest = cheapest.min(cost);
        }
        verdicts
    }

    /// For the terminal.
    pub(crate) fn table(&self) -> String {
        let Self { name, question, y, .. } = self;
        let mut lines = vec![format!("\n{name}: {question}\n{y}\n")];
        for point in &self.points {
            let (median, (least, most)) = (point.median(), point.range());
            let range = format!("{least:>10.2} to {most:.2}");
            lines.push(format!("{:<32} {median:>10.2} {range}", point.label));
        }
        lines.extend(self.verdicts().into_iter().map(|verdict| verdict.line));
        lines.join("\n")
    }
}
