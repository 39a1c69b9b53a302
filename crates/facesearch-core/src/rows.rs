//! A set of a gallery's rows: what a filter leaves.

use std::ops::Range;

use crate::gallery::Row;

/// Some of the rows of a gallery, one bit each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    /// How many rows the gallery has.
    rows: usize,
    count: usize,
}

impl RowSet {
    /// None of `rows` rows.
    pub fn none(rows: usize) -> Self {
        Self { words: vec![0; rows.div_ceil(64)], rows, count: 0 }
    }

    /// All of `rows` rows.
    pub fn all(rows: usize) -> Self {
        let mut set = Self { words: vec![u64::MAX; rows.div_ceil(64)], rows, count: rows };
        if let Some(last) = set.words.last_mut() {
            *last >>= (64 - rows % 64) % 64;
        }
        set
    }

    /// How many rows are in it.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no row is.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// One in so many of the gallery's rows is in it, rounded up; at least 1.
    pub fn rarity(&self) -> usize {
        self.rows.div_ceil(self.count.max(1)).max(1)
    }

    /// Whether this row is in it; one that the gallery does not have is not.
    #[inline]
    pub fn contains(&self, row: Row) -> bool {
        let word = self.words.get(row.0 as usize / 64);
        word.is_some_and(|word| word >> (row.0 % 64) & 1 == 1)
    }

    /// Puts a row in. Panics where the gallery has no such row.
    pub fn insert(&mut self, row: Row) {
        assert!((row.0 as usize) < self.rows, "no row {} among {}", row.0, self.rows);
        let word = &mut self.words[row.0 as usize / 64];
        self.count += usize::from(*word >> (row.0 % 64) & 1 == 0);
        *word |= 1 << (row.0 % 64);
    }

    /// Takes a row out, if it is in.
    pub fn remove(&mut self, row: Row) {
        if self.contains(row) {
            self.words[row.0 as usize / 64] &= !(1 << (row.0 % 64));
            self.count -= 1;
        }
    }

    /// Keeps the rows that `keep` says to keep.
    pub fn retain(&mut self, mut keep: impl FnMut(Row) -> bool) {
        for at in 0..self.words.len() {
            let mut rest = self.words[at];
            while rest != 0 {
                let row = Row(64 * at as u32 + rest.trailing_zeros());
                rest &= rest - 1;
                if !keep(row) {
                    self.remove(row);
                }
            }
        }
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        self.within(0..self.rows as u32)
    }

    /// Those of the rows that lie in `range`, ascending.
    pub fn within(&self, range: Range<u32>) -> impl Iterator<Item = Row> + '_ {
        let Range { start, end } = range;
        let words = self.words.iter().zip(0u32..);
        let words = words.skip(start as usize / 64).take_while(move |(_, at)| 64 * at < end);
        let rows = words.flat_map(|(word, at)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros();
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    Row(64 * at + bit)
                })
            })
        });
        rows.skip_while(move |row| row.0 < start).take_while(move |row| row.0 < end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(
            rows in 1usize..200,
            full in any::<bool>(),
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..60),
            start in 0u32..210,
            end in 0u32..210,
        ) {
            let mut set = if full { RowSet::all(rows) } else { RowSet::none(rows) };
            let mut oracle: BTreeSet<u32> =
                if full { (0..rows as u32).collect() } else { BTreeSet::new() };
            for (add, row) in steps {
                let row = row.index(rows) as u32;
                if add {
                    set.insert(Row(row));
                    oracle.insert(row);
                } else {
                    set.remove(Row(row));
                    oracle.remove(&row);
                }
            }
            prop_assert_eq!(set.len(), oracle.len());
            prop_assert!(set.iter().map(|row| row.0).eq(oracle.iter().copied()));
            set.retain(|row| row.0 % 3 == 0);
            oracle.retain(|row| row % 3 == 0);
            prop_assert_eq!(set.len(), oracle.len());
            let mut beyond = 0..2 * rows as u32;
            prop_assert!(beyond.all(|row| set.contains(Row(row)) == oracle.contains(&row)));
            let range = start.min(end)..end;
            let within = set.within(range.clone()).map(|row| row.0);
            prop_assert!(within.eq(oracle.range(range).copied()));
        }
    }
}
