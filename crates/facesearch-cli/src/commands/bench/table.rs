//! The table that both benches print, a row as soon as it is known.

use super::peers::Rate;
use crate::printer::Printer;

pub(super) fn head(out: &mut Printer, unit: &str) -> anyhow::Result<()> {
    out.line(format!(
        "| work | threads | batch | facesearch, {unit} | peer | its {unit} | ratio |"
    ))?;
    out.line("|---|---|---|---|---|---|---|")
}

/// One row for each peer; without peers one for ourselves.
pub(super) fn row(
    out: &mut Printer,
    work: &str,
    threads: u16,
    batch: Option<usize>,
    ours: f64,
    peers: &[Rate],
) -> anyhow::Result<()> {
    let batch = batch.map_or_else(|| "-".to_owned(), |batch| batch.to_string());
    let begin = format!("| {work} | {threads} | {batch} | {ours:.1} |");
    if peers.is_empty() {
        out.line(format!("{begin} | | |"))?;
    }
    for Rate { peer, rate } in peers {
        out.line(format!("{begin} {peer} | {rate:.1} | {:.2} |", ours / rate))?;
    }
    out.flush()
}
