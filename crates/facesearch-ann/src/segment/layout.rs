//! The layout of a segment's file.
//!
//! After the common header come fixed numbers, then sections: the quantiser's centres and basis,
//! the item of each node, the links of each level from the one with all nodes up, the codes, the
//! sketches. Links, codes and sketches start at multiples of a cache line, so that none is split
//! needlessly. There are either levels of links or sketches.

use facesearch_core::GalleryError;

use super::certificate::Certificate;
use super::graph::MAX_LEVELS;
use crate::files::{Header, Mapped, u32_at};
use crate::kernels::{LINE, MAX_LINES, MAX_NUMBERS, OF_LINE, Shape, TOGETHER, block_len};

/// Where sections begin.
pub(super) const SECTIONS: usize = 256;

const NUMBERS: usize = 48;

/// What the fixed numbers say.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub(super) nodes: usize,
    pub(super) dim: usize,
    /// Numbers of a code that come from vectors; more may be there, all zero.
    pub(super) code_dim: usize,
    pub(super) shape: Shape,
    /// Whether vectors are turned before they are coded.
    pub(super) turned: bool,
    pub(super) step: f32,
    /// Bytes of a link.
    pub(super) link: usize,
    /// Nodes and links a node of each level, from the one with all nodes up.
    pub(super) levels: Vec<(usize, usize)>,
    /// Directions of a sketch; none where a graph is walked.
    pub(super) directions: usize,
    pub(super) certificate: Certificate,
}

impl Layout {
    /// Bytes of a link among so many nodes: three while their numbers, and the one that stands for
    /// "no more", fit.
    pub(super) fn link_for(nodes: usize) -> usize {
        if nodes < 1 << 24 { 3 } else { 4 }
    }

    pub(super) fn basis_at(&self) -> usize {
        SECTIONS + 4 * self.dim
    }

    pub(super) fn steps_at(&self) -> usize {
        self.basis_at() + if self.turned { 4 * self.dim * self.code_dim } else { 0 }
    }

    pub(super) fn items_at(&self) -> usize {
        self.steps_at() + 4 * self.directions
    }

    /// Where the links of each level begin.
    pub(super) fn links_at(&self, level: usize) -> usize {
        let start = (self.items_at() + 4 * self.nodes).next_multiple_of(LINE);
        let size =
            |(nodes, degree): &(usize, usize)| (self.link * nodes * degree).next_multiple_of(LINE);
        start + self.levels[..level].iter().map(size).sum::<usize>()
    }

    pub(super) fn codes_at(&self) -> usize {
        self.links_at(self.levels.len())
    }

    pub(super) fn sketches_at(&self) -> usize {
        self.codes_at() + self.nodes * self.shape.stride()
    }

    fn end(&self) -> usize {
        let blocks = match self.directions.div_ceil(OF_LINE) {
            0 => 0,
            lines => self.nodes.div_ceil(TOGETHER) * block_len(lines),
        };
        self.sketches_at() + blocks
    }

    /// The bytes between header and sections.
    pub(super) fn to_bytes(&self) -> [u8; SECTIONS - Header::LEN] {
        let c = &self.certificate;
        let numbers = [
            self.dim as u32,
            self.levels.len() as u32,
            self.step.to_bits(),
            c.widths[0],
            c.widths[1],
            c.widths[2],
            c.probes,
            c.recall_at_1.to_bits(),
            c.recall_at_10.to_bits(),
            self.code_dim as u32,
            u32::from(self.turned),
            self.link as u32,
            self.shape.wide() as u32,
            self.shape.stride() as u32,
            c.growth.to_bits(),
            self.directions as u32,
        ];
        let levels = self.levels.iter().flat_map(|(nodes, degree)| [*nodes as u32, *degree as u32]);
        let mut all = [0u32; NUMBERS];
        all.iter_mut().zip(numbers).for_each(|(place, number)| *place = number);
        all[NUMBERS - 2 * MAX_LEVELS..].iter_mut().zip(levels).for_each(|(p, n)| *p = n);
        let mut bytes = [0; SECTIONS - Header::LEN];
        bytes.chunks_exact_mut(4).zip(all).for_each(|(p, n)| p.copy_from_slice(&n.to_le_bytes()));
        bytes
    }

    /// Reads the layout of a file and checks that all it names is inside.
    pub(super) fn read(file: &Mapped) -> Result<Self, GalleryError> {
        file.check(0..SECTIONS)?;
        let number = |i: usize| u32_at(file.bytes(), Header::LEN + 4 * i);
        let bad = || file.corrupt("its numbers contradict each other");
        let nodes = u32::try_from(file.header().count).map_err(|_| bad())? as usize;
        let [dim, level_count, code_dim, link, directions] =
            [0, 1, 9, 11, 15].map(|i| number(i) as usize);
        let shape = Shape::new(number(12) as usize, number(13) as usize).ok_or_else(bad)?;
        if code_dim == 0
            || code_dim > dim
            || code_dim > shape.numbers()
            || dim > MAX_NUMBERS
            || (level_count == 0) != (directions > 0)
            || directions > code_dim.min(MAX_LINES * OF_LINE)
            || level_count > MAX_LEVELS
            || nodes == 0
            || link != Self::link_for(nodes)
        {
            return Err(bad());
        }
        let level = |i: usize| {
            let at = NUMBERS - 2 * MAX_LEVELS + 2 * i;
            (number(at) as usize, number(at + 1) as usize)
        };
        let layout = Self {
            nodes,
            dim,
            code_dim,
            shape,
            turned: number(10) == 1,
            step: f32::from_bits(number(2)),
            link,
            levels: (0..level_count).map(level).collect(),
            directions,
            certificate: Certificate {
                widths: [number(3), number(4), number(5)],
                probes: number(6),
                recall_at_1: f32::from_bits(number(7)),
                recall_at_10: f32::from_bits(number(8)),
                growth: f32::from_bits(number(14)),
                scans: directions > 0,
            },
        };
        let falling = layout.levels.is_sorted_by(|a, b| a.0 >= b.0);
        let sound = layout.levels.iter().all(|(n, degree)| *n > 0 && (1..=1024).contains(degree));
        let fits = falling && sound && layout.levels.iter().take(1).all(|(n, _)| *n == nodes);
        if !fits || layout.end() != file.bytes().len() {
            return Err(bad());
        }
        Ok(layout)
    }
}
