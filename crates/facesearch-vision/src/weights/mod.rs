//! Weights in the formats that their authors wrote.

pub(crate) mod dlib;
