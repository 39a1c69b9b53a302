//! Search structures for a new generation: those of the last one where they still hold, new ones
//! where they do not.

use std::fs;
use std::ops::Range;
use std::path::Path;

use facesearch_core::{FaceId, StoreError};
use rayon::prelude::*;

use super::plan;
use crate::files::{DataFile, FileSeal, Header, Kind, io_error};
use crate::kernels::MAX_NUMBERS;
use crate::manifest::SegmentEntry;
use crate::segment::{Segment, write_segment};
use crate::snapshot::Snapshot;
use crate::tables::NO_ROW;
use crate::vectors::Vectors;

/// What the new generation has.
pub(super) struct New<'a> {
    pub(super) dir: &'a Path,
    /// The face of each row.
    pub(super) ids: &'a [u64],
    pub(super) vectors: &'a Vectors,
}

/// Structures for all faces, but for the few that are left to the scan; one over everything, where
/// `single` is true.
pub(super) fn complete(
    new: &New,
    standing: Option<&Snapshot>,
    single: bool,
) -> Result<Vec<SegmentEntry>, StoreError> {
    if new.vectors.dim() > MAX_NUMBERS {
        return Ok(Vec::new());
    }
    let plan = plan::segments(new.ids, single);
    plan.into_iter().map(|ids| complete_one(new, standing, ids)).collect()
}

fn complete_one(
    new: &New,
    standing: Option<&Snapshot>,
    ids: Range<u64>,
) -> Result<SegmentEntry, StoreError> {
    let same = |(entry, _): &&(SegmentEntry, Segment)| {
        entry.first_id == ids.start && entry.end_id == ids.end && entry.row_map.is_none()
    };
    let old = standing.and_then(|old| Some((old, old.segments().iter().find(same)?)));
    if let Some((old, (entry, segment))) = old
        && let Some(Carried { entry, row_map: None }) = carry(new, old, entry, segment)
    {
        link(segment.file().path(), &new.dir.join(entry.name()))?;
        return Ok(entry);
    }
    let rows = new.rows(&ids);
    let mut entry = SegmentEntry {
        first_id: ids.start,
        end_id: ids.end,
        first_row: rows.start,
        end_row: rows.end,
        file: FileSeal { data: 0, sums: String::new() },
        row_map: None,
    };
    let file = DataFile::create(new.dir.join(entry.name()))?;
    let vector = |item: usize| new.vectors.get(rows.start + item as u32);
    entry.file = write_segment(file, rows.len(), new.vectors.dim(), vector)?;
    Ok(entry)
}

/// The structures that stand, brought up to date; new faces are left to the scan.
pub(super) fn carried(new: &New, standing: &Snapshot) -> Result<Vec<SegmentEntry>, StoreError> {
    let mut entries = Vec::new();
    for (entry, segment) in standing.segments() {
        let Some(Carried { mut entry, row_map }) = carry(new, standing, entry, segment) else {
            continue;
        };
        link(segment.file().path(), &new.dir.join(entry.name()))?;
        if let Some(rows) = row_map {
            let mut file = DataFile::create(new.dir.join(entry.row_map_name()))?;
            file.write(bytemuck::cast_slice(&rows))?;
            let (count, extra) = (rows.len() as u64, 0);
            entry.row_map = Some(file.seal(Header { kind: Kind::RowMap, count, extra })?);
        }
        entries.push(entry);
    }
    Ok(entries)
}

struct Carried {
    entry: SegmentEntry,
    /// The row of each item, where some were removed.
    row_map: Option<Vec<u32>>,
}

/// Brings a standing structure up to date. `None` where it is damaged, is mostly of removed faces,
/// or is not of these faces after all: the directory may have been another index's before.
fn carry(new: &New, old: &Snapshot, entry: &SegmentEntry, segment: &Segment) -> Option<Carried> {
    segment.check_all().ok()?;
    let now = new.rows(&(entry.first_id..entry.end_id));
    let mut next = now.clone().peekable();
    let mut rows = Vec::with_capacity(segment.len());
    let mut pairs = Vec::with_capacity(segment.len());
    for row in segment.rows() {
        let old_row = row.ok()?;
        let id = match old_row {
            Some(row) => Some(old.checked_id(row).ok()?),
            None => None,
        };
        let stays = next.next_if(|row| Some(FaceId(new.ids[*row as usize])) == id);
        pairs.extend(old_row.zip(stays));
        rows.push(stays.unwrap_or(NO_ROW));
    }
    let is_same = |(before, now): &(u32, u32)| {
        old.checked_vector(*before).is_ok_and(|vector| {
            // Both are finite, and a zero that changed its sign is no other vector.
            vector == new.vectors.get(*now)
        })
    };
    if next.peek().is_some() || pairs.len() * 2 < rows.len() || !pairs.par_iter().all(is_same) {
        return None;
    }
    let mut entry = entry.clone();
    (entry.first_row, entry.end_row, entry.row_map) = (now.start, now.end, None);
    let row_map = (pairs.len() < rows.len()).then_some(rows);
    Some(Carried { entry, row_map })
}

impl New<'_> {
    /// The rows of the faces in a range of ids.
    fn rows(&self, ids: &Range<u64>) -> Range<u32> {
        let at = |bound: u64| self.ids.partition_point(|id| *id < bound) as u32;
        at(ids.start)..at(ids.end)
    }
}

/// Gives a file that never changes a second name, or copies it where names cannot be given.
fn link(from: &Path, to: &Path) -> Result<(), StoreError> {
    let link = || -> std::io::Result<()> {
        if fs::hard_link(from, to).is_err() {
            fs::copy(from, to)?;
        }
        let file = fs::File::open(to)?;
        // Earlier versions made files for everybody to read.
        facesearch_disk::make_private(&file)?;
        file.sync_all()
    };
    link().map_err(|source| io_error("copy to", to, source))
}
