//! Reads dlib's serialised files, as far as its face models use them.
//!
//! - **Format:** dlib's `serialize.h` and `dnn/core.h`. The files carry no types, so the reader
//!   must know what comes next. An integer is one control byte and up to eight bytes of magnitude.
//!   A floating point number is two integers, *mantissa first*. Only tensors are raw `f32`.
//! - **Networks** are written from the output inwards, but the record of each layer follows that of
//!   the layer that it reads. So a run of version numbers comes first, then the records in the
//!   order of execution.
//! - **Trap:** the counts in a file are claims. Nothing here allocates more than the bytes of the
//!   file can describe, and every error names the byte where it was found.

mod layers;
mod reader;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use reader::Reader;

/// Why a file is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "at byte {offset} of dlib's file: {what}; the file is damaged or of another kind, \
     fetch it again"
)]
pub struct DlibError {
    /// Where it was found.
    pub(crate) offset: usize,
    /// What was found there.
    pub(crate) what: String,
}

type Result<T> = std::result::Result<T, DlibError>;

/// A tensor: samples, channels, rows, columns.
#[derive(Debug, Clone, PartialEq)]
pub struct RawTensor {
    /// Samples, channels, rows, columns.
    pub shape: [usize; 4],
    /// As many numbers as the shape has places, the columns fastest.
    pub data: Arc<[f32]>,
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
    /// `scale * x + shift` for each channel. A batch normalisation becomes one too.
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
    /// A size of zero means the whole map.
    MaxPool(Sliding),
    /// A size of zero means the whole map.
    AveragePool(Sliding),
    AddPrevious,
    /// The channels of two marked values, one after the other.
    Concat,
}

/// One step from a network's output inwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A layer with a record.
    Layer,
    /// A tag on a value that a later layer reads, or the reading of one. It has no record.
    Mark,
    /// The same steps this many times. They end in a mark. dlib writes each time like a network.
    Repeat(usize, &'static [Self]),
}

/// What was read for steps whose records come later.
enum Waiting {
    /// The version of a layer, whose record comes later.
    Layer(i64),
    /// The records of repeated steps.
    Repeated(Vec<Record>),
}

/// The input layer of a network. It subtracts the mean of each channel and divides by 256.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InputRecord {
    /// Red, green, blue, in 0..=255.
    pub mean: [f32; 3],
}

/// Reads a network with a metric-learning loss on an RGB image of one size. Nothing may follow it.
///
/// `steps` go from the output inwards, up to the layer on the input. The records are returned in
/// the order of execution.
///
/// # Errors
///
/// [`DlibError`] where the bytes are cut, changed, or those of another network.
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
    /// Reads what comes before the layer on the input.
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

    /// Reads what comes after the layer on the input.
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

    /// The records of repeated steps in the order of execution. In the file the last time is first.
    fn repeated(&mut self, times: usize, group: &[Step]) -> Result<Vec<Record>> {
        self.one_of(&[1], "the version of repeated layers")?;
        self.one_of(&[times as i64], "how often layers are repeated")?;
        let mut groups = Vec::with_capacity(times);
        for _ in 0..times {
            groups.push(self.group(group)?);
        }
        Ok(groups.into_iter().rev().flatten().collect())
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

    /// Skips three flags and `tensors` tensors, which only training needs.
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
}
