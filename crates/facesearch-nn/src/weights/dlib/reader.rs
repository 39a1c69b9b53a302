//! Reads dlib's primitive values.

use super::{DlibError, Result};

/// Reads one value after another from the bytes of a file.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A tensor's numbers as they lie in the file.
pub(super) type Block<'a> = &'a [[u8; 4]];

impl<'a> Reader<'a> {
    /// Begins at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at the current byte.
    pub fn refuse<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(DlibError { offset: self.at, what: what.into() })
    }

    /// Checks that nothing follows.
    pub fn end(&self) -> Result<()> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            rest => self.refuse(format!("{rest} bytes more than expected")),
        }
    }

    #[inline]
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let left = self.bytes.len() - self.at;
        if len > left {
            return self.refuse(format!("{len} bytes are needed, {left} are left"));
        }
        self.at += len;
        Ok(&self.bytes[self.at - len..self.at])
    }

    /// A signed integer of any width.
    #[inline]
    pub(super) fn int(&mut self) -> Result<i64> {
        let start = self.at;
        let control = self.take(1)?[0];
        let len = usize::from(control & 0x0f);
        if !(1..=8).contains(&len) || control & 0x70 != 0 {
            self.at = start;
            return self.refuse(format!("{control:#04x} does not begin an integer"));
        }
        // Eight bytes at once where the file has them: a landmark predictor has a million integers.
        let eight = self.bytes[self.at..].first_chunk().copied();
        let bytes = self.take(len)?;
        let magnitude = match eight {
            Some(eight) => u64::from_le_bytes(eight) & (u64::MAX >> (64 - 8 * len)),
            None => bytes.iter().rev().fold(0, |m, byte| m << 8 | u64::from(*byte)),
        };
        let magnitude = i64::try_from(magnitude).ok();
        match magnitude {
            Some(m) if control & 0x80 != 0 => Ok(-m),
            Some(m) => Ok(m),
            None => self.refuse("an integer beyond 63 bits"),
        }
    }

    /// An integer that must be one of a few, such as a version.
    pub fn one_of(&mut self, wanted: &[i64], name: &str) -> Result<i64> {
        let start = self.at;
        let value = self.int()?;
        if wanted.contains(&value) {
            return Ok(value);
        }
        self.at = start;
        self.refuse(format!("{name} is {value}, known are {wanted:?}"))
    }

    /// A size, at most `limit`.
    #[inline]
    pub fn size(&mut self, limit: usize, name: &str) -> Result<usize> {
        let start = self.at;
        let value = self.int()?;
        match usize::try_from(value) {
            Ok(size) if size <= limit => Ok(size),
            _ => {
                self.at = start;
                self.refuse(format!("{name} is {value}, at most {limit} would make sense"))
            }
        }
    }

    /// A number of items of at least `bytes_each` bytes: no more than the rest of the file can
    /// hold.
    #[inline]
    pub fn count(&mut self, bytes_each: usize) -> Result<usize> {
        let limit = (self.bytes.len() - self.at) / bytes_each;
        self.size(limit, "a number of items")
    }

    /// A floating point number: mantissa, then exponent of two.
    #[inline]
    pub fn float(&mut self) -> Result<f32> {
        if let Some((value, len)) = self.bytes[self.at..].first_chunk().and_then(common_float) {
            self.at += len;
            return Ok(value);
        }
        let start = self.at;
        let (mantissa, exponent) = (self.int()?, self.int()?);
        match i32::try_from(exponent) {
            Ok(e) if (-2000..=2000).contains(&e) => Ok((mantissa as f64 * power_of_two(e)) as f32),
            _ => {
                self.at = start;
                self.refuse(format!("{mantissa} * 2^{exponent} is not a finite number"))
            }
        }
    }

    pub(super) fn boolean(&mut self) -> Result<bool> {
        match self.take(1)?[0] {
            b'1' => Ok(true),
            b'0' => Ok(false),
            other => {
                self.at -= 1;
                self.refuse(format!("{other:#04x} is neither true nor false"))
            }
        }
    }

    /// A layer's name and version.
    pub(super) fn tag(&mut self) -> Result<&'a str> {
        let len = self.size(64, "the length of a layer's name")?;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).or_else(|_| self.refuse("a layer's name that is no text"))
    }

    /// The numbers of a matrix, which must have `N`. Errors call it `name`.
    pub fn matrix_of<const N: usize>(&mut self, name: &str) -> Result<[f32; N]> {
        let start = self.at;
        let (rows, columns) = (self.int()?.unsigned_abs(), self.int()?.unsigned_abs());
        if rows.checked_mul(columns) != Some(N as u64) {
            self.at = start;
            return self.refuse(format!("{name} of {rows} x {columns} numbers, not of {N}"));
        }
        let mut numbers = [0.0; N];
        numbers.iter_mut().try_for_each(|number| self.float().map(|float| *number = float))?;
        Ok(numbers)
    }

    fn shape(&mut self) -> Result<[usize; 4]> {
        let limit = u32::MAX as usize;
        Ok([
            self.size(limit, "samples")?,
            self.size(limit, "channels")?,
            self.size(limit, "rows")?,
            self.size(limit, "columns")?,
        ])
    }

    /// The numbers of a tensor.
    pub(super) fn tensor(&mut self) -> Result<Block<'a>> {
        self.one_of(&[2], "the version of a tensor")?;
        let shape = self.shape()?;
        let bytes = shape.iter().try_fold(4usize, |len, dim| len.checked_mul(*dim));
        let Some(bytes) = bytes else {
            return self.refuse(format!("a tensor of {shape:?}"));
        };
        Ok(self.take(bytes)?.as_chunks::<4>().0)
    }

    /// The shape of a part of another tensor.
    pub(super) fn alias(&mut self) -> Result<[usize; 4]> {
        self.one_of(&[1], "the version of a tensor's part")?;
        self.shape()
    }

    pub(super) fn skip_floats(&mut self, n: usize) -> Result<()> {
        (0..n).try_for_each(|_| self.float().map(|_| ()))
    }
}

/// A floating point number in its common form, with a mantissa of up to seven bytes and an exponent
/// of one, and its length in bytes. Fast, because a landmark predictor has a million of them.
#[inline]
fn common_float(bytes: &[u8; 16]) -> Option<(f32, usize)> {
    let len = usize::from(bytes[0] & 0x0f);
    let exponent_at = 1 + len;
    if bytes[0] & 0x70 != 0 || !(1..=7).contains(&len) || bytes[exponent_at] & 0x7f != 1 {
        return None;
    }
    let eight = u64::from_le_bytes(*bytes[1..].first_chunk()?);
    let mantissa = signed((eight & ((1 << (8 * len)) - 1)) as i64, bytes[0]) as f64;
    let exponent = signed(i64::from(bytes[exponent_at + 1]), bytes[exponent_at]) as i32;
    Some(((mantissa * power_of_two(exponent)) as f32, exponent_at + 2))
}

/// The magnitude with the sign of the control byte. Without a branch, because signs cannot be
/// predicted.
#[inline]
fn signed(magnitude: i64, control: u8) -> i64 {
    let negative = i64::from(control >> 7);
    (magnitude ^ -negative) + negative
}

/// Two to the power of `e`, from its bits where it is a normal number. A landmark predictor has
/// half a million of them.
#[inline]
pub(super) fn power_of_two(e: i32) -> f64 {
    match e {
        -1022..=1023 => f64::from_bits(((e + 1023) as u64) << 52),
        _ => far_power_of_two(e),
    }
}

/// Not inlined: the compiler takes `powi` to be free of side effects and would otherwise call it
/// for every number, used or not.
#[cold]
#[inline(never)]
fn far_power_of_two(e: i32) -> f64 {
    2f64.powi(e)
}
