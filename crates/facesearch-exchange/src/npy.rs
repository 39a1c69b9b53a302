//! NumPy arrays: `(rows, dimension)`, or one vector alone.

use std::io::{self, Read};

use npyz::{DType, NpyFile, Order, TypeChar};

use crate::error::{ExchangeError, Place};
use crate::{Row, Rows};

type Numbers = Box<dyn Iterator<Item = io::Result<f32>> + Send>;

/// The rows of an array, from its first byte on.
pub(crate) fn read(
    stream: impl Read + Send + 'static,
    place: Place,
) -> Result<Rows, ExchangeError> {
    let file = NpyFile::new(stream).map_err(|e| place.bad(e))?;
    let (rows, dim) = match *file.shape() {
        [dim] => (1, dim),
        [rows, dim] => (rows, dim),
        ref other => {
            let axes = other.len();
            let why = format!("it has {axes} axes; embeddings have two, (rows, dimension)");
            return Err(place.bad(why));
        }
    };
    if file.order() == Order::Fortran && rows > 1 && dim > 1 {
        let why = "it is stored column by column; save numpy.ascontiguousarray of it";
        return Err(place.bad(why));
    }
    if dim == 0 {
        return Err(place.bad("its vectors have no numbers"));
    }
    let dim = usize::try_from(dim).map_err(|e| place.bad(e))?;
    let mut numbers = numbers(file, &place)?;
    Ok(Box::new((0..rows).map(move |_| {
        // No room is set aside before the numbers are there: a header may promise anything.
        let vector = numbers.by_ref().take(dim).collect::<Result<Vec<f32>, _>>();
        let vector = vector.map_err(|e| place.bad(format!("it is cut short ({e})")))?;
        Ok(Row { vector, ..Row::default() })
    })))
}

fn numbers<R: Read + Send + 'static>(
    file: NpyFile<R>,
    place: &Place,
) -> Result<Numbers, ExchangeError> {
    let file = match file.try_data::<f32>() {
        Ok(numbers) => return Ok(Box::new(numbers)),
        Err(file) => file,
    };
    let file = match file.try_data::<f64>() {
        Ok(numbers) => return Ok(Box::new(numbers.map(|number| Ok(number? as f32)))),
        Err(file) => file,
    };
    match file.try_data::<half::f16>() {
        Ok(numbers) => Ok(Box::new(numbers.map(|number| Ok(number?.to_f32())))),
        Err(file) => {
            let dtype = file.dtype().descr();
            let why = format!("it is of the type {dtype}; embeddings are float16, 32 or 64");
            Err(place.bad(why))
        }
    }
}

/// The items of an array of text or whole numbers, as text.
pub(crate) fn texts(stream: impl Read, place: &Place) -> Result<Vec<String>, ExchangeError> {
    let file = NpyFile::new(stream).map_err(|e| place.bad(e))?;
    let bad = |e: &dyn std::fmt::Display| place.bad(e);
    let kind = match file.dtype() {
        DType::Plain(kind) => kind.type_char(),
        other => return Err(bad(&format!("its type {} is no name", other.descr()))),
    };
    match kind {
        TypeChar::UnicodeStr => file.into_vec::<String>().map_err(|e| bad(&e)),
        TypeChar::ByteStr => {
            let texts = file.into_vec::<Vec<u8>>().map_err(|e| bad(&e))?;
            Ok(texts.into_iter().map(|t| String::from_utf8_lossy(&t).into_owned()).collect())
        }
        TypeChar::Int | TypeChar::Uint => whole_numbers(file, place),
        _ => Err(bad(&"its names are neither text nor whole numbers; objects are not read")),
    }
}

fn whole_numbers<R: Read>(file: NpyFile<R>, place: &Place) -> Result<Vec<String>, ExchangeError> {
    fn all<T: ToString>(
        items: impl Iterator<Item = io::Result<T>>,
        place: &Place,
    ) -> Result<Vec<String>, ExchangeError> {
        items.map(|item| item.map(|n| n.to_string()).map_err(|e| place.bad(e))).collect()
    }
    let file = match file.try_data::<i64>() {
        Ok(items) => return all(items, place),
        Err(file) => file,
    };
    let file = match file.try_data::<u64>() {
        Ok(items) => return all(items, place),
        Err(file) => file,
    };
    match file.try_data::<i32>() {
        Ok(items) => all(items, place),
        Err(_) => Err(place.bad("its names are numbers of neither 32 nor 64 bits")),
    }
}
