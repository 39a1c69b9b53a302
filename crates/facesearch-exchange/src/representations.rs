//! deepface's `representations_*.pkl`: a list with a dict for each face, which has `identity` (the
//! path of its photo) and `embedding`; older ones have a list `[path, embedding]` for each photo.
//!
//! deepface keeps no names of people; by its users' habit a photo lies in its person's folder, so
//! that is the identity.

use std::path::Path;

use crate::error::{ExchangeError, Place};
use crate::pickle::{Object, Pickle, Value, load};
use crate::{Row, Rows};

pub(crate) fn read(place: Place) -> Result<Rows, ExchangeError> {
    let bytes = std::fs::read(&place.path).map_err(ExchangeError::io("read", &place.path))?;
    let pickle = load(&bytes).map_err(|why| place.bad(why))?;
    let Some(Object::List(items)) = pickle.object(pickle.value) else {
        return Err(place.bad("it is no list of representations"));
    };
    let items = items.clone();
    Ok(Box::new((0..).zip(items).filter_map(move |(i, item): (usize, Value)| {
        let why = || place.bad(format!("item {i} has no path and embedding"));
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
