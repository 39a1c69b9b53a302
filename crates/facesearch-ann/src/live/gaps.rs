//! Numbers without those that were left out.

use std::sync::Arc;

/// Numbers that are left out of those from 0 on. The others are counted without gaps: where 1 is
/// left out, the places of 0, 2 and 3 are 0, 1 and 2.
///
/// A clone shares the list until one of the two changes. A question costs a binary search, a change
/// moves the list.
#[derive(Debug, Clone, Default)]
pub(super) struct Gaps(Arc<Vec<u32>>);

impl Gaps {
    /// How many numbers are left out.
    pub(super) fn len(&self) -> u32 {
        self.0.len() as u32
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `number` is left out.
    pub(super) fn contains(&self, number: u32) -> bool {
        self.0.binary_search(&number).is_ok()
    }

    /// The numbers that are left out, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().copied()
    }

    pub(super) fn leave_out(&mut self, number: u32) {
        if let Err(at) = self.0.binary_search(&number) {
            Arc::make_mut(&mut self.0).insert(at, number);
        }
    }

    pub(super) fn take_in(&mut self, number: u32) {
        if let Ok(at) = self.0.binary_search(&number) {
            Arc::make_mut(&mut self.0).remove(at);
        }
    }

    /// The place of a number that is not left out.
    pub(super) fn place_of(&self, number: u32) -> u32 {
        number - self.0.partition_point(|gap| *gap < number) as u32
    }

    /// The number at a place.
    pub(super) fn number_at(&self, place: u32) -> u32 {
        // The gap at `i` lies before the place if no more than `place` numbers come before it.
        let (mut low, mut high) = (0, self.0.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.0[middle] - middle as u32 <= place { low = middle + 1 } else { high = middle }
        }
        place + low as u32
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_others_are_counted_without_gaps(changes in vec((0u32..40, any::<bool>()), 0..60)) {
            let mut gaps = Gaps::default();
            let mut kept: Vec<bool> = vec![true; 40];
            for (number, out) in changes {
                if out { gaps.leave_out(number) } else { gaps.take_in(number) }
                kept[number as usize] = !out;
            }
            let others: Vec<u32> = (0..40).filter(|number| kept[*number as usize]).collect();
            prop_assert_eq!(gaps.len() as usize, 40 - others.len());
            for (place, number) in (0..).zip(others) {
                prop_assert!(!gaps.contains(number));
                prop_assert_eq!(gaps.place_of(number), place);
                prop_assert_eq!(gaps.number_at(place), number);
            }
        }
    }
}
