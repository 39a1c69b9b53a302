//! Weights for the planes.

use super::form::{Form, weight_planes};
use crate::kernels::tile::Panel;
use crate::kernels::{Kernel, Simd};

/// Taps of the largest window that a piece is multiplied with.
const MOST_TAPS: usize = 16;

/// The transformed weights of a convolution, `G g Gᵀ` of each of its kernels.
pub(crate) struct TransformWeights<'a> {
    pub(crate) form: Form,
    /// `(out, in, taps, taps)`, as the form has taps.
    pub(crate) kernels: &'a [f32],
    /// A factor for each output channel.
    pub(crate) scale: Option<&'a [f32]>,
    pub(crate) inputs: usize,
    pub(crate) panels: &'a [Panel],
    /// For each plane the panels one after the other.
    pub(crate) to: &'a mut [f32],
}

impl Kernel for TransformWeights<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes: usize = self.panels.iter().map(|panel| panel.vectors * S::LANES).sum();
        let plane = self.inputs * lanes;
        assert_eq!(self.to.len(), self.form.planes() * plane, "room for every plane");
        let mut taps = [[0f32; 16]; MOST_TAPS];
        let taps = &mut taps[..self.form.taps().pow(2)];
        for panel in self.panels {
            for vector in 0..panel.vectors {
                let first = panel.first + vector * S::LANES;
                let channels = S::LANES.min(panel.first + panel.channels - first);
                for input in 0..self.inputs {
                    for lane in 0..S::LANES {
                        let inside = lane < channels;
                        let scale =
                            self.scale.map_or(1.0, |s| if inside { s[first + lane] } else { 0.0 });
                        let at = ((first + lane) * self.inputs + input) * taps.len();
                        for (tap, to) in taps.iter_mut().enumerate() {
                            to[lane] = if inside { self.kernels[at + tap] * scale } else { 0.0 };
                        }
                    }
                    let at = panel.start + (input * panel.vectors + vector) * S::LANES;
                    assert!((self.form.planes() - 1) * plane + at + S::LANES <= self.to.len());
                    // SAFETY: `run` is called below `launch` only; there are 16 lanes of each tap,
                    // which is as many as any vector has, and as many taps as the form has; the assertion above says that a vector
                    // at `at` in the last plane lies in `to`.
                    unsafe {
                        let to = self.to.as_mut_ptr().add(at);
                        match self.form {
                            Form::Two => transform_kernel::<S, 3, 4>(taps, to, plane),
                            Form::Four => transform_kernel::<S, 3, 6>(taps, to, plane),
                            Form::Halved => transform_kernel::<S, 4, 6>(taps, to, plane),
                            Form::Parts(_) => transform_kernel::<S, 3, 5>(taps, to, plane),
                        }
                    }
                }
            }
        }
    }
}

/// One vector of kernels, place by place to the planes.
///
/// # Safety
///
/// The CPU must have `S`'s instructions, and at `to` and at each multiple of `plane` from there
/// must be room for a vector, once for each of a piece's places.
#[inline(always)]
unsafe fn transform_kernel<S: Simd, const TAPS: usize, const PIECE: usize>(
    taps: &[[f32; 16]],
    to: *mut f32,
    plane: usize,
) {
    // SAFETY: what the caller promises; a vector has at most 16 lanes.
    unsafe {
        // Not `map`: a closure there is compiled without the instructions.
        let mut rows = [[S::splat(0.0); PIECE]; TAPS];
        for (row, taps) in rows.iter_mut().zip(taps.chunks_exact(TAPS)) {
            let mut g = [S::splat(0.0); TAPS];
            for (g, tap) in g.iter_mut().zip(taps) {
                *g = S::load(tap.as_ptr());
            }
            *row = weight_planes::<S, TAPS, PIECE>(g);
        }
        for i in 0..PIECE {
            let mut g = [rows[0][i]; TAPS];
            for (g, row) in g.iter_mut().zip(&rows) {
                *g = row[i];
            }
            let column = weight_planes::<S, TAPS, PIECE>(g);
            for (j, v) in column.into_iter().enumerate() {
                S::store(to.add((j * PIECE + i) * plane), v);
            }
        }
    }
}
