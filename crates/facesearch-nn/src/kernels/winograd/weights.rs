//! From kernels to the weights of the planes.

use super::form::{Form, transform_weights_1d};
use crate::kernels::tile::Panel;
use crate::kernels::{Kernel, Simd};

/// Taps of the largest window of a form.
const MAX_TAPS: usize = 16;

/// Transforms the weights of a convolution: `G g Gᵀ` of each of its kernels.
pub(crate) struct TransformWeights<'a> {
    pub(crate) form: Form,
    /// `(out, in, taps, taps)`, with the taps of the form.
    pub(crate) kernels: &'a [f32],
    /// A factor for each output channel.
    pub(crate) scale: Option<&'a [f32]>,
    pub(crate) inputs: usize,
    pub(crate) panels: &'a [Panel],
    /// Gets the panels of each plane, one after the other.
    pub(crate) to: &'a mut [f32],
}

impl Kernel for TransformWeights<'_> {
    #[inline(always)]
    fn run<S: Simd>(self) {
        let lanes: usize = self.panels.iter().map(|panel| panel.vectors * S::LANES).sum();
        let plane = self.inputs * lanes;
        assert_eq!(self.to.len(), self.form.planes() * plane, "room for every plane");
        let mut taps = [[0f32; 16]; MAX_TAPS];
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
                    // SAFETY: `run` is called below `launch` only. There are as many taps as the
                    // form has, with 16 lanes each, which is as many as any vector has. The
                    // assertion above says that a vector at `at` in the last plane lies in `to`.
                    unsafe {
                        let to = self.to.as_mut_ptr().add(at);
                        match self.form {
                            Form::F2x2 => transform_kernel::<S, 3, 4>(taps, to, plane),
                            Form::F4x4 => transform_kernel::<S, 3, 6>(taps, to, plane),
                            Form::SpaceToDepth => transform_kernel::<S, 4, 6>(taps, to, plane),
                            Form::Parts(_) => transform_kernel::<S, 3, 5>(taps, to, plane),
                        }
                    }
                }
            }
        }
    }
}

/// Transforms one vector of kernels and stores each place of them in its plane.
///
/// # Safety
///
/// The CPU must have `S`'s instructions, and at `to` and at each multiple of `plane` from there
/// must be room for a vector, once for each place of a tile.
#[inline(always)]
unsafe fn transform_kernel<S: Simd, const TAPS: usize, const IN_TILE: usize>(
    taps: &[[f32; 16]],
    to: *mut f32,
    plane: usize,
) {
    // SAFETY: what the caller promises. A vector has at most 16 lanes.
    unsafe {
        // Not `map`: its closure would be compiled without the instructions.
        let mut rows = [[S::splat(0.0); IN_TILE]; TAPS];
        for (row, taps) in rows.iter_mut().zip(taps.chunks_exact(TAPS)) {
            let mut g = [S::splat(0.0); TAPS];
            for (g, tap) in g.iter_mut().zip(taps) {
                *g = S::load(tap.as_ptr());
            }
            *row = transform_weights_1d::<S, TAPS, IN_TILE>(g);
        }
        for i in 0..IN_TILE {
            let mut g = [rows[0][i]; TAPS];
            for (g, row) in g.iter_mut().zip(&rows) {
                *g = row[i];
            }
            let column = transform_weights_1d::<S, TAPS, IN_TILE>(g);
            for (j, v) in column.into_iter().enumerate() {
                S::store(to.add((j * IN_TILE + i) * plane), v);
            }
        }
    }
}
