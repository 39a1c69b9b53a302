//! Where the rows of a product are read, and where their sums go.

use super::Epilogue;

/// Where a row of numbers begins, where its results go, and where its residual is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    pub(in crate::kernels) input: usize,
    pub(in crate::kernels) output: usize,
    pub(in crate::kernels) residual: usize,
}

impl Row {
    #[inline(always)]
    fn plus(self, step: Row) -> Row {
        Row {
            input: self.input.wrapping_add(step.input),
            output: self.output.wrapping_add(step.output),
            residual: self.residual.wrapping_add(step.residual),
        }
    }
}

/// Rows in order: rows form lines, and lines form pages.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    next: Row,
    place: [usize; 2],
    size: [usize; 2],
    /// What is added after a row, after the last row of a line, and after the last row of a page.
    steps: [Row; 3],
}

impl Rows {
    /// One endless line of rows at equal distances.
    pub(in crate::kernels) fn line(first: Row, step: Row) -> Self {
        Self { next: first, place: [0; 2], size: [isize::MAX as usize; 2], steps: [step; 3] }
    }

    /// Pages of `lines` lines of `rows` rows. The strides lead from a row to the next in its line,
    /// from the first row of a line to that of the next, and from the first row of a page to that
    /// of the next.
    pub(in crate::kernels) fn pages(
        first: Row,
        lines: usize,
        rows: usize,
        strides: [Row; 3],
    ) -> Self {
        let [row, line, page] = strides;
        let steps_of = |field: fn(&Row) -> usize| {
            let back = (rows - 1) * field(&row);
            let back_to_first_line = back + (lines - 1) * field(&line);
            [
                field(&row),
                field(&line).wrapping_sub(back),
                field(&page).wrapping_sub(back_to_first_line),
            ]
        };
        let input = steps_of(|r| r.input);
        let output = steps_of(|r| r.output);
        let residual = steps_of(|r| r.residual);
        let steps =
            [0, 1, 2].map(|i| Row { input: input[i], output: output[i], residual: residual[i] });
        Self { next: first, place: [0; 2], size: [lines, rows], steps }
    }

    /// The next `N` rows.
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [Row; N] {
        let mut rows = [self.next; N];
        if self.place[1] + N < self.size[1] {
            // The common case: all rows are in one line, so nothing has to be decided.
            let step = self.steps[0];
            for n in 1..N {
                rows[n] = rows[n - 1].plus(step);
            }
            self.next = rows[N - 1].plus(step);
            self.place[1] += N;
        } else {
            for row in &mut rows {
                *row = self.next();
            }
        }
        rows
    }

    #[inline(always)]
    fn next(&mut self) -> Row {
        let row = self.next;
        let mut step = &self.steps[0];
        self.place[1] += 1;
        if self.place[1] == self.size[1] {
            self.place[1] = 0;
            self.place[0] += 1;
            step = &self.steps[1];
            if self.place[0] == self.size[0] {
                self.place[0] = 0;
                step = &self.steps[2];
            }
        }
        self.next = row.plus(*step);
        row
    }
}

/// Rows at equal distances.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(in crate::kernels) first: Row,
    pub(in crate::kernels) step: Row,
}

/// The rows of a product, and what is done with their sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination<'a> {
    /// The sums are stored as they are, in whole vectors.
    Plane(Line),
    /// The sums go through the epilogue into a map.
    Map(&'a Rows, &'a Epilogue<'a>),
}

/// Where each row of a tile is.
pub(in crate::kernels) trait RowPlaces: Copy {
    fn row(&self, m: usize) -> Row;
}

impl RowPlaces for Line {
    #[inline(always)]
    fn row(&self, m: usize) -> Row {
        let at = |first: usize, step: usize| first.wrapping_add(m.wrapping_mul(step));
        Row {
            input: at(self.first.input, self.step.input),
            output: at(self.first.output, self.step.output),
            residual: at(self.first.residual, self.step.residual),
        }
    }
}

impl<const N: usize> RowPlaces for [Row; N] {
    #[inline(always)]
    fn row(&self, m: usize) -> Row {
        self[m]
    }
}

/// The rows that are left, for each kind of [`Destination`]. Tiles are compiled for each kind:
/// where rows are at equal distances and there is no epilogue, a tile needs no memory for either.
pub(in crate::kernels) trait TileRows {
    type Places<const N: usize>: RowPlaces;

    /// The next `N` rows.
    fn take<const N: usize>(&mut self) -> Self::Places<N>;

    fn epilogue(&self) -> Option<&Epilogue<'_>>;
}

impl TileRows for Line {
    type Places<const N: usize> = Self;

    #[inline(always)]
    fn take<const N: usize>(&mut self) -> Self {
        let line = *self;
        self.first = line.row(N);
        line
    }

    #[inline(always)]
    fn epilogue(&self) -> Option<&Epilogue<'_>> {
        None
    }
}

/// The rows of a map that are left, and the epilogue.
pub(in crate::kernels) struct MapRows<'a>(
    pub(in crate::kernels) Rows,
    pub(in crate::kernels) &'a Epilogue<'a>,
);

impl TileRows for MapRows<'_> {
    type Places<const N: usize> = [Row; N];

    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [Row; N] {
        self.0.take()
    }

    #[inline(always)]
    fn epilogue(&self) -> Option<&Epilogue<'_>> {
        Some(self.1)
    }
}
