//! The records of the layers.

use super::reader::{Block, Reader};
use super::{RawTensor, Record, Result, Sliding};

fn numbers<T: FromIterator<f32>>(block: Block<'_>) -> T {
    block.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

impl Reader<'_> {
    /// The record of a layer.
    pub(super) fn record(&mut self) -> Result<Record> {
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
        if shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) != Some(inputs * outputs) {
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

    /// Splits a block of numbers into two parts. The second may be absent.
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
