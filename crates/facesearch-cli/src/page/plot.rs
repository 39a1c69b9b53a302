//! Curves as SVG.

use std::fmt::Write;

use maud::{Markup, html};

/// Where a plot's frame lies in its 480 by 320 units.
const FRAME: (f64, f64, f64, f64) = (56.0, 12.0, 408.0, 252.0);
/// Points of a curve that are drawn at most; more than the screen has are thinned out.
const POINTS: usize = 600;

/// A direction of a plot.
pub(crate) struct Axis {
    name: &'static str,
    /// Powers of ten rather than numbers.
    logarithmic: bool,
}

impl Axis {
    pub(crate) fn linear(name: &'static str) -> Self {
        Self { name, logarithmic: false }
    }

    pub(crate) fn logarithmic(name: &'static str) -> Self {
        Self { name, logarithmic: true }
    }

    fn place(&self, value: f64) -> Option<f64> {
        let placed = if self.logarithmic { value.log10() } else { value };
        placed.is_finite().then_some(placed)
    }

    /// From where to where the values go; never nothing.
    fn range(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let placed = values.filter_map(|value| self.place(value));
        let (low, high) =
            placed.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        match (self.logarithmic, high - low) {
            (_, span) if !span.is_finite() => (0.0, 1.0),
            (true, _) => (low.floor(), high.ceil().max(low.floor() + 1.0)),
            (false, span) if span <= 0.0 => (low - 0.5, high + 0.5),
            // Shares are drawn from 0 to 1, whatever is used of that.
            (false, _) if low >= 0.0 && high <= 1.0 => (0.0, 1.0),
            (false, _) => (low, high),
        }
    }

    fn ticks(&self, (low, high): (f64, f64)) -> Vec<(f64, String)> {
        if self.logarithmic {
            let powers = low as i32..=high as i32;
            return powers.map(|p| (f64::from(p), format!("{}", 10f64.powi(p)))).collect();
        }
        (0..=5)
            .map(|i| low + (high - low) * f64::from(i) / 5.0)
            .map(|v| (v, format!("{v:.2}")))
            .collect()
    }
}

/// A curve with its name.
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Curves in a frame.
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

impl Plot {
    /// The plot as part of a page.
    pub(crate) fn draw(&self) -> Markup {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let x_range = self.x.range(points().map(|point| point.0));
        let y_range = self.y.range(points().map(|point| point.1));
        let (left, top, width, height) = FRAME;
        let part = |value: f64, range: (f64, f64)| (value - range.0) / (range.1 - range.0);
        let at_x = |placed: f64| left + width * part(placed, x_range);
        let at_y = |placed: f64| top + height * (1.0 - part(placed, y_range));
        let path = |series: &Series| {
            let step = series.points.len().div_ceil(POINTS).max(1);
            let last = series.points.len().saturating_sub(1);
            let kept = series.points.iter().enumerate();
            let kept = kept.filter(|(i, _)| i % step == 0 || *i == last);
            let mut path = String::new();
            for (_, (x, y)) in kept {
                let (Some(x), Some(y)) = (self.x.place(*x), self.y.place(*y)) else { continue };
                let start = if path.is_empty() { "M" } else { "L" };
                let _ = write!(path, "{start}{:.1} {:.1}", at_x(x), at_y(y));
            }
            path
        };
        html! {
            figure {
                figcaption { (self.title) }
                svg.plot viewBox="0 0 480 320" role="img" aria-label=(self.title) {
                    @for (value, label) in self.x.ticks(x_range) {
                        line.grid x1=(at_x(value)) x2=(at_x(value)) y1=(top) y2=(top + height) {}
                        text x=(at_x(value)) y=(top + height + 16.0) text-anchor="middle" {
                            (label)
                        }
                    }
                    @for (value, label) in self.y.ticks(y_range) {
                        line.grid x1=(left) x2=(left + width) y1=(at_y(value)) y2=(at_y(value)) {}
                        text x=(left - 6.0) y=(at_y(value) + 4.0) text-anchor="end" { (label) }
                    }
                    text x=(left + width / 2.0) y="304" text-anchor="middle" { (self.x.name) }
                    text transform=(format!("translate(14 {}) rotate(-90)", top + height / 2.0))
                        text-anchor="middle" { (self.y.name) }
                    @for (number, series) in self.series.iter().enumerate() {
                        path class=(format!("curve c{}", number % 4)) d=(path(series)) {
                            title { (series.name) }
                        }
                    }
                }
                @if self.series.len() > 1 {
                    ul.legend { @for (number, series) in self.series.iter().enumerate() {
                        li class=(format!("c{}", number % 4)) { (series.name) }
                    } }
                }
            }
        }
    }
}
