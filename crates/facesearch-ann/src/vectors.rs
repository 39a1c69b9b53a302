//! The exact embeddings of a snapshot: one row of `f32` after another.

use std::ops::Range;

use facesearch_core::GalleryError;

use crate::files::{Header, Mapped};
use crate::kernels::prefetch;

#[cfg(target_endian = "big")]
compile_error!("published vectors are little-endian and used where they lie");

/// The mapped rows.
pub(crate) struct Vectors {
    file: Mapped,
    dim: usize,
    len: usize,
}

impl Vectors {
    pub(crate) fn new(file: Mapped) -> Result<Self, GalleryError> {
        let header = file.header();
        let content = file.bytes().len() - Header::LEN;
        let size =
            header.count.checked_mul(header.extra).and_then(|numbers| numbers.checked_mul(4));
        if header.extra == 0 || size != Some(content as u64) {
            return Err(file.corrupt("its size does not fit its number of rows"));
        }
        let (dim, len) = (header.extra as usize, header.count as usize);
        Ok(Self { file, dim, len })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    pub(crate) fn file(&self) -> &Mapped {
        &self.file
    }

    /// Checks the blocks that these rows lie in.
    #[inline]
    pub(crate) fn check(&self, rows: Range<u32>) -> Result<(), GalleryError> {
        self.file.check(self.place(rows))
    }

    /// A row, checked or not. Panics where there is no such row.
    #[inline]
    pub(crate) fn get(&self, row: u32) -> &[f32] {
        self.range(row..row + 1)
    }

    /// Asks for a row ahead of its use, if it is there.
    pub(crate) fn prefetch(&self, row: u32) {
        if (row as usize) < self.len {
            prefetch(&self.file.bytes()[self.place(row..row + 1)]);
        }
    }

    /// Rows, one after another, checked or not. Panics where one is not there.
    #[inline]
    pub(crate) fn range(&self, rows: Range<u32>) -> &[f32] {
        assert!(rows.end as usize <= self.len, "no row {} among {}", rows.end - 1, self.len);
        bytemuck::cast_slice(&self.file.bytes()[self.place(rows)])
    }

    fn place(&self, rows: Range<u32>) -> Range<usize> {
        let stride = self.dim * 4;
        Header::LEN + rows.start as usize * stride..Header::LEN + rows.end as usize * stride
    }
}
