//! Keras's files of weights (`.h5`): arrays by name, in the layout of this crate's layers.
//!
//! - **Input:** what `model.save_weights("….h5")` or `model.save("….h5")` of Keras 2 writes: a
//!   group for each layer, in it the arrays by name (`C1/C1/kernel:0`).
//! - **Output:** `C1.kernel` and so on, as `f32`. Kernels are transposed: a convolution's to
//!   `[out, in, rows, columns]` (in the file: rows, columns, in, out), a depthwise convolution's to
//!   `[channels * multiplier, 1, rows, columns]`, a dense layer's to `[out, in]`. The
//!   three-dimensional kernel of a locally connected layer stays as it is.
//! - **Trap:** Keras flattens a map pixel by pixel, the channels of a pixel together. A dense layer
//!   after a flatten needs `FlattenOrder::RowsColumnsChannels`.

use std::path::Path;

use hdf5_reader::group::Group;
use hdf5_reader::{Dataset, Datatype, Hdf5File, OpenOptions};

use super::{StateDict, WeightArray, WeightsError};

/// The deepest nesting of groups: a layer, its name once more, and a few names with slashes.
const MAX_DEPTH: usize = 8;

/// The most groups and arrays that are visited. A file with more is refused as a trap.
const MAX_VISITS: usize = 1 << 16;

/// Reads the arrays of a Keras file, except for the layers that `skip` names.
///
/// - **Memory:** the arrays, which together may have at most twice the size of the file (files may
///   be compressed), and the largest of them once more while it is transposed.
///
/// # Errors
///
/// [`WeightsError::Read`] where there is no such file, [`WeightsError::Damaged`] where it is cut,
/// changed or not Keras's.
pub fn read_keras(path: &Path, skip: &[&str]) -> Result<StateDict, WeightsError> {
    let unread = |source| WeightsError::Read { path: path.to_owned(), source };
    let length = std::fs::metadata(path).map_err(unread)?.len();
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let options = OpenOptions::default()
        .with_max_read_bytes(length.saturating_mul(2))
        .with_max_chunk_bytes(length.max(1 << 16));
    let file = Hdf5File::open_with_options(path, options).map_err(damaged)?;
    let root = file.root_group().map_err(damaged)?;
    let (groups, _) = root.member_names().map_err(damaged)?;
    let root = match groups.iter().any(|name| name == "model_weights") {
        true => root.group("model_weights").map_err(damaged)?,
        false => root,
    };
    let mut walk = Walk {
        arrays: StateDict::new(),
        bytes_left: length.saturating_mul(2),
        visits_left: MAX_VISITS,
    };
    for layer in root.groups().map_err(damaged)? {
        if !skip.contains(&layer.name()) {
            walk.group(&layer, "", 0)?;
        }
    }
    if walk.arrays.is_empty() {
        return Err(WeightsError::NotPlain { what: "no arrays".to_owned() });
    }
    Ok(walk.arrays)
}

fn damaged(error: hdf5_reader::error::Error) -> WeightsError {
    WeightsError::damaged(format!("the HDF5 file cannot be read ({error})"))
}

struct Walk {
    arrays: StateDict,
    bytes_left: usize,
    visits_left: usize,
}

impl Walk {
    fn group(&mut self, group: &Group, prefix: &str, depth: usize) -> Result<(), WeightsError> {
        let (groups, datasets) = group.members().map_err(damaged)?;
        let visits = groups.len() + datasets.len();
        let left = self.visits_left.checked_sub(visits).filter(|_| depth < MAX_DEPTH);
        let endless = || WeightsError::damaged("groups in groups without end");
        self.visits_left = left.ok_or_else(endless)?;
        let joined = |name: &str| match prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        };
        for inner in groups {
            self.group(&inner, &joined(inner.name()), depth + 1)?;
        }
        for dataset in datasets {
            let name = dataset.name();
            let name = joined(name.strip_suffix(":0").unwrap_or(name));
            let array = self.array(&dataset)?;
            let array = transposed(&name, array);
            self.arrays.insert(name, array);
        }
        Ok(())
    }

    fn array(&mut self, dataset: &Dataset) -> Result<WeightArray, WeightsError> {
        let length = dataset.raw_byte_len().map_err(damaged)?;
        let left = self.bytes_left.checked_sub(length);
        self.bytes_left = left.ok_or_else(|| {
            WeightsError::damaged(format!("{} is longer than the file", dataset.name()))
        })?;
        let Datatype::FloatingPoint { size: size @ (2 | 4 | 8), .. } = dataset.dtype() else {
            let what = format!("{} holding other than real numbers", dataset.name());
            return Err(WeightsError::NotPlain { what });
        };
        let shape = dataset.shape().iter().map(|d| usize::try_from(*d));
        let shape = shape.collect::<Result<Vec<_>, _>>();
        let bytes = dataset.read_native_bytes().map_err(damaged)?;
        let values: Vec<f32> = match size {
            2 => {
                bytes.as_chunks().0.iter().map(|b| half::f16::from_ne_bytes(*b).to_f32()).collect()
            }
            4 => bytes.as_chunks().0.iter().map(|b| f32::from_ne_bytes(*b)).collect(),
            _ => bytes.as_chunks().0.iter().map(|b| f64::from_ne_bytes(*b) as f32).collect(),
        };
        let shape = shape.ok().filter(|shape| {
            shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)) == Some(values.len())
        });
        let odd = || WeightsError::damaged(format!("{} has an odd size", dataset.name()));
        Ok(WeightArray { shape: shape.ok_or_else(odd)?, values })
    }
}

/// A kernel in the layout of this crate's layers. Other arrays stay as they are.
fn transposed(name: &str, array: WeightArray) -> WeightArray {
    let kind = name.rsplit('.').next().unwrap_or(name);
    match (kind, array.shape[..].len()) {
        ("kernel", 4) => permuted(&array, [3, 2, 0, 1]),
        ("depthwise_kernel", 4) => {
            let mut turned = permuted(&array, [2, 3, 0, 1]);
            let [c, m, h, w] = turned.shape[..] else { return turned };
            turned.shape = vec![c * m, 1, h, w];
            turned
        }
        ("kernel", 2) => {
            let as_four = WeightArray {
                shape: vec![array.shape[0], array.shape[1], 1, 1],
                values: array.values,
            };
            let mut turned = permuted(&as_four, [1, 0, 2, 3]);
            turned.shape.truncate(2);
            turned
        }
        _ => array,
    }
}

/// Axis `i` of the result is axis `order[i]` of `array`, which has four.
fn permuted(array: &WeightArray, order: [usize; 4]) -> WeightArray {
    let size: [usize; 4] = std::array::from_fn(|axis| array.shape[axis]);
    let step: [usize; 4] = std::array::from_fn(|axis| size[axis + 1..].iter().product());
    let (shape, step) = (order.map(|axis| size[axis]), order.map(|axis| step[axis]));
    let mut values = Vec::with_capacity(array.values.len());
    for a in 0..shape[0] {
        for b in 0..shape[1] {
            for c in 0..shape[2] {
                let start = a * step[0] + b * step[1] + c * step[2];
                values.extend((0..shape[3]).map(|d| array.values[start + d * step[3]]));
            }
        }
    }
    WeightArray { shape: shape.to_vec(), values }
}

#[cfg(test)]
mod tests;
