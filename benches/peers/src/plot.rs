//! A plot: a bar for each contender, on a logarithmic scale, with the range of its rounds.

use std::fmt::Write as _;

use crate::results::{Row, Side, Spread, Table};
use crate::tables::figure;

const WIDTH: f64 = 860.0;
/// Where the names end and the bars begin.
const LEFT: f64 = 300.0;
/// Room behind the longest bar for its figure.
const RIGHT: f64 = 90.0;
const TOP: f64 = 52.0;
const STEP: f64 = 26.0;
const BAR: f64 = 16.0;

/// What the bars measure is what the table ranks by, as times the limit's median.
pub(crate) fn bars(table: &Table) -> String {
    let Some(measure) = table.measures().first().copied() else { return String::new() };
    let limit = table.rows.first().and_then(|row| row.median(measure)).unwrap_or(f64::NAN);
    let spread = |row: &Row| Some(row.spread(measure)? / limit);
    let spreads: Vec<Option<Spread>> = table.rows.iter().map(spread).collect();
    let scale = Scale::over(spreads.iter().flatten());
    let height = TOP + STEP * table.rows.len() as f64 + 30.0;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}</text>\n\
         <text x=\"12\" y=\"38\" fill=\"#555\">{}: {}, times the first row; logarithmic</text>",
        escaped(&table.question),
        escaped(&table.name),
        measure.name(),
    );
    axis(&mut svg, &scale, height - 30.0);
    for (at, (row, spread)) in table.rows.iter().zip(spreads).enumerate() {
        bar(&mut svg, &scale, TOP + STEP * at as f64, row, spread);
    }
    svg.push_str("</svg>\n");
    svg
}

/// From times the limit to a place on the page.
struct Scale {
    least: f64,
    most: f64,
}

impl Scale {
    /// From the power of ten below all to the one above.
    fn over<'a>(spreads: impl Iterator<Item = &'a Spread>) -> Self {
        let (mut least, mut most) = (1.0_f64, 1.0_f64);
        for spread in spreads {
            least = least.min(spread.least);
            most = most.max(spread.most);
        }
        // A bar that ends at the limit must still be seen.
        let least = (least.log10() - 0.1).floor();
        Self { least, most: most.log10().ceil().max(least + 1.0) }
    }

    fn x(&self, times: f64) -> f64 {
        let part = (times.log10() - self.least) / (self.most - self.least);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }
}

/// A line at each power of ten, the limit's a dark one.
fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    for power in scale.least as i32..=scale.most as i32 {
        let times = 10_f64.powi(power);
        let x = scale.x(times);
        let color = if power == 0 { "#333" } else { "#ddd" };
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\" \
             stroke=\"{color}\"/>\n\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#555\">{times}</text>",
            bottom + 16.0
        );
    }
}

fn bar(svg: &mut String, scale: &Scale, y: f64, row: &Row, spread: Option<Spread>) {
    let color = match row.side {
        Side::Hand => "#9a9a9a",
        Side::Millstream => "#1f6fb4",
        Side::Peer => "#e0a458",
    };
    let middle = y + BAR / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
        LEFT - 8.0,
        middle + 4.0,
        escaped(&row.name)
    );
    let Some(spread) = spread else { return };
    let (least, end, most) = (scale.x(spread.least), scale.x(spread.median), scale.x(spread.most));
    let _ = writeln!(
        svg,
        "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{color}\"/>\n\
         <line x1=\"{least:.1}\" y1=\"{middle:.1}\" x2=\"{most:.1}\" y2=\"{middle:.1}\" \
         stroke=\"black\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
        end - LEFT,
        end.max(most) + 6.0,
        middle + 4.0,
        figure(spread.median)
    );
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
