//! The part of the page about how costs grow: a plot and a table for each curve of the bench
//! `scaling`.

use std::fmt::Write as _;

use crate::curve::{Aim, Measured, Point};
use crate::plot::escaped;
use crate::tables::figure;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 610.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 270.0;

/// Cases have no order, so that a line from one to the next would mean nothing.
pub(crate) fn is_plotted(curve: &Measured) -> bool {
    !curve.x.is_empty() && curve.points.len() > 1
}

pub(crate) fn plot_file(curve: &Measured) -> String {
    format!("scaling-{}.svg", curve.name)
}

pub(crate) fn section(page: &mut String, curves: &[Measured]) {
    if curves.is_empty() {
        return;
    }
    page.push_str(
        "\n## Scaling\n\nOf `cargo bench -p millstream-benches --bench scaling`, each point in a \
         process of its own; medians.\n",
    );
    for curve in curves {
        let _ = writeln!(page, "\n### {}: {}\n", curve.name, curve.question);
        if is_plotted(curve) {
            let _ = writeln!(page, "![{}](plots/{})\n", curve.name, plot_file(curve));
        }
        let aim = match curve.aim {
            Aim::AtMost { aim, must: None } => format!("Aimed at {} at most.\n\n", figure(aim)),
            Aim::AtMost { aim, must: Some(must) } => {
                format!("Must be {} at most; aimed at {}.\n\n", figure(must), figure(aim))
            }
            Aim::Flat(times) => {
                format!("Aimed at no point of more than {} times a smaller one.\n\n", figure(times))
            }
            Aim::Shown => String::new(),
        };
        let _ = writeln!(page, "{aim}| {} | {} | min to max |\n|---|---:|---:|", curve.x, curve.y);
        for point in &curve.points {
            let (least, most) = point.range();
            let [median, least, most] = [point.median(), least, most].map(figure);
            let _ = writeln!(page, "| {} | {median} | {least} to {most} |", point.label);
        }
    }
}

/// Sizes on a logarithmic axis, so that ten times as many are always as far away; costs from zero.
pub(crate) fn plot(curve: &Measured) -> String {
    let aim = if let Aim::AtMost { aim, .. } = curve.aim { aim } else { 0.0 };
    let highest = curve.points.iter().map(|point| point.range().1).fold(aim, f64::max);
    let place = Place::of(&curve.points, highest);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"12\" y=\"20\" font-size=\"14\" font-weight=\"bold\">{}</text>\n\
         <text x=\"12\" y=\"40\" fill=\"#555\">{}, over {}</text>\n\
         <path d=\"M{LEFT} {TOP}V{BOTTOM}H{RIGHT}\" fill=\"none\" stroke=\"#333\"/>",
        escaped(&curve.name),
        escaped(&curve.y),
        escaped(&curve.x),
    );
    if aim > 0.0 {
        let y = place.y(aim);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#b43a1f\" stroke-dasharray=\"4\"/>\n\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#b43a1f\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            figure(aim)
        );
    }
    let corners: Vec<String> = curve
        .points
        .iter()
        .map(|point| format!("{:.1},{:.1}", place.x(point.at), place.y(point.median())))
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f6fb4\" stroke-width=\"2\"/>",
        corners.join(" ")
    );
    for point in &curve.points {
        mark(&mut svg, &place, point);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A point with its range, its cost above it and its size below the axis.
fn mark(svg: &mut String, place: &Place, point: &Point) {
    let (least, most) = point.range();
    let (x, y) = (place.x(point.at), place.y(point.median()));
    let (least, most) = (place.y(least), place.y(most));
    let _ = writeln!(
        svg,
        "<path d=\"M{x:.1} {least:.1}V{most:.1}\" stroke=\"black\"/>\n\
         <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#1f6fb4\"/>\n\
         <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
         <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#555\">{}</text>",
        most - 8.0,
        figure(point.median()),
        BOTTOM + 18.0,
        escaped(&point.label)
    );
}

/// From sizes and costs to places in the plot.
struct Place {
    least: f64,
    most: f64,
    highest: f64,
}

impl Place {
    fn of(points: &[Point], highest: f64) -> Self {
        let sizes = points.iter().map(|point| logarithm(point.at));
        let least = sizes.clone().fold(f64::INFINITY, f64::min);
        Self { least, most: sizes.fold(least, f64::max), highest: highest.max(f64::MIN_POSITIVE) }
    }

    fn x(&self, at: u64) -> f64 {
        let margin = 30.0;
        let part = (logarithm(at) - self.least) / (self.most - self.least);
        LEFT + margin + part * (RIGHT - LEFT - 2.0 * margin)
    }

    fn y(&self, cost: f64) -> f64 {
        // Room above the highest for its figure.
        BOTTOM - cost / self.highest * (BOTTOM - TOP - 20.0)
    }
}

/// None of something stands where a tenth would.
fn logarithm(size: u64) -> f64 {
    if size == 0 { -1.0 } else { (size as f64).log10() }
}
