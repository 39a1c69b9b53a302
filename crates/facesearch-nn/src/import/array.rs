//! Constants of a network's file: arrays of floats or integers.

use std::sync::Arc;

use super::ImportError;

/// A constant. `f16`, `bf16` and `f64` become `f32`, integers become `i64`.
#[derive(Debug, Clone)]
pub(super) struct Array {
    /// Size of each dimension; empty for a single number.
    pub(super) dims: Vec<usize>,
    /// As many numbers as the dimensions have places.
    pub(super) numbers: Numbers,
}

/// The numbers of an [`Array`], the last dimension fastest.
#[derive(Debug, Clone)]
pub(super) enum Numbers {
    Real(Arc<[f32]>),
    Whole(Arc<[i64]>),
}

/// A number format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F32,
    F64,
    F16,
    Bf16,
    I64,
    I32,
    I8,
    U8,
}

impl Element {
    fn bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::I32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::I8 | Self::U8 => 1,
        }
    }
}

/// How many numbers an array of these dimensions has; `None` where the count overflows.
pub(super) fn count(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
}

impl Array {
    pub(super) fn real(dims: Vec<usize>, numbers: impl Into<Arc<[f32]>>) -> Self {
        Self { dims, numbers: Numbers::Real(numbers.into()) }
    }

    pub(super) fn whole(dims: Vec<usize>, numbers: impl Into<Arc<[i64]>>) -> Self {
        Self { dims, numbers: Numbers::Whole(numbers.into()) }
    }

    /// From little-endian bytes, whose number must fit the dimensions.
    pub(super) fn from_bytes(
        dims: Vec<usize>,
        element: Element,
        bytes: &[u8],
    ) -> Result<Self, ImportError> {
        let wanted = count(&dims).and_then(|n| n.checked_mul(element.bytes()));
        if wanted != Some(bytes.len()) {
            let what = format!("{} bytes for an array of {dims:?}", bytes.len());
            return Err(ImportError::damaged(what));
        }
        let numbers = match element {
            Element::F32 => Numbers::Real(each(bytes, f32::from_le_bytes)),
            Element::F64 => Numbers::Real(each(bytes, |b| f64::from_le_bytes(b) as f32)),
            Element::F16 => Numbers::Real(each(bytes, |b| half::f16::from_le_bytes(b).to_f32())),
            Element::Bf16 => Numbers::Real(each(bytes, |b| half::bf16::from_le_bytes(b).to_f32())),
            Element::I64 => Numbers::Whole(each(bytes, i64::from_le_bytes)),
            Element::I32 => Numbers::Whole(each(bytes, |b| i64::from(i32::from_le_bytes(b)))),
            Element::I8 => Numbers::Whole(each(bytes, |[b]: [u8; 1]| i64::from(b as i8))),
            Element::U8 => Numbers::Whole(each(bytes, |[b]: [u8; 1]| i64::from(b))),
        };
        Ok(Self { dims, numbers })
    }

    pub(super) fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Real(v) => v.len(),
            Numbers::Whole(v) => v.len(),
        }
    }

    /// The numbers as `f32`.
    pub(super) fn reals(&self) -> Arc<[f32]> {
        match &self.numbers {
            Numbers::Real(v) => v.clone(),
            Numbers::Whole(v) => v.iter().map(|v| *v as f32).collect(),
        }
    }

    /// The numbers as integers. Fractions are cut off.
    pub(super) fn wholes(&self) -> Arc<[i64]> {
        match &self.numbers {
            Numbers::Real(v) => v.iter().map(|v| *v as i64).collect(),
            Numbers::Whole(v) => v.clone(),
        }
    }

    /// The same numbers in other dimensions, whose product the caller has checked.
    pub(super) fn with_dims(&self, dims: Vec<usize>) -> Self {
        debug_assert_eq!(count(&dims), Some(self.len()));
        Self { dims, numbers: self.numbers.clone() }
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Arc<[T]> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(|b| read(*b)).collect()
}
