//! Memory that begins at a cache line, so that no vector of packed weights spans two lines.

use memmap2::MmapMut;

/// One cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; 16]);

/// From this many bytes on, memory comes in huge pages where possible. The hardware prefetches up
/// to the end of a page only.
const LARGE: usize = 8 << 20;

/// A slice of `f32` that begins at a cache line.
#[derive(Debug)]
pub(crate) struct Aligned {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Lines(Vec<Line>),
    /// Pages of its own, huge ones where the system has them.
    Pages(MmapMut),
}

impl Default for Aligned {
    fn default() -> Self {
        Self { memory: Memory::Lines(Vec::new()), len: 0 }
    }
}

impl Aligned {
    /// `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let memory = (len * size_of::<f32>() >= LARGE).then(|| pages(len)).flatten();
        let lines = || Memory::Lines(vec![Line([0.0; 16]); len.div_ceil(16)]);
        Self { memory: memory.map_or_else(lines, Memory::Pages), len }
    }

    /// Makes room for `len` numbers. Their values are unspecified.
    pub(crate) fn grow(&mut self, len: usize) {
        match &mut self.memory {
            Memory::Lines(lines) if len > lines.len() * 16 => {
                lines.resize(len.div_ceil(16), Line([0.0; 16]));
            }
            Memory::Pages(pages) if len * size_of::<f32>() > pages.len() => {
                *self = Self::zeros(len);
            }
            _ => {}
        }
        self.len = self.len.max(len);
    }
}

/// Zeros in pages of their own. `None` where the system refuses.
fn pages(len: usize) -> Option<MmapMut> {
    let pages = MmapMut::map_anon(len * size_of::<f32>()).ok()?;
    // Only advice: without huge pages, reading is slower.
    #[cfg(target_os = "linux")]
    pages.advise(memmap2::Advice::HugePage).ok();
    Some(pages)
}

impl std::ops::Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let start = match &self.memory {
            Memory::Lines(lines) => lines.as_ptr().cast(),
            Memory::Pages(pages) => pages.as_ptr().cast(),
        };
        // SAFETY: a `Line` is sixteen `f32` in C's layout, 64 bytes without padding, so the vector
        // holds `16 * lines.len()` of them in a row. Pages are aligned to more than a line, and any
        // bytes are `f32`. `len` is never more than either holds.
        unsafe { std::slice::from_raw_parts(start, self.len) }
    }
}

impl std::ops::DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        let start = match &mut self.memory {
            Memory::Lines(lines) => lines.as_mut_ptr().cast(),
            Memory::Pages(pages) => pages.as_mut_ptr().cast(),
        };
        // SAFETY: as for `deref`, and `self` is borrowed mutably for as long as the slice lives.
        unsafe { std::slice::from_raw_parts_mut(start, self.len) }
    }
}
