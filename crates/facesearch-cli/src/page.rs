//! Reports to look at: one self-contained page of HTML.
//!
//! Nothing is fetched: style, script and pictures are in the page, and a content security policy in
//! it forbids the rest, so a report about faces tells nobody that it was opened. The script only
//! sorts tables; without it everything can still be read. Colours follow the reader's light or dark
//! mode; plots are SVG in the same colours.

mod answer;
mod crop;
mod plot;

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

pub(crate) use crop::crop;
pub(crate) use plot::{Axis, Plot, Series};

use crate::exit::Unwritable;
use crate::printer::escape_lines;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/sort.js");

/// The content security policy: nothing but what is in the page.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
                      script-src 'unsafe-inline'";

/// A page under way.
pub(crate) struct Page {
    title: String,
    parts: Vec<Markup>,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), parts: Vec::new() }
    }

    /// Adds a section with its own heading.
    pub(crate) fn section(&mut self, heading: &str, content: Markup) {
        self.parts.push(html! { section { h2 { (heading) } (content) } });
    }

    /// Writes the page to a file, in place of what was there.
    pub(crate) fn write(self, file: &Path) -> anyhow::Result<()> {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header { h1 { (self.title) } p { "facesearch " (env!("CARGO_PKG_VERSION")) } }
                    main { @for part in self.parts { (part) } }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        // A page may be shown in a terminal, too; its own text has line ends and nothing else.
        std::fs::write(file, escape_lines(&page.into_string())).map_err(Unwritable::file(file))?;
        Ok(())
    }
}

/// A table whose columns sort when their headings are pressed; cells that are numbers sort as such.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="table" {
            table {
                thead { tr { @for heading in headings {
                    th scope="col" { button type="button" { (heading) } }
                } } }
                tbody { @for row in rows {
                    tr { @for cell in row { td { (cell) } } }
                } }
            }
        }
    }
}

/// A distance on the scale of the threshold: a bar from 0 to twice the threshold, with a mark at
/// it.
pub(crate) fn scale(distance: f32, threshold: f32) -> Markup {
    let part = (distance / (2.0 * threshold).max(1e-6)).clamp(0.0, 1.0);
    let within = if distance <= threshold { "near" } else { "far" };
    let words = format!("distance {distance:.3}, threshold {threshold:.3}");
    html! {
        svg.scale viewBox="0 0 200 16" role="img" aria-label=(words) {
            title { (words) }
            rect.track x="0" y="5" width="200" height="6" {}
            rect class=(within) x="0" y="5" width=(format!("{:.1}", 200.0 * part)) height="6" {}
            line.mark x1="100" y1="0" x2="100" y2="16" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_escaped_and_nothing_is_fetched() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("page.html");
        let mut page = Page::new("<script>alert(1)</script>");
        page.section("a & b", table(&["x"], &[vec!["</table><img src=http://x>".into()]]));
        let line = Series { name: "one".into(), points: vec![(0.0, 0.0), (0.5, 1.0), (2.0, 0.3)] };
        let plot =
            Plot { title: "p", x: Axis::linear("x"), y: Axis::linear("y"), series: vec![line] };
        page.section("plot", plot.draw());
        page.section("scale", scale(0.4, 0.55));
        page.write(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(!text.contains("<script>alert") && !text.contains("<img src=http"));
        assert!(!text.contains("http://x\"") && !text.contains("https://"));
        assert_eq!(text.matches("<svg").count(), 2);
        // The page's own script asks `Number.isNaN`.
        assert!(!text.replace("isNaN", "").contains("NaN"));
    }
}
