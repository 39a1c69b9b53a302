//! A list that grows while it is read.

use std::sync::{Arc, OnceLock};

/// Items of a block.
const BLOCK: usize = 256;

/// A list that items are only ever appended to. A clone shares the items, costs next to nothing,
/// and does not see what is appended afterwards. Of all clones one alone may append.
#[derive(Debug)]
pub(super) struct Log<T> {
    blocks: Arc<Vec<Arc<[OnceLock<T>]>>>,
    len: usize,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { blocks: Arc::default(), len: 0 }
    }
}

impl<T> Clone for Log<T> {
    fn clone(&self) -> Self {
        Self { blocks: Arc::clone(&self.blocks), len: self.len }
    }
}

impl<T> Log<T> {
    pub(super) fn len(&self) -> u32 {
        self.len as u32
    }

    /// Appends an item, and says where it is. Panics where another clone appended.
    pub(super) fn push(&mut self, item: T) -> u32 {
        if self.len.is_multiple_of(BLOCK) {
            let block = (0..BLOCK).map(|_| OnceLock::new()).collect();
            Arc::make_mut(&mut self.blocks).push(block);
        }
        let slot = &self.blocks[self.len / BLOCK][self.len % BLOCK];
        assert!(slot.set(item).is_ok(), "two clones of a list were appended to");
        self.len += 1;
        self.len as u32 - 1
    }

    /// The item at `place`. Panics where there is none.
    pub(super) fn get(&self, place: u32) -> &T {
        let place = place as usize;
        assert!(place < self.len, "no item {place} among {}", self.len);
        self.blocks[place / BLOCK][place % BLOCK].get().expect("what was appended is there")
    }
}
