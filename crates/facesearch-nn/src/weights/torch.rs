//! PyTorch's files of weights: a state dict becomes arrays by name.
//!
//! There are two containers. Both hold a pickle, which describes tensors, and the raw numbers of
//! their storages. The old one, from before PyTorch 1.6, is five pickles in a row, the fifth a list
//! of storage keys, then each storage as a count and its bytes. The new one is an uncompressed zip
//! archive with `data.pkl` and one file for each storage.
//!
//! - **Input:** a saved `state_dict()`, alone or inside dicts (`{"epoch": 3, "model": {…}}`). Names
//!   of nested dicts are joined with dots. A saved module is refused: it is code, not weights.
//! - **Output:** every array as contiguous `f32`, whatever its strides were.
//! - **Trap:** the file is a stranger's. Nothing in it is executed (see `pickle.rs`). Every length
//!   is checked against the file's size before memory is allocated, and a view of a storage must
//!   lie inside it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};

use super::pickle::{self, Element, Object, Pickle, TensorView};
use super::{StateDict, WeightArray, WeightsError};

/// The first pickle of the old container holds this integer, here in the bytes of its pickle.
const OLD_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";

/// The deepest nesting of dicts. A training checkpoint has two or three levels.
const MAX_DEPTH: usize = 16;

/// The most entries of dicts that are visited. A file with more is refused as a trap.
const MAX_VISITS: usize = 1 << 20;

/// The most dimensions of an array.
const MAX_RANK: usize = 8;

/// The raw bytes of the storages by key.
type Storages<'a> = HashMap<String, Cow<'a, [u8]>>;

/// Reads the arrays of a PyTorch file (`.pt`, `.pth`, `.ckpt`), old container or zip.
///
/// - **Output:** arrays by name. Integers, such as the counters of batch normalisation, become
///   `f32` too.
/// - **Memory:** the arrays together take at most two and a half times the size of the file. That
///   is enough for half-precision arrays shared by a few names. The storages of a zip archive take
///   the size of the file once more.
///
/// # Errors
///
/// [`WeightsError::Damaged`] where the bytes are cut, changed or no PyTorch file;
/// [`WeightsError::NotPlain`] where they hold more than numbers.
pub fn read_torch(bytes: &[u8]) -> Result<StateDict, WeightsError> {
    if bytes.starts_with(b"PK") {
        return read_zip(bytes);
    }
    if bytes.starts_with(OLD_MAGIC) {
        return read_old(bytes);
    }
    Err(WeightsError::damaged("they are no PyTorch file"))
}

fn read_old(bytes: &[u8]) -> Result<StateDict, WeightsError> {
    let mut rest = bytes;
    let mut next = || -> Result<(Pickle, &[u8]), WeightsError> {
        let (pickle, used) = pickle::load(rest, bytes.len())?;
        rest = &rest[used..];
        Ok((pickle, rest))
    };
    next()?; // magic number
    next()?; // protocol version
    next()?; // sizes of C types on the machine that wrote it: all of them little-endian
    let (model, _) = next()?;
    let (keys, mut rest) = next()?;
    let Some(Object::List(keys_in_order)) = keys.object(keys.value) else {
        return Err(WeightsError::damaged("the list of storages is missing"));
    };

    let elements = elements_by_key(&model);
    let mut storages = Storages::new();
    for key in keys_in_order {
        let key = keys.text(*key).ok_or_else(|| WeightsError::damaged("a storage has no key"))?;
        let element = elements.get(key).copied();
        let element = element.ok_or_else(|| WeightsError::damaged("a storage is nobody's"))?;
        let (count, numbers) = rest.split_first_chunk::<8>().ok_or_else(ends_early)?;
        let length = usize::try_from(u64::from_le_bytes(*count)).ok();
        let length = length.and_then(|count| count.checked_mul(element.bytes()));
        let length = length.filter(|length| *length <= numbers.len()).ok_or_else(ends_early)?;
        let (storage, after) = numbers.split_at(length);
        storages.insert(key.to_owned(), Cow::Borrowed(storage));
        rest = after;
    }
    collect(&model, bytes.len(), &storages)
}

fn read_zip(bytes: &[u8]) -> Result<StateDict, WeightsError> {
    let unreadable = |_| WeightsError::damaged("the zip archive cannot be read");
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(unreadable)?;
    let name = archive
        .file_names()
        .filter_map(Result::ok)
        .find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
        .map(Cow::into_owned)
        .ok_or_else(|| WeightsError::damaged("the archive has no data.pkl"))?;
    let root = name.strip_suffix("data.pkl").expect("it was found by this ending").to_owned();
    let mut bytes_left = bytes.len();
    let (model, _) = pickle::load(&read_entry(&mut archive, &name, &mut bytes_left)?, bytes.len())?;
    let mut storages = Storages::new();
    for key in elements_by_key(&model).into_keys() {
        let storage = read_entry(&mut archive, &format!("{root}data/{key}"), &mut bytes_left)?;
        storages.insert(key.to_owned(), Cow::Owned(storage));
    }
    collect(&model, bytes.len(), &storages)
}

/// One file of the archive. PyTorch does not compress, so all files together are no longer than the
/// archive, of which `bytes_left` are left.
fn read_entry(
    archive: &mut zip::ZipArchive<Cursor<&[u8]>>,
    name: &str,
    bytes_left: &mut usize,
) -> Result<Vec<u8>, WeightsError> {
    let entry = archive
        .by_name(name)
        .map_err(|_| WeightsError::damaged(format!("{name} is missing in the archive")))?;
    let mut bytes = Vec::new();
    let limit = *bytes_left as u64 + 1;
    entry.take(limit).read_to_end(&mut bytes).map_err(|_| {
        WeightsError::damaged(format!("{name} in the archive does not match its checksum"))
    })?;
    *bytes_left = bytes_left
        .checked_sub(bytes.len())
        .ok_or_else(|| WeightsError::damaged("the archive's files are longer than the archive"))?;
    Ok(bytes)
}

fn elements_by_key(model: &Pickle) -> HashMap<&str, Element> {
    let storages = model.objects.iter().filter_map(|object| match object {
        Object::Storage(storage) => Some((storage.key.as_str(), storage.element)),
        _ => None,
    });
    storages.collect()
}

fn ends_early() -> WeightsError {
    WeightsError::damaged("the file ends early")
}

/// Visits all dicts and turns every tensor into an array.
fn collect(
    model: &Pickle,
    file_len: usize,
    storages: &Storages<'_>,
) -> Result<StateDict, WeightsError> {
    let mut arrays = StateDict::new();
    // Arrays may overlap in a storage and dicts may contain each other, so the file's size does not
    // limit them. These counters do.
    let mut numbers_left = file_len / 8 * 5;
    let mut visits_left = MAX_VISITS;
    let mut waiting = vec![(String::new(), model.value, 0)];
    while let Some((name, value, depth)) = waiting.pop() {
        match model.object(value) {
            Some(Object::Dict(items)) if depth < MAX_DEPTH && items.len() <= visits_left => {
                visits_left -= items.len();
                for (key, value) in items {
                    let Some(key) = model.text(*key) else { continue };
                    waiting.push((joined(&name, key), *value, depth + 1));
                }
            }
            Some(Object::Dict(_)) => {
                return Err(WeightsError::damaged("dicts in dicts without end"));
            }
            Some(Object::Tensor(view)) => {
                let array = read_view(view, &mut numbers_left, storages)?;
                arrays.insert(name, array);
            }
            _ => {}
        }
    }
    if arrays.is_empty() {
        return Err(WeightsError::NotPlain { what: "no arrays".to_owned() });
    }
    Ok(arrays)
}

fn joined(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Copies a view out of its storage in row-major order, whatever its strides are.
fn read_view(
    view: &TensorView,
    numbers_left: &mut usize,
    storages: &Storages<'_>,
) -> Result<WeightArray, WeightsError> {
    let TensorView { storage, offset, shape, strides } = view;
    let outside = || WeightsError::damaged("an array lies outside its storage");
    let element = storage.element;
    let numbers = storages.get(&storage.key).ok_or_else(outside)?;
    if shape.len() > MAX_RANK || Some(numbers.len()) != storage.len.checked_mul(element.bytes()) {
        return Err(outside());
    }
    let count = shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
    let count = count.ok_or_else(outside)?;
    *numbers_left = numbers_left.checked_sub(count).ok_or_else(outside)?;
    if count == 0 {
        return Ok(WeightArray { shape: shape.clone(), values: Vec::new() });
    }
    let last = shape.iter().zip(strides).try_fold(*offset, |last, (size, stride)| {
        last.checked_add((size - 1).checked_mul(*stride)?)
    });
    if last.is_none_or(|last| last >= storage.len) {
        return Err(outside());
    }

    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    let mut at = *offset;
    loop {
        values.push(element.read(&numbers[at * element.bytes()..]));
        // Counts like an odometer: the last index first.
        let mut axis = shape.len();
        loop {
            let Some(lower) = axis.checked_sub(1) else {
                return Ok(WeightArray { shape: shape.clone(), values });
            };
            axis = lower;
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests;
