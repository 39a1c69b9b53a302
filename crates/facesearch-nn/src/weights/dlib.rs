//! Reads dlib's serialised files, as far as its face models use them.
//!
//! - **Format:** dlib's `serialize.h` and `dnn/core.h`; the files carry no types, so the reader
//!   must know what comes next. Integers take one control byte and up to eight magnitude bytes;
//!   floating point numbers are two integers, *mantissa first*; only tensors are raw `f32`.
//! - **Networks** are written from the output inwards, but each layer's record follows that of the
//!   layer it reads: a run of version numbers first, then the records in the order of execution.
//! - **Trap:** the counts in a file are claims. Nothing here allocates more than the bytes that are
//!   really there could describe, and every error names the byte where it was met.

use std::sync::Arc;

/// Why a file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "at byte {offset} of dlib's file: {what}; the file is damaged or of another kind, fetch it again"
)]
pub struct DlibError {
    /// Where it was met.
    pub(crate) offset: usize,
    /// What was met there.
    pub(crate) what: String,
}

type Result<T> = std::result::Result<T, DlibError>;

/// Reads one value after another from the bytes of a file.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A tensor: samples, channels, rows, columns.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTensor {
    /// Samples, channels, rows, columns.
    pub shape: [usize; 4],
    /// As many numbers as the shape has places, the columns fastest.
    pub data: Arc<[f32]>,
}

/// A tensor's numbers as they lie in the file.
type Block<'a> = &'a [[u8; 4]];

fn numbers<T: FromIterator<f32>>(block: Block<'_>) -> T {
    block.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

impl<'a> Reader<'a> {
    /// Begins at the first of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at the current place.
    pub fn refuse<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(DlibError { offset: self.at, what: what.into() })
    }

    /// Nothing may follow.
    pub fn end(&self) -> Result<()> {
        match self.bytes.len() - self.at {
            0 => Ok(()),
            rest => self.refuse(format!("{rest} bytes more than expected")),
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let left = self.bytes.len() - self.at;
        if len > left {
            return self.refuse(format!("{len} bytes are needed, {left} are left"));
        }
        self.at += len;
        Ok(&self.bytes[self.at - len..self.at])
    }

    /// A signed integer of any width.
    fn int(&mut self) -> Result<i64> {
        let start = self.at;
        let control = self.take(1)?[0];
        let len = usize::from(control & 0x0f);
        if !(1..=8).contains(&len) || control & 0x70 != 0 {
            self.at = start;
            return self.refuse(format!("{control:#04x} does not begin an integer"));
        }
        // Eight bytes at once where the file has them: a landmark predictor is a million integers.
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

    /// An integer that must be one of a few: a version, say.
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

    /// How many items of at least `bytes_each` follow: no more than the rest of the file can hold.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize> {
        let limit = (self.bytes.len() - self.at) / bytes_each;
        self.size(limit, "a number of items")
    }

    /// A floating point number: mantissa, then exponent of two.
    pub fn float(&mut self) -> Result<f32> {
        if let Some((value, len)) = self.bytes[self.at..].first_chunk().and_then(usual_float) {
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

    fn boolean(&mut self) -> Result<bool> {
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
    fn tag(&mut self) -> Result<&'a str> {
        let len = self.size(64, "the length of a layer's name")?;
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).or_else(|_| self.refuse("a layer's name that is no text"))
    }

    /// The numbers of a matrix of `N`; `name` is what it is.
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
    fn tensor(&mut self) -> Result<Block<'a>> {
        self.one_of(&[2], "the version of a tensor")?;
        let shape = self.shape()?;
        let bytes = shape.iter().try_fold(4usize, |len, dim| len.checked_mul(*dim));
        let Some(bytes) = bytes else {
            return self.refuse(format!("a tensor of {shape:?}"));
        };
        Ok(self.take(bytes)?.as_chunks::<4>().0)
    }

    /// The shape of a part of another tensor.
    fn alias(&mut self) -> Result<[usize; 4]> {
        self.one_of(&[1], "the version of a tensor's part")?;
        self.shape()
    }

    fn skip_floats(&mut self, n: usize) -> Result<()> {
        (0..n).try_for_each(|_| self.float().map(|_| ()))
    }
}

/// How a window slides, as dlib writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sliding {
    /// Rows and columns of the window.
    pub size: [usize; 2],
    /// Steps down and across.
    pub stride: [usize; 2],
    /// Rows above and below, columns on both sides.
    pub padding: [usize; 2],
}

/// What one layer of a network's file holds.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are what their names say")]
pub enum Record {
    /// Weights `[out, in, rows, columns]`.
    Convolution {
        weight: RawTensor,
        bias: Option<Vec<f32>>,
        sliding: Sliding,
    },
    /// `scale * x + shift` for each channel; a batch normalisation is folded into this.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    /// Weights `[in, out]`.
    Dense {
        weight: RawTensor,
        bias: Option<Vec<f32>>,
    },
    Relu,
    /// A size of zero takes the whole map.
    MaxPool(Sliding),
    /// A size of zero takes the whole map.
    AveragePool(Sliding),
    AddPrevious,
    /// Two marked values, their channels one after the other.
    Concat,
}

/// One step inwards from a network's output; see the module's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A layer with a record.
    Layer,
    /// A name for a value that a later layer reads, or the reading of one: no record.
    Mark,
    /// So many times the same steps, which end in a mark; each time is a network of its own.
    Repeat(usize, &'static [Self]),
}

/// What is read before the layers that it comes behind.
enum Waiting {
    /// A layer of this version, whose record comes later.
    Layer(i64),
    /// The records of repeated steps.
    Repeated(Vec<Record>),
}

/// What the first layer of a network reads: the mean of each channel, subtracted before all is
/// divided by 256.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputRecord {
    /// Red, green, blue, in 0..=255.
    pub mean: [f32; 3],
}

/// Reads a network with a metric-learning loss on an RGB picture of one size, to the last byte.
///
/// `steps` go from the output inwards, the layer on the input included. The records come back in
/// the order of execution.
pub fn read_metric_network(bytes: &[u8], steps: &[Step]) -> Result<(InputRecord, Vec<Record>)> {
    let mut reader = Reader::new(bytes);
    reader.one_of(&[1], "the version of the loss layer")?;
    match reader.tag()? {
        "loss_metric_" => {}
        "loss_metric_2" => reader.skip_floats(2)?,
        other => return reader.refuse(format!("the loss is `{other}`, not a metric loss")),
    }
    let Some((Step::Layer, outer)) = steps.split_last() else {
        return reader.refuse("a network without a layer on its input");
    };
    let waiting = reader.inwards(outer)?;
    let innermost = reader.one_of(&[2, 3], "the version of the layer on the input")?;
    let input = reader.input()?;
    let mut records = vec![reader.record()?];
    reader.skip_training_state(3)?;
    if innermost == 3 {
        reader.int()?;
    }
    reader.outwards(waiting, &mut records)?;
    reader.end()?;
    Ok((input, records))
}

impl Reader<'_> {
    /// What comes before the layer on the input.
    fn inwards(&mut self, steps: &[Step]) -> Result<Vec<Waiting>> {
        let mut waiting = Vec::with_capacity(steps.len());
        for step in steps {
            match step {
                Step::Layer => {
                    waiting.push(Waiting::Layer(self.one_of(&[1, 2], "the version of a layer")?));
                }
                Step::Mark => {
                    self.one_of(&[1], "the version of a tag or skip layer")?;
                }
                Step::Repeat(times, group) => {
                    waiting.push(Waiting::Repeated(self.repeated(*times, group)?));
                }
            }
        }
        Ok(waiting)
    }

    /// What comes behind it.
    fn outwards(&mut self, waiting: Vec<Waiting>, records: &mut Vec<Record>) -> Result<()> {
        for waiting in waiting.into_iter().rev() {
            match waiting {
                Waiting::Layer(version) => {
                    records.push(self.record()?);
                    self.skip_training_state(1 + version as usize)?;
                }
                Waiting::Repeated(group) => records.extend(group),
            }
        }
        Ok(())
    }

    /// The records of repeated steps in the order of execution; in the file the last time is first.
    fn repeated(&mut self, times: usize, group: &[Step]) -> Result<Vec<Record>> {
        self.one_of(&[1], "the version of repeated layers")?;
        self.one_of(&[times as i64], "how often layers are repeated")?;
        let mut all = Vec::with_capacity(times);
        for _ in 0..times {
            all.push(self.group(group)?);
        }
        Ok(all.into_iter().rev().flatten().collect())
    }

    fn group(&mut self, steps: &[Step]) -> Result<Vec<Record>> {
        let Some((Step::Mark, outer)) = steps.split_last() else {
            return self.refuse("repeated layers that do not begin with a mark");
        };
        let waiting = self.inwards(outer)?;
        let version = self.one_of(&[1, 2], "the version of a mark on an input")?;
        (0..2).try_for_each(|_| self.tensor().map(|_| ()))?;
        self.boolean()?;
        if version == 2 {
            self.int()?;
        }
        let mut records = Vec::new();
        self.outwards(waiting, &mut records)?;
        Ok(records)
    }

    /// Three flags and some tensors that only training needs.
    fn skip_training_state(&mut self, tensors: usize) -> Result<()> {
        (0..3).try_for_each(|_| self.boolean().map(|_| ()))?;
        (0..tensors).try_for_each(|_| self.tensor().map(|_| ()))
    }

    fn input(&mut self) -> Result<InputRecord> {
        let tag = self.tag()?;
        if !["input_rgb_image_sized", "input_rgb_image"].contains(&tag) {
            return self.refuse(format!("the input is `{tag}`, not an `input_rgb_image`"));
        }
        let mean = [self.float()?, self.float()?, self.float()?];
        if tag == "input_rgb_image_sized" {
            self.size(1 << 16, "the rows of the input")?;
            self.size(1 << 16, "the columns of the input")?;
        }
        Ok(InputRecord { mean })
    }

    fn record(&mut self) -> Result<Record> {
        match self.tag()? {
            "con_4" => self.convolution(4),
            "con_5" => self.convolution(5),
            "con_6" => self.convolution(6),
            "affine_" => self.affine(1),
            "affine_2" => self.affine(2),
            "bn_con2" | "bn_fc2" => self.batch_norm(),
            "fc_2" => self.dense(2),
            "fc_3" => self.dense(3),
            "relu_" => Ok(Record::Relu),
            "relu_2" => self.boolean().map(|_| Record::Relu),
            "max_pool_2" => self.sliding().map(Record::MaxPool),
            "avg_pool_2" => self.sliding().map(Record::AveragePool),
            "add_prev_" => Ok(Record::AddPrevious),
            "concat_" => {
                self.one_of(&[2], "how many values are put together").map(|_| Record::Concat)
            }
            other => self.refuse(format!("a layer `{other}` that is not known here")),
        }
    }

    /// Rows and columns of the window, its strides, its paddings.
    fn sliding(&mut self) -> Result<Sliding> {
        let mut pair = |name: &str| Ok([self.size(1 << 16, name)?, self.size(1 << 16, name)?]);
        Ok(Sliding {
            size: pair("the size of a window")?,
            stride: pair("the stride of a window")?,
            padding: pair("the padding of a window")?,
        })
    }

    fn convolution(&mut self, version: u8) -> Result<Record> {
        let params = self.tensor()?;
        let filters = self.size(1 << 20, "the number of filters")?;
        let sliding = self.sliding()?;
        let (shape, bias_shape) = (self.alias()?, self.alias()?);
        self.skip_floats(4)?;
        let has_bias = version < 5 || self.boolean()?;
        if version == 6 && self.boolean()? {
            return self.refuse("a convolution with a built-in relu");
        }
        if shape[0] != filters || [shape[2], shape[3]] != sliding.size {
            return self.refuse(format!("{filters} filters of {:?} in {shape:?}", sliding.size));
        }
        let (weight, bias) = self.split(params, shape, bias_shape, has_bias)?;
        Ok(Record::Convolution { weight, bias, sliding })
    }

    fn dense(&mut self, version: u8) -> Result<Record> {
        let outputs = self.size(1 << 24, "the outputs of a dense layer")?;
        let inputs = self.size(1 << 24, "the inputs of a dense layer")?;
        let params = self.tensor()?;
        let (shape, bias_shape) = (self.alias()?, self.alias()?);
        let without_bias = self.one_of(&[0, 1], "the bias mode")? == 1;
        self.skip_floats(4)?;
        let uses_bias = version < 3 || self.boolean()?;
        if shape.iter().product::<usize>() != inputs * outputs {
            return self.refuse(format!("a dense layer of {inputs} x {outputs} in {shape:?}"));
        }
        let shape = [inputs, outputs, 1, 1];
        let (weight, bias) = self.split(params, shape, bias_shape, uses_bias && !without_bias)?;
        Ok(Record::Dense { weight, bias })
    }

    fn affine(&mut self, version: u8) -> Result<Record> {
        let (scale, shift) = self.scale_and_shift()?;
        self.int()?;
        if version == 2 && self.boolean()? {
            return self.refuse("an affine layer that is switched off");
        }
        Ok(Record::Affine { scale, shift })
    }

    fn batch_norm(&mut self) -> Result<Record> {
        let (mut scale, mut shift) = self.scale_and_shift()?;
        let statistics = [self.tensor()?, self.tensor()?, self.tensor()?, self.tensor()?];
        let [_, _, means, variances] = statistics;
        self.int()?;
        self.int()?;
        self.skip_floats(4)?;
        let eps = self.float()?;
        if means.len() != scale.len() || variances.len() != scale.len() {
            return self.refuse("statistics for another number of channels");
        }
        let statistics = means.iter().zip(variances);
        let statistics = statistics.map(|(m, v)| (f32::from_le_bytes(*m), f32::from_le_bytes(*v)));
        for (i, (mean, variance)) in statistics.enumerate() {
            scale[i] /= (variance + eps).sqrt();
            shift[i] -= mean * scale[i];
        }
        Ok(Record::Affine { scale, shift })
    }

    fn scale_and_shift(&mut self) -> Result<(Vec<f32>, Vec<f32>)> {
        let params = self.tensor()?;
        let (scale, shift) = (self.alias()?, self.alias()?);
        if scale != shift {
            return self.refuse(format!("factors of {scale:?}, summands of {shift:?}"));
        }
        let (scale, shift) = self.split(params, scale, shift, true)?;
        Ok((scale.data.to_vec(), shift.unwrap_or_default()))
    }

    /// One block of numbers as two parts, of which the second may be absent.
    fn split(
        &self,
        params: Block<'_>,
        first: [usize; 4],
        second: [usize; 4],
        has_second: bool,
    ) -> Result<(RawTensor, Option<Vec<f32>>)> {
        let len = |shape: [usize; 4]| shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let second_len = if has_second { len(second) } else { Some(0) };
        match (len(first), second_len) {
            (Some(m), Some(n)) if m.checked_add(n) == Some(params.len()) => {
                let (data, tail) = params.split_at(m);
                let first = RawTensor { shape: first, data: numbers(data) };
                Ok((first, has_second.then(|| numbers(tail))))
            }
            _ => self.refuse(format!("{first:?} and {second:?} in {} numbers", params.len())),
        }
    }
}

/// A floating point number of a usual form, a mantissa of up to seven bytes and an exponent of one, and its length in bytes: a
/// landmark predictor is a million of them.
fn usual_float(bytes: &[u8; 16]) -> Option<(f32, usize)> {
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

/// With the sign that the control byte says. Which one that is cannot be foreseen, so there is no branch on it.
fn signed(magnitude: i64, control: u8) -> i64 {
    let negative = i64::from(control >> 7);
    (magnitude ^ -negative) + negative
}

/// Two to the power of `e`. A landmark predictor has half a million of them, and of those that a
/// number in the normal range can be, the bits are known.
fn power_of_two(e: i32) -> f64 {
    match e {
        -1022..=1023 => f64::from_bits(((e + 1023) as u64) << 52),
        _ => far_power_of_two(e),
    }
}

/// A function of its own that is not inlined: `powi` counts as free of side effects, and is otherwise
/// called for every number and then not used.
#[cold]
#[inline(never)]
fn far_power_of_two(e: i32) -> f64 {
    2f64.powi(e)
}

#[cfg(test)]
mod tests {
    #[test]
    fn powers_of_two_are_exact() {
        for e in -1100..1100 {
            assert_eq!(super::power_of_two(e), 2f64.powi(e), "2^{e}");
        }
    }

    use super::*;

    #[test]
    fn integers_and_floats_follow_the_format() {
        let mut r = Reader::new(&[0x01, 5, 0x82, 0x00, 0x01, 0x01, 3, 0x81, 1]);
        assert_eq!(r.int(), Ok(5));
        assert_eq!(r.int(), Ok(-256));
        assert_eq!(r.float(), Ok(1.5));
        assert_eq!(r.end(), Ok(()));
        assert_eq!(r.int().unwrap_err().offset, 9);
    }

    #[test]
    fn a_tensor_larger_than_the_file_is_refused_before_it_is_made() {
        let mut bytes = vec![1, 2];
        (0..4).for_each(|_| bytes.extend([4, 0xff, 0xff, 0, 0]));
        let error = Reader::new(&bytes).tensor().unwrap_err();
        assert!(error.what.contains("are left") || error.what.contains("tensor of"), "{error}");
    }

    #[test]
    fn no_bytes_at_all_make_it_panic() {
        let steps = [Step::Layer, Step::Mark, Step::Layer];
        let mut seed = 1u32;
        for len in 0..400 {
            let bytes: Vec<u8> = (0..len)
                .map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (seed >> 24) as u8 & if seed & 64 == 0 { 0x07 } else { 0xff }
                })
                .collect();
            assert!(read_metric_network(&bytes, &steps).is_err());
            assert!(Reader::new(&bytes).matrix_of::<3>("three").is_err() || len > 2);
        }
    }
}
