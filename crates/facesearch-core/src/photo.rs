//! A photo: its pixels in memory, and what its file is known by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Upright RGB pixels of a decoded photo, 8 bits a channel, row by row from the top left.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Photo {
    /// Wraps `width * height * 3` bytes. Panics if there are more or fewer: that is a bug.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Self {
        assert_eq!(rgb.len(), width as usize * height as usize * 3, "pixels do not fit the size");
        Self { width, height, rgb }
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The bytes: `r g b` for each pixel, rows from the top.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}

impl fmt::Debug for Photo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Photo({}x{})", self.width, self.height)
    }
}

/// BLAKE3 of a file's bytes: what a photo is known by, whatever its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// What the file system says of a file: a cheap hint that its content has not changed.
///
/// `changed_ns` is the inode's change time where the system has one: unlike the modification time,
/// no tool can set it back, so a rewritten file never passes for the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Inode change time, nanoseconds since 1970; 0 where the system has none.
    pub changed_ns: i64,
    /// Inode number; 0 where the system has none.
    pub inode: u64,
}
