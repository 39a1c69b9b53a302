//! deepface's `representations_*.pkl`: a list with a dict for each face, which has `identity` (the
//! path of its photo) and `embedding`; older ones have a list `[path, embedding]` for each photo.
//!
//! deepface keeps no names of people; by its users' habit a photo lies in its person's folder, so
//! that is the identity.

use std::io::Read;
use std::path::Path;

use crate::error::{ExchangeError, Place};
use crate::pickle::{Object, Pickle, Value, load};
use crate::row::open;
use crate::{Row, Rows};

pub(crate) fn read(place: Place) -> Result<Rows, ExchangeError> {
    let io = |e| ExchangeError::io("read", &place.path)(e);
    let file = open(&place.path)?;
    let length = file.get_ref().metadata().map_err(io)?.len();
    let mut bytes = Vec::new();
    // A device has no length and may have no end.
    file.take(length).read_to_end(&mut bytes).map_err(io)?;
    let pickle = load(&bytes).map_err(|why| place.bad(why))?;
    let Some(Object::List(items)) = pickle.object(pickle.value) else {
        return Err(place.bad("it is no list of representations"));
    };
    let items = items.clone();
    let mut parts_left = bytes.len();
    Ok(Box::new((0..).zip(items).filter_map(move |(i, item): (usize, Value)| {
        let why = || place.bad(format!("item {i} has no path and embedding"));
        // Items may share their parts, so that many of few bytes stand for any number of numbers.
        let left = parts_left.checked_sub(parts(&pickle, item));
        let Some(left) = left else {
            return Some(Err(place.bad("its items share their parts, as deepface's never do")));
        };
        parts_left = left;
        match row(&pickle, item) {
            // A photo without a face.
            Some(Found::Nothing) => None,
            Some(Found::Face(row)) => Some(Ok(row)),
            None => Some(Err(why())),
        }
    })))
}

enum Found {
    Nothing,
    Face(Row),
}

/// How many values are looked at to read an item.
fn parts(pickle: &Pickle, item: Value) -> usize {
    let count = |value: &Value| match pickle.object(*value) {
        Some(Object::List(values) | Object::Tuple(values)) => values.len(),
        _ => 0,
    };
    match pickle.object(item) {
        Some(Object::Dict(pairs)) => {
            pairs.len() + pairs.iter().map(|(_, value)| count(value)).sum::<usize>()
        }
        Some(Object::List(values) | Object::Tuple(values)) => {
            values.len() + values.iter().map(count).sum::<usize>()
        }
        _ => 0,
    }
}

fn row(pickle: &Pickle, item: Value) -> Option<Found> {
    let (path, embedding) = match pickle.object(item)? {
        Object::Dict(pairs) => {
            let of = |key: &str| {
                let pair = pairs.iter().rev().find(|(name, _)| pickle.text(*name) == Some(key));
                pair.map(|(_, value)| *value)
            };
            (of("identity")?, of("embedding")?)
        }
        Object::List(pair) | Object::Tuple(pair) => (*pair.first()?, *pair.get(1)?),
        Object::Text(_) => return None,
    };
    let path = pickle.text(path)?;
    if embedding == Value::None {
        return Some(Found::Nothing);
    }
    let (Object::List(numbers) | Object::Tuple(numbers)) = pickle.object(embedding)? else {
        return None;
    };
    if numbers.is_empty() {
        return Some(Found::Nothing);
    }
    let number = |value: &Value| match value {
        Value::Number(number) => Some(*number as f32),
        _ => None,
    };
    let folder = Path::new(path).parent().and_then(Path::file_name);
    Some(Found::Face(Row {
        vector: numbers.iter().map(number).collect::<Option<_>>()?,
        id: None,
        name: Some(path.to_owned()),
        identity: folder.map(|name| name.to_string_lossy().into_owned()),
    }))
}
