//! A sealed part: files that never change, and which of their faces were removed since.

use std::sync::Arc;

use facesearch_core::{Effort, GalleryError, l2_squared_f64};

use super::bits::Bits;
use crate::files::{Header, Mapped, u64_at};
use crate::scan;
use crate::segment::Segment;
use crate::vectors::Vectors;

/// A part. A clone shares the files.
#[derive(Clone)]
pub(super) struct Part {
    files: Arc<Files>,
    removed: Arc<Bits>,
}

/// The files of a part, all mapped; item `i` is the `i`th face in order of ids.
pub(super) struct Files {
    pub(super) number: u64,
    pub(super) vectors: Vectors,
    pub(super) ids: Mapped,
    /// None where there are so few faces that they are scanned.
    pub(super) segment: Option<Segment>,
}

impl Part {
    /// Checks that the files fit each other. The ids are read whole.
    pub(super) fn new(files: Files, removed: Option<Bits>) -> Result<Self, GalleryError> {
        let n = files.vectors.len();
        let ids = &files.ids;
        ids.check_all()?;
        let fits = ids.header().count == n as u64 && ids.bytes().len() == Header::LEN + 8 * n;
        if !fits || !(1..n as u32).all(|i| files.id(i - 1) < files.id(i)) {
            return Err(ids.corrupt("its ids do not ascend, one for each vector"));
        }
        if let Some(segment) = &files.segment
            && (segment.len(), segment.dim()) != (n, files.vectors.dim())
        {
            return Err(segment.file().corrupt("it is of other vectors"));
        }
        let removed = removed.unwrap_or_else(|| Bits::new(n));
        Ok(Self { files: Arc::new(files), removed: Arc::new(removed) })
    }

    pub(super) fn number(&self) -> u64 {
        self.files.number
    }

    pub(super) fn removals(&self) -> &Bits {
        &self.removed
    }

    /// How many faces are there.
    pub(super) fn len(&self) -> usize {
        self.files.vectors.len() - self.removed()
    }

    /// How many were removed.
    pub(super) fn removed(&self) -> usize {
        self.removed.count()
    }

    pub(super) fn is_removed(&self, item: u32) -> bool {
        self.removed.has(item)
    }

    pub(super) fn remove_item(&mut self, item: u32) {
        Arc::make_mut(&mut self.removed).set(item);
    }

    pub(super) fn contains(&self, id: u64) -> bool {
        self.files.find(id).is_some_and(|item| !self.is_removed(item))
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let item = self.files.find(id).filter(|item| !self.is_removed(*item));
        item.is_some_and(|item| Arc::make_mut(&mut self.removed).set(item))
    }

    /// The faces that are there, ids ascending, and the item of each.
    pub(super) fn faces(&self) -> impl Iterator<Item = (u64, u32)> {
        let items = (0..self.files.vectors.len() as u32).filter(|item| !self.is_removed(*item));
        items.map(|item| (self.files.id(item), item))
    }

    pub(super) fn vector(&self, item: u32) -> &[f32] {
        self.files.vectors.get(item)
    }

    pub(super) fn check_all(&self) -> Result<(), GalleryError> {
        self.files.vectors.file().check_all()?;
        self.files.segment.as_ref().map_or(Ok(()), Segment::check_all)
    }

    /// Adds to `found` the squared distances and ids of those that may be among the nearest `k`.
    pub(super) fn search(
        &self,
        probe: &[f32],
        k: usize,
        effort: Effort,
        found: &mut Vec<(f64, u64)>,
    ) -> Result<(), GalleryError> {
        let Files { vectors, segment, .. } = &*self.files;
        if let Some(segment) = segment
            && effort != Effort::Exact
            && !segment.is_scanned_sooner(effort, k)
        {
            let mut items = Vec::new();
            let is_there = |item: u32| !self.is_removed(item);
            let rarity = vectors.len().div_ceil(self.len().max(1));
            let walked = segment.search_where(probe, k, effort, rarity, is_there, &mut items)?;
            // Where too many of the near ones are removed, the graph does not help.
            if walked.is_some() {
                for item in items {
                    vectors.check(item..item + 1)?;
                    found.push((l2_squared_f64(probe, vectors.get(item)), self.files.id(item)));
                }
                return Ok(());
            }
        }
        let all = 0..vectors.len() as u32;
        let near = scan::nearest(vectors, all, probe, k.saturating_add(self.removed()))?;
        let there = near.into_iter().filter(|(_, item)| !self.is_removed(*item));
        found.extend(there.take(k).map(|(squared, item)| (squared, self.files.id(item))));
        Ok(())
    }
}

impl Files {
    fn id(&self, item: u32) -> u64 {
        u64_at(self.ids.bytes(), Header::LEN + 8 * item as usize)
    }

    fn find(&self, id: u64) -> Option<u32> {
        let (mut low, mut high) = (0, self.vectors.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.id(middle).cmp(&id) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }
}
