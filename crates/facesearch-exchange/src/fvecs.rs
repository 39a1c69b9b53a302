//! fvecs: each vector is its length as a little-endian `i32`, then as many little-endian `f32`.
//!
//! **Source:** the TEXMEX data sets, <http://corpus-texmex.irisa.fr/>.

use std::io::{self, Read, Write};

use crate::error::{ExchangeError, Place};
use crate::row::LONGEST;
use crate::{Row, Rows};

pub(crate) fn read(
    mut stream: impl Read + Send + 'static,
    place: Place,
) -> Result<Rows, ExchangeError> {
    let mut next = move || -> Result<Option<Row>, ExchangeError> {
        let Some(length) = length(&mut stream).map_err(|e| place.bad(e))? else { return Ok(None) };
        if !(1..=LONGEST as i32).contains(&length) {
            return Err(place.bad(format!("a vector is said to have {length} numbers")));
        }
        let mut bytes = vec![0; 4 * length as usize];
        stream.read_exact(&mut bytes).map_err(|_| place.bad("its last vector is cut short"))?;
        let (numbers, _) = bytes.as_chunks::<4>();
        let vector = numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
        Ok(Some(Row { vector, ..Row::default() }))
    };
    let mut over = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if over {
            return None;
        }
        let row = next().transpose();
        over = !matches!(row, Some(Ok(_)));
        row
    })))
}

/// The next vector's length; `None` at the end of the file.
fn length(stream: &mut impl Read) -> io::Result<Option<i32>> {
    let mut bytes = [0; 4];
    let mut got = 0;
    while got < 4 {
        match stream.read(&mut bytes[got..])? {
            0 if got == 0 => return Ok(None),
            0 => return Err(io::Error::other("its last vector is cut short")),
            more => got += more,
        }
    }
    Ok(Some(i32::from_le_bytes(bytes)))
}

pub(crate) fn write(to: &mut impl Write, vector: &[f32]) -> io::Result<()> {
    to.write_all(&(vector.len() as i32).to_le_bytes())?;
    to.write_all(bytemuck::cast_slice(vector))
}
