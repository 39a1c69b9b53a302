//! The register tile: a few rows of numbers times a panel of weights, in registers to the end.
//!
//! Every layer that multiplies is this: a *row* is what one output pixel reads (several runs of
//! contiguous numbers), a *panel* the weights of up to four vectors of output channels, `k` by `k`.
//! A tile of `MR` rows by `NR` vectors keeps `MR * NR` sums in registers; per step it loads `NR`
//! vectors of weights and spreads `MR` numbers. Each sum adds in the same order whatever the tile
//! it is in, so a result does not depend on its neighbours.
#![expect(clippy::needless_range_loop, reason = "registers are addressed by their place")]

use super::Simd;
use crate::layers::Map;

/// Some output channels and where their weights lie: for each number of a row, in the order in
/// which rows are read, `vectors * LANES` weights.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panel {
    /// The first output channel.
    pub(crate) first: usize,
    /// How many output channels.
    pub(crate) channels: usize,
    /// How many vectors they fill, the last perhaps not wholly.
    pub(crate) vectors: usize,
    /// Where its weights begin.
    pub(crate) start: usize,
}

/// Weights of a panel that it does not exceed where it can be narrower: 1 MiB.
const MOST_PANEL: usize = 256 * 1024;

/// Splits the output channels from `first` on into panels, the weights of the first at `start`;
/// also says where those of the last end.
pub(crate) fn split_panels(
    level: super::Level,
    first: usize,
    channels: usize,
    row: usize,
    start: usize,
) -> (Vec<Panel>, usize) {
    let lanes = level.lanes();
    // A long row's panel is narrower, so that it stays in the level-2 cache while all tiles read it.
    let most = (MOST_PANEL / (row * lanes).max(1)).clamp(1, level.panel_vectors());
    let (mut panels, mut done, mut end) = (Vec::new(), 0, start);
    while done < channels {
        let left = (channels - done).div_ceil(lanes);
        let vectors = left.min(most);
        let inside = (channels - done).min(vectors * lanes);
        panels.push(Panel { first: first + done, channels: inside, vectors, start: end });
        done += inside;
        end += row * vectors * lanes;
    }
    (panels, end)
}

/// Weights as a layer keeps them: that of output channel `o` for the `k`-th number of a row lies at
/// `o * output + places[k]`, to be multiplied with the channel's factor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) weights: &'a [f32],
    pub(crate) output: usize,
    pub(crate) places: &'a [usize],
    pub(crate) scale: Option<&'a [f32]>,
}

/// Packs the weights of panels, which lie where they say in `into`.
pub(crate) fn fill_panels(
    level: super::Level,
    panels: &[Panel],
    source: &Source<'_>,
    into: &mut [f32],
) {
    for panel in panels {
        let lanes = panel.vectors * level.lanes();
        let to = &mut into[panel.start..][..source.places.len() * lanes];
        for (&place, to) in source.places.iter().zip(to.chunks_exact_mut(lanes)) {
            let (to, beyond) = to.split_at_mut(panel.channels);
            beyond.fill(0.0);
            let from = &source.weights[panel.first * source.output + place..];
            match source.scale {
                None if source.output == 1 => to.copy_from_slice(&from[..to.len()]),
                None => {
                    let from = from.iter().step_by(source.output);
                    to.iter_mut().zip(from).for_each(|(to, w)| *to = *w);
                }
                Some(scale) => {
                    let from = from.iter().step_by(source.output).zip(&scale[panel.first..]);
                    to.iter_mut().zip(from).for_each(|(to, (w, scale))| *to = scale * w);
                }
            }
        }
    }
}

/// How far numbers for channels reach beyond the last one: as far as a panel's vectors may.
pub(crate) const SLACK: usize = 64;

/// What happens to a sum before it is stored. The slice has a number for each output channel,
/// and [`SLACK`] zeros after them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Squash<'a> {
    None,
    Relu,
    /// `max(x, 0) + slope * min(x, 0)`.
    Slope(&'a [f32]),
    /// Between two bounds.
    Clip(f32, f32),
}

/// Something of the output's height and width that is added to the sums; it may have fewer
/// channels.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Residual<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) map: Map,
}

impl<'a> Residual<'a> {
    /// The parts above and below row `y` of one image.
    pub(crate) fn cut(&self, y: usize) -> (Self, Self) {
        let (at, upper, lower) = self.map.cut(y);
        let (above, below): (&'a [f32], &'a [f32]) = self.data.split_at(at);
        (Self { data: above, map: upper }, Self { data: below, map: lower })
    }
}

/// All that is done to a sum besides multiplying.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Epilogue<'a> {
    /// A number for each output channel, then [`SLACK`] zeros.
    pub(crate) bias: &'a [f32],
    pub(crate) residual: Option<Residual<'a>>,
    pub(crate) squash: Squash<'a>,
}

impl Epilogue<'_> {
    /// The same for the output channels from `channel` on, of one without a residual.
    pub(crate) fn from(&self, channel: usize) -> Self {
        let squash = match self.squash {
            Squash::Slope(slope) => Squash::Slope(&slope[channel..]),
            other => other,
        };
        Self { bias: &self.bias[channel..], residual: None, squash }
    }

    /// Panics unless the slices reach as far as the vectors of `channels` channels do.
    pub(super) fn check(&self, channels: usize) {
        let padded = channels + SLACK;
        assert!(self.bias.len() >= padded, "a bias for every lane");
        if let Squash::Slope(slope) = self.squash {
            assert!(slope.len() >= padded, "a slope for every lane");
        }
        if let Some(residual) = &self.residual {
            assert!(residual.map.channels <= channels, "no more channels than the output");
        }
    }

    /// Squashes the sums of rows of `NR` vectors, the first of which begins at `channel`.
    ///
    /// # Safety
    ///
    /// As for [`squash`](Self::squash), for each of the vectors.
    #[inline(always)]
    pub(super) unsafe fn squash_all<S: Simd, const MR: usize, const NR: usize>(
        &self,
        sums: &mut [[S::V; NR]; MR],
        channel: usize,
    ) {
        // SAFETY: the caller promises the instructions, and that the vectors from `channel` lie in
        // the slope, which `check` found long enough.
        unsafe {
            let zero = S::splat(0.0);
            match self.squash {
                Squash::None => {}
                Squash::Relu => {
                    for v in sums.as_flattened_mut() {
                        *v = S::max(*v, zero);
                    }
                }
                Squash::Slope(slope) => {
                    for n in 0..NR {
                        let slope = S::load(slope.as_ptr().add(channel + n * S::LANES));
                        for m in 0..MR {
                            let v = sums[m][n];
                            sums[m][n] = S::fma(slope, S::min(v, zero), S::max(v, zero));
                        }
                    }
                }
                Squash::Clip(low, high) => {
                    let (low, high) = (S::splat(low), S::splat(high));
                    for v in sums.as_flattened_mut() {
                        *v = S::min(S::max(*v, low), high);
                    }
                }
            }
        }
    }

    /// Squashes the sums of the vector that begins at `channel`.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions, and `channel + LANES` must be at most the padded
    /// number of channels that [`check`](Self::check) was given.
    #[inline(always)]
    pub(super) unsafe fn squash<S: Simd>(&self, v: S::V, channel: usize) -> S::V {
        // SAFETY: the caller promises the instructions, and that a vector from `channel` lies in
        // the slope, which `check` found long enough.
        unsafe {
            match self.squash {
                Squash::None => v,
                Squash::Relu => S::max(v, S::splat(0.0)),
                Squash::Slope(slope) => {
                    let zero = S::splat(0.0);
                    let slope = S::load(slope.as_ptr().add(channel));
                    S::fma(slope, S::min(v, zero), S::max(v, zero))
                }
                Squash::Clip(low, high) => S::min(S::max(v, S::splat(low)), S::splat(high)),
            }
        }
    }
}

/// Where one row of numbers begins, where its results go, and where what is added to them lies.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    pub(super) input: usize,
    pub(super) output: usize,
    pub(super) residual: usize,
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

/// Rows in order: a line of them, lines below one another, pages of lines.
#[derive(Debug, Clone)]
pub(crate) struct Rows {
    next: Row,
    place: [usize; 2],
    size: [usize; 2],
    /// What is added after a row, after the last of a line, and after the last of a page.
    steps: [Row; 3],
}

impl Rows {
    /// One endless line of rows, each so far from the one before.
    pub(super) fn line(first: Row, step: Row) -> Self {
        Self { next: first, place: [0; 2], size: [isize::MAX as usize; 2], steps: [step; 3] }
    }

    /// Pages of `lines` lines of `rows` rows. The strides are those from one row to the next in
    /// its line, from one line's beginning to the next's, and from one page's to the next's.
    pub(super) fn pages(first: Row, lines: usize, rows: usize, strides: [Row; 3]) -> Self {
        let [row, line, page] = strides;
        let step = |f: fn(&Row) -> usize| {
            let back = (rows - 1) * f(&row);
            let back_to_first_line = back + (lines - 1) * f(&line);
            [f(&row), f(&line).wrapping_sub(back), f(&page).wrapping_sub(back_to_first_line)]
        };
        let (input, output, residual) =
            (step(|r| r.input), step(|r| r.output), step(|r| r.residual));
        let step = |i: usize| Row { input: input[i], output: output[i], residual: residual[i] };
        let steps = [step(0), step(1), step(2)];
        Self { next: first, place: [0; 2], size: [lines, rows], steps }
    }

    /// The next `N` rows.
    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [Row; N] {
        let mut rows = [self.next; N];
        if self.place[1] + N < self.size[1] {
            // All in one line, as nearly always: no decisions.
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
    pub(super) first: Row,
    pub(super) step: Row,
}

/// The rows of a product, and what becomes of their sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum To<'a> {
    /// The sums are stored as they are, whole vectors of them.
    Plane(Line),
    Map(&'a Rows, &'a Epilogue<'a>),
}

/// Where each of a tile's rows lies.
pub(super) trait Places: Copy {
    fn row(&self, m: usize) -> Row;
}

impl Places for Line {
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

impl<const N: usize> Places for [Row; N] {
    #[inline(always)]
    fn row(&self, m: usize) -> Row {
        self[m]
    }
}

/// Each kind of [`To`], so that tiles are compiled for each: where nothing is done with sums, and rows are
/// at equal distances, they need no memory for either.
pub(super) trait Sums {
    type At<const N: usize>: Places;

    /// The next `N` rows.
    fn take<const N: usize>(&mut self) -> Self::At<N>;

    fn epilogue(&self) -> Option<&Epilogue<'_>>;
}

impl Sums for Line {
    type At<const N: usize> = Self;

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

/// The rows of a map that are left.
pub(super) struct MapSums<'a>(pub(super) Rows, pub(super) &'a Epilogue<'a>);

impl Sums for MapSums<'_> {
    type At<const N: usize> = [Row; N];

    #[inline(always)]
    fn take<const N: usize>(&mut self) -> [Row; N] {
        self.0.take()
    }

    #[inline(always)]
    fn epilogue(&self) -> Option<&Epilogue<'_>> {
        Some(self.1)
    }
}

/// How a row is read: runs of `run` numbers at these distances from its beginning.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Runs<'a> {
    pub(super) starts: &'a [usize],
    pub(super) run: usize,
}

/// Rows and the panel they are multiplied with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product<'a> {
    pub(super) input: *const f32,
    pub(super) count: usize,
    pub(super) runs: Runs<'a>,
    pub(super) weights: *const f32,
    pub(super) panel: &'a Panel,
    pub(super) output: *mut f32,
    pub(super) to: To<'a>,
}

/// Multiplies rows with a panel; the body of [`Simd::multiply`], which is compiled once for each
/// kind of vector.
///
/// # Safety
///
/// The CPU must have `S`'s instructions. For each of the `count` rows: from `input + row.input`
/// every run must be readable; from `output + row.output` there must be room for the panel's
/// channels at its first one, in a plane for all the panel's vectors; the residual must be
/// readable likewise, as far as its channels go. `weights` must hold the panel's weights for a whole
/// row, and the epilogue must have been checked for the output's channels.
#[inline(always)]
pub(super) unsafe fn multiply<S: Simd>(product: Product<'_>) {
    // SAFETY: what the caller promises.
    unsafe {
        match product.to {
            To::Plane(line) => tiles::<S>(&product, line),
            To::Map(rows, epilogue) => tiles::<S>(&product, MapSums(rows.clone(), epilogue)),
        }
    }
}

/// All tiles of a product.
///
/// # Safety
///
/// As for [`multiply`].
#[inline(always)]
unsafe fn tiles<S: Simd>(product: &Product<'_>, rows: impl Sums) {
    let mut rows = rows;
    let Product { weights, runs, .. } = *product;
    let row = runs.starts.len() * runs.run;
    let mut ahead = Ahead::new(weights, row * product.panel.vectors * S::LANES);
    macro_rules! sweep {
        ($vectors:literal, $most:expr, [$($rows:literal)*]) => {{
            let mut left = product.count;
            while left > 0 {
                let size = next_tile(left, $most);
                let lines = ahead.take(row);
                match size {
                    // SAFETY: what this function's caller promises.
                    $($rows => unsafe {
                        tile::<S, $rows, $vectors>(product, &mut rows, lines)
                    },)*
                    _ => unreachable!("next_tile returns only sizes that are listed"),
                }
                left -= size;
            }
        }};
    }
    let many = S::MANY_REGISTERS;
    match product.panel.vectors {
        1 => sweep!(1, if many { 12 } else { 8 }, [1 2 3 4 5 6 7 8 9 10 11 12]),
        2 => sweep!(2, if many { 12 } else { 6 }, [1 2 3 4 5 6 7 8 9 10 11 12]),
        3 => sweep!(3, 8, [1 2 3 4 5 6 7 8]),
        _ => sweep!(4, 6, [1 2 3 4 5 6]),
    }
}

/// How many rows the next tile takes when `left` are left: of as few tiles as can be the largest, all being
/// as large as one another or one smaller.
#[inline(always)]
pub(super) fn next_tile(left: usize, most: usize) -> usize {
    left.div_ceil(left.div_ceil(most))
}

/// Numbers in a cache line.
const LINE: usize = 16;

/// More weights than this are not asked for ahead: 512 KiB.
const MOST_AHEAD: usize = 128 * 1024;

/// The lines behind a panel's weights, where those of the next panel lie. While a panel is multiplied they
/// are asked for, one for each number of a row: weights that come from beyond the level-2 cache
/// would otherwise be waited for, and by the first tile alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    weights: *const f32,
    next: usize,
    end: usize,
}

impl Ahead {
    /// Behind `len` weights, and as many; none where both panels would not stay in the level-2 cache.
    #[inline(always)]
    pub(super) fn new(weights: *const f32, len: usize) -> Self {
        let end = if len <= MOST_AHEAD { 2 * len } else { len };
        Self { weights, next: len, end }
    }

    /// Those that a tile whose rows have `row` numbers should ask for.
    #[inline(always)]
    pub(super) fn take(&mut self, row: usize) -> Lines {
        if self.next >= self.end {
            // The same again and again, which costs nothing.
            return Lines { next: self.weights, step: 0 };
        }
        // Only an address, which may lie beyond all weights.
        let lines = Lines { next: self.weights.wrapping_add(self.next), step: LINE };
        self.next += row * LINE;
        lines
    }
}

/// Lines to ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    next: *const f32,
    step: usize,
}

impl Lines {
    /// Asks for the next.
    ///
    /// # Safety
    ///
    /// The CPU must have `S`'s instructions.
    #[inline(always)]
    pub(super) unsafe fn ask<S: Simd>(&mut self) {
        // SAFETY: the caller promises the instruction.
        unsafe { S::prefetch(self.next) };
        self.next = self.next.wrapping_add(self.step);
    }
}

/// One tile.
///
/// # Safety
///
/// As for [`multiply`], for the next `MR` rows.
#[inline(always)]
unsafe fn tile<S: Simd, const MR: usize, const NR: usize>(
    product: &Product<'_>,
    rows: &mut impl Sums,
    lines: Lines,
) {
    let Product { input, runs, weights, panel, output, .. } = *product;
    let at = rows.take::<MR>();
    let epilogue = rows.epilogue();
    let mut from = [input; MR];
    for m in 0..MR {
        // SAFETY: the caller promises that the row begins inside the input.
        from[m] = unsafe { input.add(at.row(m).input) };
    }
    // SAFETY: the caller promises the instructions; the bias reaches `SLACK` beyond the last
    // channel, hence over all `NR <= 4` vectors of a panel that begins at one of them.
    let mut sums = unsafe {
        let mut bias = [S::splat(0.0); NR];
        if let Some(epilogue) = epilogue {
            for (n, b) in bias.iter_mut().enumerate() {
                *b = S::load(epilogue.bias.as_ptr().add(panel.first + n * S::LANES));
            }
        }
        [bias; MR]
    };
    // SAFETY: the caller promises the weights and every run of these rows.
    unsafe { accumulate::<S, MR, NR>(&from, runs, weights, lines, &mut sums) };
    // SAFETY: what the caller promises.
    unsafe { finish::<S, MR, NR>(sums, at, panel, output, epilogue) };
}

/// Stores the sums of a tile, or with an epilogue what comes of them; the bias is among them then.
///
/// # Safety
///
/// As for [`multiply`], for the output of these rows.
#[inline(always)]
pub(super) unsafe fn finish<S: Simd, const MR: usize, const NR: usize>(
    sums: [[S::V; NR]; MR],
    at: impl Places,
    panel: &Panel,
    output: *mut f32,
    epilogue: Option<&Epilogue<'_>>,
) {
    let mut sums = sums;
    let Some(epilogue) = epilogue else {
        for m in 0..MR {
            for n in 0..NR {
                let to = at.row(m).output + panel.first + n * S::LANES;
                // SAFETY: the caller promises room for the panel's vectors.
                unsafe { S::store(output.add(to), sums[m][n]) };
            }
        }
        return;
    };
    let all = panel.first + NR * S::LANES;
    let reaches = |residual: &Residual<'_>| residual.map.channels >= all;
    if panel.channels == NR * S::LANES && epilogue.residual.as_ref().is_none_or(reaches) {
        // As nearly always: whole vectors everywhere, and each decision is taken once.
        // SAFETY: the caller promises the instructions and room for the panel's channels, all of
        // which are whole vectors, in the output; the residual has been found to have them too.
        unsafe {
            if let Some(residual) = &epilogue.residual {
                for m in 0..MR {
                    let from = residual.data.as_ptr().add(at.row(m).residual + panel.first);
                    for n in 0..NR {
                        sums[m][n] = S::add(sums[m][n], S::load(from.add(n * S::LANES)));
                    }
                }
            }
            epilogue.squash_all::<S, MR, NR>(&mut sums, panel.first);
            for m in 0..MR {
                let to = output.add(at.row(m).output + panel.first);
                for n in 0..NR {
                    S::store(to.add(n * S::LANES), sums[m][n]);
                }
            }
        }
        return;
    }
    // Through memory, so that on the way above sums need not lie in any.
    let mut kept = [[0.0f32; SLACK]; MR];
    for m in 0..MR {
        for n in 0..NR {
            // SAFETY: the caller promises the instructions; `NR <= 4` vectors of at most 16 lanes fit.
            unsafe { S::store(kept[m].as_mut_ptr().add(n * S::LANES), sums[m][n]) };
        }
    }
    for (m, kept) in kept.iter().enumerate() {
        for n in 0..NR {
            let channel = panel.first + n * S::LANES;
            let lanes = panel.channels.saturating_sub(n * S::LANES);
            // SAFETY: the caller promises room for the panel's channels in the output and the
            // residual's own channels in the residual; `load_up_to` and `store_up_to` touch no
            // lane beyond.
            unsafe {
                let mut v = S::load(kept.as_ptr().add(n * S::LANES));
                if let Some(residual) = &epilogue.residual {
                    let has = residual.map.channels.saturating_sub(channel).min(lanes);
                    if has > 0 {
                        let from = residual.data.as_ptr().add(at.row(m).residual + channel);
                        v = S::add(v, S::load_up_to(from, has));
                    }
                }
                v = epilogue.squash::<S>(v, channel);
                S::store_up_to(output.add(at.row(m).output + channel), v, lanes);
            }
        }
    }
}

/// Adds the products of whole rows to the sums.
///
/// # Safety
///
/// The CPU must have `S`'s instructions; from each of `from` every run must be readable, and
/// `weights` must hold `NR * LANES` numbers for each number of a row.
#[inline(always)]
unsafe fn accumulate<S: Simd, const MR: usize, const NR: usize>(
    from: &[*const f32; MR],
    runs: Runs<'_>,
    weights: *const f32,
    lines: Lines,
    sums: &mut [[S::V; NR]; MR],
) {
    let (mut weights, mut lines) = (weights, lines);
    let mut local = *sums;
    for &start in runs.starts {
        for k in start..start + runs.run {
            // SAFETY: `k` is inside the run, so each row has a number there, and the weights of
            // this number are the next `NR` vectors.
            unsafe {
                let mut w = [S::splat(0.0); NR];
                for (n, w) in w.iter_mut().enumerate() {
                    *w = S::load(weights.add(n * S::LANES));
                }
                weights = weights.add(NR * S::LANES);
                lines.ask::<S>();
                for m in 0..MR {
                    let x = S::splat(*from[m].add(k));
                    for n in 0..NR {
                        local[m][n] = S::fma(x, w[n], local[m][n]);
                    }
                }
            }
        }
    }
    *sums = local;
}
