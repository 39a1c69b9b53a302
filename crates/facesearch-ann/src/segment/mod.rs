//! A search structure over some of the faces, sealed in one file: codes and a graph, or codes and
//! sketches.
//!
//! - **Length:** both ways of searching a segment share the checks of its bytes.

mod beam;
mod certificate;
mod eigen;
mod flat;
mod graph;
#[cfg(test)]
mod hnsw;
mod in_degree;
mod layout;
mod prune;
mod quantiser;
mod random;
mod repair;
mod sketch;
#[cfg(test)]
mod tests;
mod write;

pub use certificate::Certificate;
pub(crate) use certificate::measured_exactly;
pub(crate) use write::write_segment;

use std::cell::RefCell;
use std::ops::Range;

use facesearch_core::{Effort, Embedding, GalleryError, Row, RowSet, SearchRequest};
use rayon::prelude::*;

use self::beam::{Breadth, Everything, Filter, Guard, Links, Only, Packed, Scratch};
use self::graph::descend;
use self::layout::{Layout, SECTIONS};
use self::quantiser::Quantiser;
use self::sketch::{propose, scan, settle};
use crate::files::{Header, Mapped, u32_at};
use crate::kernels::Codes;
use crate::tables::NO_ROW;

/// A beam wider than the number of nodes divided by this costs at least as much as a full scan.
const SPARSE: usize = 4;

thread_local! {
    /// Each thread reuses the buffers of its searches, so that a search allocates next to nothing.
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// A mapped segment.
///
/// Checksums say that its bytes are as they were written, not that they make sense: every number
/// that leads anywhere, such as a link, an item or a row, is checked when it is followed.
pub(crate) struct Segment {
    file: Mapped,
    layout: Layout,
    quantiser: Quantiser,
    /// The quantisation step of each number of a sketch.
    steps: Vec<f32>,
    /// The rows of its faces that were not removed since.
    rows: Range<u32>,
    /// The row of each item, [`NO_ROW`] for a removed one; `None` where item `i` is row
    /// `rows.start + i`, as when it was built.
    row_map: Option<Mapped>,
}

/// What the segments of a snapshot propose for one probe.
#[derive(Debug, Default)]
pub(crate) struct Proposal {
    /// Rows that are likely to be among the nearest, each once; more than were asked for.
    pub(crate) rows: Vec<u32>,
    /// Codes and sketches that were compared with the probe.
    pub(crate) examined: u64,
    /// The rows of segments that were not searched, because a scan of them costs no more.
    pub(crate) unsearched: Vec<Range<u32>>,
}

impl Segment {
    /// The segment of the faces at `rows`; `row_map` where some of its faces were removed.
    pub(crate) fn new(
        file: Mapped,
        rows: Range<u32>,
        row_map: Option<Mapped>,
    ) -> Result<Self, GalleryError> {
        let layout = Layout::read(&file)?;
        file.check(SECTIONS..layout.items_at())?;
        let floats =
            |from: usize, to: usize| bytemuck::cast_slice(&file.bytes()[from..to]).to_vec();
        let centre = floats(SECTIONS, layout.basis_at());
        let basis = floats(layout.basis_at(), layout.steps_at());
        let steps = floats(layout.steps_at(), layout.items_at());
        if let Some(map) = &row_map
            && (map.header().count != layout.nodes as u64
                || map.bytes().len() != Header::LEN + 4 * layout.nodes)
        {
            return Err(map.corrupt("it has not one row for each node"));
        }
        if row_map.is_none() && rows.len() != layout.nodes {
            return Err(file.corrupt("it is of other rows than the manifest says"));
        }
        let Layout { code_dim, shape, step, .. } = layout;
        let quantiser = Quantiser { centre, basis, code_dim, shape, step };
        Ok(Self { file, layout, quantiser, steps, rows, row_map })
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
        let certificate = &self.layout.certificate;
        // In vectors of a full scan: a code after a sketch scan costs about 2, a node of a graph
        // search about 32.
        let cost = if certificate.scans { 2 } else { 32 };
        certificate.width(effort, k).saturating_mul(cost) > self.layout.nodes
    }

    /// Adds to the proposal of each probe the rows that are likely to be nearest to it. Where
    /// sketches are scanned, they are read from memory once for all probes.
    ///
    /// # Errors
    ///
    /// [`GalleryError::Corrupt`] where something on the way is not as it was written.
    pub(crate) fn search(
        &self,
        request: &SearchRequest<'_>,
        proposals: &mut [Proposal],
    ) -> Result<(), GalleryError> {
        assert_eq!(request.probes.len(), proposals.len(), "one proposal for each probe");
        let every_row = self.row_map.is_none() && request.among.is_none();
        if every_row && self.layout.certificate.scans {
            return self.scan_each(request, proposals);
        }
        for (probe, proposal) in request.probes.iter().zip(proposals) {
            let probe = probe.as_slice();
            let examined = match (every_row, self.layout.certificate.scans) {
                (true, _) => Some(self.walk_all(probe, request, &mut proposal.rows)?),
                (false, true) => self.scan_some(probe, request, &mut proposal.rows)?,
                (false, false) => self.walk_some(probe, request, &mut proposal.rows)?,
            };
            match examined {
                Some(examined) => proposal.examined += examined,
                None => proposal.unsearched.push(self.rows.clone()),
            }
        }
        Ok(())
    }

    /// Searches the graph for any row. Returns how many codes were compared.
    fn walk_all(
        &self,
        probe: &[f32],
        request: &SearchRequest<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<u64, GalleryError> {
        let SearchRequest { k, effort, .. } = *request;
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.examined = 0;
            self.walk(probe, self.layout.certificate.breadth(effort, k), scratch, &Everything)?;
            for (_, node) in scratch.found().take(measured_exactly(k)) {
                rows.push(self.rows.start + self.item(node)?);
            }
            Ok(scratch.examined)
        })
    }

    /// Scans the sketches for any row, for all probes at once.
    fn scan_each(
        &self,
        request: &SearchRequest<'_>,
        proposals: &mut [Proposal],
    ) -> Result<(), GalleryError> {
        let SearchRequest { probes, k, effort, .. } = *request;
        let probes: Vec<&[f32]> = probes.iter().map(Embedding::as_slice).collect();
        let count = measured_exactly(k);
        let width = self.layout.certificate.width(effort, k).max(count);
        let (sketches, codes) = (self.sketches()?, self.codes());
        SCRATCH.with_borrow_mut(|scratch| {
            let all = |_| Ok::<_, GalleryError>(true);
            propose(&self.quantiser, sketches, &probes, width, scratch, all)?;
            for (place, proposal) in proposals.iter_mut().enumerate() {
                scratch.examined = 0;
                settle(sketches, codes, place, count, scratch, |node| self.check_code(node))?;
                for node in scratch.scan.found() {
                    proposal.rows.push(self.rows.start + self.item(node)?);
                }
                proposal.examined += scratch.examined;
            }
            Ok(())
        })
    }

    /// Scans the sketches for the rows that may be found. Returns how many codes and sketches were
    /// compared, or `None` where a scan of the rows costs no more.
    ///
    /// Where nothing near the probe may be found, such as when the many photos of one person are
    /// filtered out, a second scan is wider.
    fn scan_some(
        &self,
        probe: &[f32],
        request: &SearchRequest<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<Option<u64>, GalleryError> {
        let SearchRequest { k, effort, among, .. } = *request;
        let rarity = self.rarity(among);
        let keep = |node: u32| Ok(self.row_in(node, among)?.is_some());
        let mut width = self.layout.certificate.width(effort, k);
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.examined = 0;
            self.scan(probe, k, width, scratch, keep)?;
            let crowd = scratch.scan.crowd(self.sketches()?, width, k.max(1));
            if crowd >= 2 * rarity {
                // The certificate's width is for known faces and strangers; far out all are
                // strangers.
                width = width.saturating_mul(3 * crowd / rarity);
                if width.saturating_mul(SPARSE) > self.len() {
                    return Ok(None);
                }
                self.scan(probe, k, width, scratch, keep)?;
            }
            for node in scratch.scan.found() {
                rows.extend(self.row_in(node, among)?);
            }
            Ok(Some(scratch.examined))
        })
    }

    /// Searches the graph for the rows that may be found. Returns how many codes were compared, or
    /// `None` where a scan of the rows costs no more.
    ///
    /// If the filter excludes everything near the probe, wider searches follow.
    fn walk_some(
        &self,
        probe: &[f32],
        request: &SearchRequest<'_>,
        rows: &mut Vec<u32>,
    ) -> Result<Option<u64>, GalleryError> {
        let SearchRequest { k, effort, among, .. } = *request;
        let certificate = &self.layout.certificate;
        let width = certificate.width(effort, k);
        let filter = Only(|node: u32| Ok(self.row_in(node, among)?.is_some()));
        let mut rarity = self.rarity(among);
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.examined = 0;
            loop {
                let breadth = certificate.breadth(effort, k).for_some(rarity, width);
                if breadth.width().saturating_mul(SPARSE) > self.len() {
                    return Ok(None);
                }
                self.walk(probe, breadth, scratch, &filter)?;
                if let Some(nodes) = scratch.wanted(breadth) {
                    for node in nodes.take(measured_exactly(k)) {
                        rows.extend(self.row_in(node, among)?);
                    }
                    return Ok(Some(scratch.examined));
                }
                rarity = rarity.saturating_mul(4);
            }
        })
    }

    /// The inverse selectivity of the filter: about one node in this many may be found.
    fn rarity(&self, among: Option<&RowSet>) -> usize {
        let of_present = || self.len().div_ceil(self.rows.len().max(1));
        among.map_or_else(of_present, RowSet::rarity).max(1)
    }

    /// The row of a node, if it was not removed and is in `among`.
    fn row_in(&self, node: u32, among: Option<&RowSet>) -> Result<Option<u32>, GalleryError> {
        let row = self.row_of(self.item(node)?)?;
        Ok(row.filter(|row| among.is_none_or(|among| among.contains(Row(*row)))))
    }

    /// The row of an item, unless it was removed.
    fn row_of(&self, item: u32) -> Result<Option<u32>, GalleryError> {
        let Some(map) = &self.row_map else { return Ok(Some(self.rows.start + item)) };
        let at = Header::LEN + 4 * item as usize;
        map.check(at..at + 4)?;
        match u32_at(map.bytes(), at) {
            NO_ROW => Ok(None),
            row if self.rows.contains(&row) => Ok(Some(row)),
            _ => Err(map.corrupt("a face has a row that is not there")),
        }
    }

    /// Leaves in `scratch` the best of the `width` nodes whose sketches seem nearest, of those that
    /// `keep` lets through.
    fn scan(
        &self,
        probe: &[f32],
        k: usize,
        width: usize,
        scratch: &mut Scratch,
        keep: impl Fn(u32) -> Result<bool, GalleryError>,
    ) -> Result<(), GalleryError> {
        let checked = |node| self.check_code(node);
        let (sketches, count) = (self.sketches()?, measured_exactly(k));
        scan(&self.quantiser, sketches, self.codes(), probe, width, count, scratch, keep, checked)
    }

    fn check_code(&self, node: u32) -> Result<(), GalleryError> {
        self.check_node(node)?;
        let stride = self.layout.shape.stride();
        let at = self.layout.codes_at() + node as usize * stride;
        self.file.check(at..at + stride)
    }

    /// All sketches, checked.
    fn sketches(&self) -> Result<sketch::View<'_>, GalleryError> {
        let bytes = self.file.bytes();
        self.file.check(self.layout.sketches_at()..bytes.len())?;
        Ok(sketch::View { steps: &self.steps, blocks: &bytes[self.layout.sketches_at()..] })
    }

    /// All codes, checked or not.
    fn codes(&self) -> Codes<'_> {
        let codes = self.layout.codes_at()..self.layout.sketches_at();
        Codes::new(&self.file.bytes()[codes], self.layout.shape)
    }

    fn walk<F: Filter<GalleryError>>(
        &self,
        probe: &[f32],
        breadth: Breadth,
        scratch: &mut Scratch,
        filter: &F,
    ) -> Result<(), GalleryError> {
        self.quantiser.probe(probe, &mut scratch.probe, &mut scratch.turned);
        match self.layout.link {
            3 => self.walk_links(Packed::<3>::new, breadth, scratch, filter),
            _ => self.walk_links(Packed::<4>::new, breadth, scratch, filter),
        }
    }

    fn walk_links<'a, L: Links, F: Filter<GalleryError>>(
        &'a self,
        links: impl Fn(&'a [u8], usize) -> L,
        breadth: Breadth,
        scratch: &mut Scratch,
        filter: &F,
    ) -> Result<(), GalleryError> {
        let Layout { nodes, levels, link, .. } = &self.layout;
        let bytes = self.file.bytes();
        let codes = self.codes();
        let views: Vec<L> = levels
            .iter()
            .enumerate()
            .map(|(level, (nodes, degree))| {
                let at = self.layout.links_at(level);
                links(&bytes[at..][..link * nodes * degree], *degree)
            })
            .collect();
        if self.file.is_whole() {
            let guard = |_| Whole { file: &self.file };
            return descend(codes, &views, *nodes, breadth, scratch, guard, filter);
        }
        let guard = |level| Checked {
            file: &self.file,
            codes: self.layout.codes_at(),
            stride: self.layout.shape.stride(),
            links: self.layout.links_at(level),
            row: link * levels[level].1,
        };
        descend(codes, &views, *nodes, breadth, scratch, guard, filter)
    }

    fn check_node(&self, node: u32) -> Result<(), GalleryError> {
        match (node as usize) < self.layout.nodes {
            true => Ok(()),
            false => Err(astray(&self.file)),
        }
    }

    /// The item that a node stands for: one of those below [`len`](Self::len).
    fn item(&self, node: u32) -> Result<u32, GalleryError> {
        self.check_node(node)?;
        let at = self.layout.items_at() + 4 * node as usize;
        self.file.check(at..at + 4)?;
        let item = u32_at(self.file.bytes(), at);
        if item as usize >= self.layout.nodes {
            return Err(self.file.corrupt("a node stands for a face that is not there"));
        }
        Ok(item)
    }

    /// The row that each item has now.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<Option<u32>, GalleryError>> {
        (0..self.len() as u32).map(|item| self.row_of(item))
    }

    /// Checks every byte, and that all of them make sense together.
    pub(crate) fn check_all(&self) -> Result<(), GalleryError> {
        self.files().try_for_each(Mapped::check_all)?;
        let mut is_there = vec![false; self.len()];
        for node in 0..self.len() as u32 {
            let item = self.item(node)? as usize;
            if std::mem::replace(&mut is_there[item], true) {
                return Err(self.file.corrupt("two nodes stand for one face"));
            }
        }
        let mut before = None;
        for row in self.rows() {
            let row = row?;
            if row.is_some() && row <= before {
                return Err(self.file.corrupt("its faces are in another order than their rows"));
            }
            before = row.or(before);
        }
        if self.layout.directions > 0 && !self.sketches()?.ends_with(self.len()) {
            return Err(self.file.corrupt("it has sketches of nodes that are not there"));
        }
        match self.layout.link {
            3 => self.check_links(Packed::<3>::new),
            _ => self.check_links(Packed::<4>::new),
        }
    }

    /// Checks that each link of each level leads to a node of it.
    fn check_links<'a, L: Links + Sync>(
        &'a self,
        links: impl Fn(&'a [u8], usize) -> L,
    ) -> Result<(), GalleryError> {
        for (level, (nodes, degree)) in self.layout.levels.iter().enumerate() {
            let at = self.layout.links_at(level);
            let bytes = &self.file.bytes()[at..][..self.layout.link * nodes * degree];
            let links = links(bytes, *degree);
            let leads = |node: u32| {
                links.get(node).is_some_and(|mut row| row.all(|link| (link as usize) < *nodes))
            };
            if !(0..*nodes as u32).into_par_iter().all(leads) {
                return Err(astray(&self.file));
            }
        }
        Ok(())
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &Mapped> {
        [&self.file].into_iter().chain(&self.row_map)
    }
}

fn astray(file: &Mapped) -> GalleryError {
    file.corrupt("a link leads to a node that is not there")
}

/// Checks nothing: every block of the file was checked before.
struct Whole<'a> {
    file: &'a Mapped,
}

impl Guard for Whole<'_> {
    type Error = GalleryError;
    #[inline(always)]
    fn links(&self, _: u32) -> Result<(), GalleryError> {
        Ok(())
    }
    #[inline(always)]
    fn code(&self, _: u32) -> Result<(), GalleryError> {
        Ok(())
    }
    #[cold]
    fn astray(&self) -> GalleryError {
        astray(self.file)
    }
}

/// Checks the blocks that a search touches.
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
    #[cold]
    fn astray(&self) -> GalleryError {
        astray(self.file)
    }
}
