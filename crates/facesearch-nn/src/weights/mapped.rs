//! The cache's own format of weights: safetensors, mapped into memory.
//!
//! Files of other programs are converted once, into the layout of this crate's layers. After that
//! they need no parsing: opening reads a few kilobytes of header, and the numbers are read when a
//! layer takes them.
//!
//! - **Trap:** if another program shortens a mapped file, this process crashes. So the cache writes
//!   a file under another name and renames it, and never writes into a file that exists.

use std::collections::HashMap;
use std::fs::File;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::{StateDict, WeightsError};

/// Maps a file of the cache into memory. Nobody may change the file while it is mapped.
///
/// # Errors
///
/// [`WeightsError::Read`] where there is no such file.
pub fn map_file(path: &Path) -> Result<impl Deref<Target = [u8]> + use<>, WeightsError> {
    map(path)
}

fn map(path: &Path) -> Result<Mmap, WeightsError> {
    let unread = |source| WeightsError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unread)?;
    // SAFETY: `Mmap::map` asks that nobody changes the file while it is mapped. Files of the
    // cache are written under another name and renamed when complete (see the header), and the
    // map is only read.
    unsafe { Mmap::map(&file) }.map_err(unread)
}

/// Weights in a mapped file.
#[derive(Debug)]
pub struct MappedWeights {
    map: Mmap,
    /// Shape and place in the file of each array.
    arrays: HashMap<String, (Vec<usize>, Range<usize>)>,
}

impl MappedWeights {
    /// Opens a file that [`write_safetensors`] wrote.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Read`] where there is no such file, [`WeightsError::Damaged`] where it is
    /// cut or changed, [`WeightsError::NotPlain`] where it holds other numbers than `f32`.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let map = map(path)?;
        let damaged = |error| WeightsError::damaged(format!("no safetensors ({error})"));
        let (header, metadata) = SafeTensors::read_metadata(&map).map_err(damaged)?;
        let start = 8 + header;
        let mut arrays = HashMap::new();
        for (name, info) in metadata.tensors() {
            if info.dtype != Dtype::F32 {
                return Err(WeightsError::NotPlain { what: format!("{name} other than f32") });
            }
            let (from, to) = info.data_offsets;
            let place = start.checked_add(from).zip(start.checked_add(to));
            let place = place.map(|(from, to)| from..to).filter(|place| {
                let count = info.shape.iter().try_fold(4usize, |n, d| n.checked_mul(*d));
                place.end <= map.len() && count == Some(place.len())
            });
            let outside = || WeightsError::damaged(format!("{name} lies outside the file"));
            let place = place.ok_or_else(outside)?;
            arrays.insert(name, (info.shape.clone(), place));
        }
        Ok(Self { map, arrays })
    }

    /// The numbers of an array, which must have exactly the shape that a model needs.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Missing`] or [`WeightsError::Shape`].
    pub fn array(&self, name: &str, shape: &[usize]) -> Result<Arc<[f32]>, WeightsError> {
        let missing = || WeightsError::Missing { name: name.to_owned() };
        let (found, place) = self.arrays.get(name).ok_or_else(missing)?;
        if found != shape {
            return Err(WeightsError::Shape {
                name: name.to_owned(),
                found: found.clone(),
                wanted: shape.to_vec(),
            });
        }
        let (numbers, _) = self.map[place.clone()].as_chunks::<4>();
        Ok(numbers.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// The names of all arrays, in no order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.arrays.keys().map(String::as_str)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.arrays.contains_key(name)
    }

    /// How many numbers the file holds.
    pub fn parameters(&self) -> usize {
        self.arrays.values().map(|(_, place)| place.len() / 4).sum()
    }
}

/// Writes arrays as a safetensors file, for [`MappedWeights::open`] and for any other program.
///
/// # Errors
///
/// [`WeightsError::Write`] where the disk refuses.
pub fn write_safetensors(weights: &StateDict, path: &Path) -> Result<(), WeightsError> {
    let unwritten = |source: std::io::Error| WeightsError::Write { path: path.to_owned(), source };
    let mut views = Vec::new();
    for (name, array) in weights {
        let bytes: &[u8] = bytemuck::cast_slice(&array.values);
        let view = TensorView::new(Dtype::F32, array.shape.clone(), bytes);
        let view = view.map_err(|_| WeightsError::damaged(format!("{name} has an odd size")))?;
        views.push((name.as_str(), view));
    }
    let partial = path.with_extension("partial");
    safetensors::serialize_to_file(views, None, &partial)
        .map_err(|error| unwritten(std::io::Error::other(error)))?;
    File::open(&partial).and_then(|file| file.sync_all()).map_err(unwritten)?;
    std::fs::rename(&partial, path).map_err(unwritten)
}

#[cfg(test)]
mod tests {
    use super::super::WeightArray;
    use super::*;

    fn sample_weights() -> StateDict {
        let array = |shape: &[usize], start: f32| {
            let n = shape.iter().product::<usize>();
            WeightArray {
                shape: shape.to_vec(),
                values: (0..n).map(|i| start + i as f32 / 7.0).collect(),
            }
        };
        StateDict::from([
            ("a.bias".to_owned(), array(&[3], -1.0)),
            ("a.kernel".to_owned(), array(&[2, 3, 1, 2], 5.0)),
        ])
    }

    #[test]
    fn what_is_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.safetensors");
        write_safetensors(&sample_weights(), &path).unwrap();
        let mapped = MappedWeights::open(&path).unwrap();
        assert_eq!(mapped.parameters(), 15);
        for (name, array) in sample_weights() {
            assert_eq!(*mapped.array(&name, &array.shape).unwrap(), *array.values);
        }
        assert!(matches!(mapped.array("b", &[1]), Err(WeightsError::Missing { .. })));
        assert!(matches!(mapped.array("a.bias", &[4]), Err(WeightsError::Shape { .. })));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn damaged_files_are_errors_or_other_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights.safetensors");
        write_safetensors(&sample_weights(), &path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let check = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let mapped = MappedWeights::open(&path)?;
            let (bias, kernel) =
                (mapped.array("a.bias", &[3])?, mapped.array("a.kernel", &[2, 3, 1, 2])?);
            Ok::<_, WeightsError>(bias.len() + kernel.len())
        };
        for cut in 0..bytes.len() {
            assert!(check(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[place] ^= 1 << bit;
                if let Ok(numbers) = check(&changed) {
                    assert_eq!(numbers, 15);
                }
            }
        }
    }
}
