//! The nearest few of many, in a settled order.

use std::collections::BinaryHeap;

/// Keeps the `k` smallest items pushed into it.
///
/// Items are ordered by their own `Ord`, so a `(Distance, id)` pair gives nearest first and, where
/// distances are equal, the smaller id: the same items always give the same list, in whatever order
/// they came.
#[derive(Debug, Clone)]
pub struct TopK<T> {
    k: usize,
    heap: BinaryHeap<T>,
}

impl<T: Ord> TopK<T> {
    /// Room for the `k` smallest.
    pub fn new(k: usize) -> Self {
        Self { k, heap: BinaryHeap::with_capacity(k.min(1 << 16)) }
    }

    /// Offers one item; it is kept if it is among the `k` smallest so far.
    pub fn push(&mut self, item: T) {
        if self.heap.len() < self.k {
            self.heap.push(item);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && item < *worst
        {
            *worst = item;
        }
    }

    /// The largest item kept, once `k` are: nothing at or above it will be taken any more.
    pub fn bound(&self) -> Option<&T> {
        if self.heap.len() < self.k { None } else { self.heap.peek() }
    }

    /// The items kept, smallest first.
    pub fn into_sorted(self) -> Vec<T> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn equals_sort_and_cut(items in vec(0u32..50, 0..80), k in 0usize..20) {
            let mut top = TopK::new(k);
            items.iter().for_each(|i| top.push(*i));
            let mut want = items;
            want.sort_unstable();
            want.truncate(k);
            prop_assert_eq!(top.into_sorted(), want);
        }
    }
}
