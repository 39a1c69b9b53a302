//! A search structure over some of the faces: codes and a graph, sealed in one file.

mod beam;
mod certificate;
mod eigen;
mod flat;
mod graph;
mod hnsw;
mod layout;
mod prune;
mod quantiser;
mod random;
mod repair;
#[cfg(test)]
mod tests;
mod write;

pub use certificate::Certificate;
pub(crate) use certificate::measured_exactly;
pub use write::GraphBuilder;
pub(crate) use write::write_segment;

use std::cell::RefCell;

use facesearch_core::{Effort, GalleryError};

use self::beam::{Guard, Links, Packed, Scratch, Trusted};
use self::graph::descend;
use self::layout::{Layout, SECTIONS};
use self::quantiser::Quantiser;
use crate::files::{Header, Mapped, u32_at};
use crate::kernels::Codes;
use crate::tables::NO_ROW;

thread_local! {
    /// Each thread keeps the memory of its walks, so that a search allocates next to nothing.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A mapped segment.
pub(crate) struct Segment {
    file: Mapped,
    layout: Layout,
    quantiser: Quantiser,
    rows: Rows,
}

/// Which row each item of a segment is now.
pub(crate) enum Rows {
    /// As when it was built: from this one on.
    From(u32),
    /// As this file has it.
    Mapped(Mapped),
}

impl Rows {
    /// The row of an item, unless it was removed.
    fn of(&self, item: u32) -> Result<Option<u32>, GalleryError> {
        match self {
            Self::From(first) => Ok(Some(first + item)),
            Self::Mapped(file) => {
                let at = Header::LEN + 4 * item as usize;
                file.check(at..at + 4)?;
                Ok(Some(u32_at(file.bytes(), at)).filter(|row| *row != NO_ROW))
            }
        }
    }
}

impl Segment {
    pub(crate) fn new(file: Mapped, rows: Rows) -> Result<Self, GalleryError> {
        let layout = Layout::read(&file)?;
        file.check(SECTIONS..layout.items_at())?;
        let floats =
            |from: usize, to: usize| bytemuck::cast_slice(&file.bytes()[from..to]).to_vec();
        let centre = floats(SECTIONS, layout.basis_at());
        let basis = floats(layout.basis_at(), layout.items_at());
        if let Rows::Mapped(map) = &rows
            && (map.header().count != layout.nodes as u64
                || map.bytes().len() != Header::LEN + 4 * layout.nodes)
        {
            return Err(map.corrupt("it has not one row for each node"));
        }
        let quantiser = Quantiser { centre, basis, code_dim: layout.code_dim, step: layout.step };
        Ok(Self { file, layout, quantiser, rows })
    }

    /// How many faces it was built of.
    pub(crate) fn len(&self) -> usize {
        self.layout.nodes
    }

    pub(crate) fn dim(&self) -> usize {
        self.layout.dim
    }

    pub(crate) fn certificate(&self) -> Certificate {
        self.layout.certificate
    }

    pub(crate) fn file(&self) -> &Mapped {
        &self.file
    }

    /// Whether a search would look at so many nodes that a scan costs no more.
    pub(crate) fn is_scanned_sooner(&self, effort: Effort, k: usize) -> bool {
        // A node reached by a walk costs about this many times one that is scanned.
        self.layout.certificate.width(effort, k).saturating_mul(32) > self.layout.nodes
    }

    /// Adds to `rows` those likely to be nearest to `probe`, more than `k` where there are; returns
    /// how many codes were compared.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where something on the way is not as it was written.
    pub(crate) fn search(
        &self,
        probe: &[f32],
        k: usize,
        effort: Effort,
        rows: &mut Vec<u32>,
    ) -> Result<u64, GalleryError> {
        self.search_where(probe, k, effort, |_| true, rows)
    }

    /// The same of those rows that `keep` lets through; there may be fewer than `k` then.
    ///
    /// # Errors
    ///
    /// As for [`search`](Self::search).
    pub(crate) fn search_where(
        &self,
        probe: &[f32],
        k: usize,
        effort: Effort,
        keep: impl Fn(u32) -> bool,
        rows: &mut Vec<u32>,
    ) -> Result<u64, GalleryError> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.examined = 0;
            self.quantiser.probe(probe, &mut scratch.probe, &mut scratch.turned);
            self.walk(self.layout.certificate.width(effort, k), scratch)?;
            let wanted = rows.len() + measured_exactly(k);
            for (_, node) in scratch.found() {
                if rows.len() == wanted {
                    break;
                }
                rows.extend(self.rows.of(self.item(node)?)?.filter(|row| keep(*row)));
            }
            Ok(scratch.examined)
        })
    }

    fn walk(&self, width: usize, scratch: &mut Scratch) -> Result<(), GalleryError> {
        match self.layout.link {
            3 => self.walk_links(Packed::<3>::new, width, scratch),
            _ => self.walk_links(Packed::<4>::new, width, scratch),
        }
    }

    fn walk_links<'a, L: Links>(
        &'a self,
        links: impl Fn(&'a [u8], usize) -> L,
        width: usize,
        scratch: &mut Scratch,
    ) -> Result<(), GalleryError> {
        let Layout { nodes, levels, link, .. } = &self.layout;
        let bytes = self.file.bytes();
        let codes = Codes::new(&bytes[self.layout.codes_at()..], self.layout.stride());
        let views: Vec<L> = levels
            .iter()
            .enumerate()
            .map(|(level, (nodes, degree))| {
                let at = self.layout.links_at(level);
                links(&bytes[at..][..link * nodes * degree], *degree)
            })
            .collect();
        if self.file.is_whole() {
            let Ok(()) = descend(codes, &views, *nodes, width, scratch, |_| Trusted);
            return Ok(());
        }
        descend(codes, &views, *nodes, width, scratch, |level| Checked {
            file: &self.file,
            codes: self.layout.codes_at(),
            stride: self.layout.stride(),
            links: self.layout.links_at(level),
            row: link * levels[level].1,
        })
    }

    fn item(&self, node: u32) -> Result<u32, GalleryError> {
        let at = self.layout.items_at() + 4 * node as usize;
        self.file.check(at..at + 4)?;
        Ok(u32_at(self.file.bytes(), at))
    }

    /// The row that each item has now.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<Option<u32>, GalleryError>> {
        (0..self.len() as u32).map(|item| self.rows.of(item))
    }

    pub(crate) fn check_all(&self) -> Result<(), GalleryError> {
        self.files().try_for_each(Mapped::check_all)
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &Mapped> {
        let map = match &self.rows {
            Rows::From(_) => None,
            Rows::Mapped(map) => Some(map),
        };
        [&self.file].into_iter().chain(map)
    }
}

/// Checks the blocks that a walk touches.
struct Checked<'a> {
    file: &'a Mapped,
    codes: usize,
    stride: usize,
    links: usize,
    row: usize,
}

impl Guard for Checked<'_> {
    type Error = GalleryError;
    #[inline]
    fn links(&self, node: u32) -> Result<(), GalleryError> {
        let at = self.links + node as usize * self.row;
        self.file.check(at..at + self.row)
    }
    #[inline]
    fn code(&self, node: u32) -> Result<(), GalleryError> {
        let at = self.codes + node as usize * self.stride;
        self.file.check(at..at + self.stride)
    }
}
