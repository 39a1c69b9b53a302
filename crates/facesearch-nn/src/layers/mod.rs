//! Layers as the CPU engine runs them: weights packed for the kernels, values laid out for them.

mod aligned;
mod convolution;
mod local;
mod map;
mod pointwise;
mod threads;

pub(crate) use aligned::Aligned;
pub(crate) use convolution::{Convolution, Io, Prepared, Weights};
pub(crate) use local::LocalLayer;
pub(crate) use map::Map;
pub(crate) use pointwise::{
    Load, Pixels, Scaled, add, concat, copy_channels, flatten, global_average, multiply, rearrange,
    reshape, softmax, store, upsample,
};
pub(crate) use threads::{join, with_awake_threads};

/// What a layer does for one image.
pub(crate) struct LayerWork {
    /// The kind of layer and how it is run.
    pub(crate) name: String,
    /// Multiplications with addition by the definition. Those with padding are left out.
    pub(crate) defined: u64,
    /// Multiplications with addition as they are carried out.
    pub(crate) done: u64,
    /// How many packed weights are read, in the size of floats.
    pub(crate) weights: usize,
}
