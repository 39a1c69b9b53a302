//! Answers as a table: one row per face, as text (CSV) or with types (Parquet).
//!
//! In CSV, text that a spreadsheet would take for a formula has an apostrophe in front
//! ([`guard_cell`]); numbers have none.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::Context;
use facesearch::{Cell, Kind, PhotoAnswer, guard_cell, unguard_cell, write_table};

use crate::printer::shown;

const COLUMNS: [(&str, Kind); 15] = [
    ("image", Kind::Text),
    ("face", Kind::Whole),
    ("x", Kind::Single),
    ("y", Kind::Single),
    ("width", Kind::Single),
    ("height", Kind::Single),
    ("score", Kind::Single),
    ("decision", Kind::Text),
    ("identity", Kind::Text),
    ("distance", Kind::Single),
    ("photo", Kind::Text),
    ("support", Kind::Whole),
    ("error", Kind::Text),
    ("crowd_score", Kind::Double),
    ("stranger_chance", Kind::Double),
];

/// Where the decision is.
pub(super) const DECISION: usize = 7;

/// The names of the columns as a line of CSV.
pub(super) fn csv_head() -> anyhow::Result<Vec<u8>> {
    csv_lines(&[COLUMNS.map(|(name, _)| name.to_owned()).to_vec()])
}

/// One line of CSV per face; an image without one has a single line that says `no_face` or `error`.
pub(super) fn csv_of(report: &PhotoAnswer) -> anyhow::Result<Vec<u8>> {
    csv_lines(&face_rows(report))
}

fn csv_lines(rows: &[Vec<String>]) -> anyhow::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        let cells = COLUMNS.iter().zip(row).map(|((_, kind), cell)| match kind {
            Kind::Text => guard_cell(cell),
            _ => cell.into(),
        });
        for cell in cells {
            writer.write_field(&*cell)?;
        }
        writer.write_record(None::<&[u8]>)?;
    }
    writer.into_inner().map_err(|error| anyhow::anyhow!("cannot write csv: {error}"))
}

fn face_rows(report: &PhotoAnswer) -> Vec<Vec<String>> {
    let empty = |decision: &str| {
        let mut row = vec![String::new(); COLUMNS.len()];
        row[0] = report.image.clone();
        row[DECISION] = decision.into();
        row
    };
    if let Some(error) = &report.error {
        let mut row = empty("error");
        row[12] = error.clone();
        return vec![row];
    }
    if report.faces.is_empty() {
        return vec![empty("no_face")];
    }
    let rows = report.faces.iter().enumerate().map(|(i, face)| {
        let mut row = empty(face.decision.verdict.name());
        let nearest = face.candidates.first();
        row[1] = (i + 1).to_string();
        let place = face.place.iter().flat_map(|place| {
            let b = place.bbox;
            [b.x, b.y, b.width, b.height, place.score]
        });
        for (cell, value) in row[2..DECISION].iter_mut().zip(place) {
            *cell = value.to_string();
        }
        row[8] = face.decision.identity.clone().unwrap_or_default();
        row[9] = face.decision.distance.map(|d| d.to_string()).unwrap_or_default();
        row[10] = nearest.map(|c| c.photo.clone()).unwrap_or_default();
        row[11] = nearest.map(|c| c.support.to_string()).unwrap_or_default();
        let number = |number: Option<f64>| number.map(|x| x.to_string()).unwrap_or_default();
        row[13] = number(face.decision.crowd_score);
        row[14] = number(face.decision.stranger_chance);
        row
    });
    rows.collect()
}

/// Makes a Parquet file of a complete CSV file: the same columns with types, and nothing where a
/// place is empty.
pub(super) fn write_parquet(csv: &Path, parquet: &Path) -> anyhow::Result<()> {
    let file = File::open(csv).with_context(|| format!("cannot read {}", shown(csv)))?;
    let rows = csv::Reader::from_reader(BufReader::new(file)).into_records().map(|row| {
        let row = row?;
        COLUMNS.iter().zip(&row).map(|((_, kind), text)| cell(*kind, text)).collect()
    });
    write_table(parquet, &COLUMNS, rows)
}

fn cell(kind: Kind, text: &str) -> anyhow::Result<Cell> {
    Ok(match kind {
        _ if text.is_empty() => Cell::Empty,
        Kind::Text => Cell::Text(unguard_cell(text).into()),
        Kind::Whole => Cell::Whole(text.parse()?),
        // The text is the shortest that is read back as the same number.
        Kind::Single => Cell::Single(text.parse()?),
        Kind::Double => Cell::Double(text.parse()?),
    })
}
