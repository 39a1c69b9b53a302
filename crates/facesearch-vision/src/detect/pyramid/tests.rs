//! Checks that bands cover a level without a gap.

use super::*;

#[test]
fn bands_give_every_answer_once() {
    for height in 12..600 {
        for width in [12, 700, 9000] {
            let mut next = 0;
            for (first, rows) in bands(Size { height, width }) {
                assert_eq!(first, next);
                assert_eq!(rows.start, first * STRIDE);
                let last = rows.end == height;
                assert!(last || rows.len() % 2 == 0);
                // P-Net's answers for so many rows: a convolution, a pool that rounds up, two
                // convolutions.
                next += (rows.len() - 2).div_ceil(2) - 4;
            }
            assert_eq!(next, (height - 2).div_ceil(2) - 4, "{height} {width}");
        }
    }
}

#[test]
fn the_levels_are_those_of_the_paper() {
    let sizes = |h, w, m| levels(h, w, m, 0.709).iter().map(|l| l.size).collect::<Vec<_>>();
    assert_eq!(sizes(39, 500, 40), []);
    assert_eq!(sizes(40, 80, 40), [Size { height: 13, width: 25 }]);
    assert_eq!(sizes(112, 112, 20).len(), 6);
}
