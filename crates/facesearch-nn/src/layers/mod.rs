//! Layers as the CPU engine runs them: weights packed for the kernels, values laid out for them.

mod aligned;
mod convolution;
mod local;
mod map;
mod pointwise;
mod team;

pub(crate) use aligned::Aligned;
pub(crate) use convolution::{Convolution, Prepared, Weights};
pub(crate) use local::LocalLayer;
pub(crate) use map::Map;
pub(crate) use pointwise::{
    Load, Pixels, Scaled, add, concat, copy_channels, flatten, global_average, multiply, rearrange,
    reshape, softmax, store, upsample,
};
pub(crate) use team::{awake, both};
