//! NumPy arrays: `(rows, dimension)`, or one vector alone.
//!
//! - **Source:** NumPy's `numpy.lib.format`, versions 1.0 to 3.0.
//! - **Memory:** one row at a time. A header is no promise: numbers are only read as they come.

use std::io::Read;

use crate::error::{ExchangeError, Place};
use crate::row::{LONGEST, LONGEST_NAME};
use crate::{Row, Rows};

/// The names in an array, in its order.
pub(crate) type Names = Box<dyn Iterator<Item = Result<String, ExchangeError>> + Send>;

/// NumPy warns of headers longer than this, which only arrays of records have.
const LONGEST_HEADER: usize = 10_000;

/// How one item of an array stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    kind: Kind,
    /// Bytes of an item.
    size: usize,
    big_endian: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Float,
    Signed,
    Unsigned,
    /// UTF-32 of a fixed width, zeros behind.
    Text,
    /// Bytes of a fixed width, zeros behind.
    Bytes,
}

/// What an array's header says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    /// The type as NumPy writes it, such as `<f4`.
    descr: String,
    by_columns: bool,
    shape: Vec<u64>,
}

/// How many rows an array has, as its header says, and the rows. The array begins at the stream's
/// next byte.
pub(crate) fn read(
    mut stream: impl Read + Send + 'static,
    place: Place,
) -> Result<(u64, Rows), ExchangeError> {
    let header = Header::read(&mut stream).map_err(|e| place.bad(e))?;
    let (rows, dim) = match header.shape[..] {
        [dim] => (1, dim),
        [rows, dim] => (rows, dim),
        ref other => {
            let axes = other.len();
            let why = format!("it has {axes} axes; embeddings have two, (rows, dimension)");
            return Err(place.bad(why));
        }
    };
    if header.by_columns && rows > 1 && dim > 1 {
        let why = "it is stored column by column; save numpy.ascontiguousarray of it";
        return Err(place.bad(why));
    }
    if !(1..=LONGEST as u64).contains(&dim) {
        return Err(place.bad(format!("its vectors have {dim} numbers, not 1 to {LONGEST}")));
    }
    let dim = dim as usize;
    let item = header.item().filter(|item| item.kind == Kind::Float).ok_or_else(|| {
        let descr = &header.descr;
        place.bad(format!("it is of the type {descr}; embeddings are float16, 32 or 64"))
    })?;
    let mut bytes = vec![0; dim * item.size];
    Ok((
        rows,
        Box::new((0..rows).map(move |_| {
            let cut = |e| place.bad(format!("it is cut short ({e})"));
            stream.read_exact(&mut bytes).map_err(cut)?;
            let vector = bytes.chunks_exact(item.size).map(|bytes| item.float(bytes)).collect();
            Ok(Row { vector, ..Row::default() })
        })),
    ))
}

/// How many items an array of text or whole numbers has, as its header says, and the items as text.
pub(crate) fn texts(
    mut stream: impl Read + Send + 'static,
    place: Place,
) -> Result<(u64, Names), ExchangeError> {
    let header = Header::read(&mut stream).map_err(|e| place.bad(e))?;
    let [count] = header.shape[..] else {
        let axes = header.shape.len();
        return Err(place.bad(format!("its names have {axes} axes instead of one")));
    };
    let item = header.item().filter(|item| item.kind != Kind::Float).ok_or_else(|| {
        let descr = &header.descr;
        let why = "names are text or whole numbers; objects are not read";
        place.bad(format!("it is of the type {descr}; {why}"))
    })?;
    // An item without a byte could be there any number of times.
    if !(1..=4 * LONGEST_NAME).contains(&item.size) {
        let why = format!("its names have {} bytes, not 1 to {}", item.size, 4 * LONGEST_NAME);
        return Err(place.bad(why));
    }
    let mut bytes = vec![0; item.size];
    Ok((
        count,
        Box::new((0..count).map(move |_| {
            let cut = |e| place.bad(format!("its names are cut short ({e})"));
            stream.read_exact(&mut bytes).map_err(cut)?;
            item.text(&bytes).ok_or_else(|| place.bad("a name in it is no Unicode"))
        })),
    ))
}

impl Item {
    /// What NumPy calls `<f4`, `|S3` and so on; `None` where it is nothing that is read.
    fn parse(descr: &str) -> Option<Self> {
        let (order, rest) = descr.split_at_checked(1)?;
        let (kind, size) = rest.split_at_checked(1)?;
        let size: usize = size.parse().ok()?;
        let big_endian = match order {
            "<" | "|" => false,
            ">" => true,
            _ => return None,
        };
        let (kind, size, sizes) = match kind {
            "f" => (Kind::Float, size, &[2, 4, 8][..]),
            "i" => (Kind::Signed, size, &[1, 2, 4, 8][..]),
            "u" => (Kind::Unsigned, size, &[1, 2, 4, 8][..]),
            "U" => (Kind::Text, size.checked_mul(4)?, &[][..]),
            "S" => (Kind::Bytes, size, &[][..]),
            _ => return None,
        };
        let fits = sizes.is_empty() || sizes.contains(&size);
        fits.then_some(Self { kind, size, big_endian })
    }

    /// A float of this size.
    fn float(self, bytes: &[u8]) -> f32 {
        let bits = self.bits(bytes);
        match self.size {
            2 => half::f16::from_bits(bits as u16).to_f32(),
            4 => f32::from_bits(bits as u32),
            _ => f64::from_bits(bits) as f32,
        }
    }

    /// Up to eight bytes as one number.
    fn bits(self, bytes: &[u8]) -> u64 {
        let add = |sum, byte: &u8| sum << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    fn text(self, bytes: &[u8]) -> Option<String> {
        match self.kind {
            Kind::Text => {
                let code = |four: &[u8]| char::from_u32(self.bits(four) as u32);
                let text = bytes.chunks_exact(4).map(code).collect::<Option<String>>()?;
                Some(text.trim_end_matches('\0').to_owned())
            }
            Kind::Bytes => Some(String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()),
            Kind::Signed => {
                let unused = 64 - 8 * self.size;
                Some(((self.bits(bytes) << unused) as i64 >> unused).to_string())
            }
            Kind::Unsigned | Kind::Float => Some(self.bits(bytes).to_string()),
        }
    }
}

impl Header {
    fn read(stream: &mut impl Read) -> Result<Self, String> {
        let mut start = [0; 8];
        stream.read_exact(&mut start).map_err(|_| "it has no header")?;
        let [b'\x93', b'N', b'U', b'M', b'P', b'Y', version, _] = start else {
            return Err("it does not begin like one".into());
        };
        let mut length = [0; 4];
        let width = if version == 1 { 2 } else { 4 };
        stream.read_exact(&mut length[..width]).map_err(|_| "it has no header")?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            return Err(format!(
                "its header has {length} bytes, at most {LONGEST_HEADER} are read"
            ));
        }
        let mut text = vec![0; length];
        stream.read_exact(&mut text).map_err(|_| "its header is cut short")?;
        let text = String::from_utf8(text).map_err(|_| "its header is no text")?;
        Self::parse(&text).ok_or_else(|| "its header is not that of a plain array".into())
    }

    /// A Python dict of three members, whose values are a string, a truth value and a tuple of
    /// whole numbers. Nothing in it can be nested deeper.
    fn parse(text: &str) -> Option<Self> {
        let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
        let (mut descr, mut by_columns, mut shape) = (None, None, None);
        while !rest.is_empty() {
            let (key, after) = quoted(rest)?;
            let value = after.trim_start().strip_prefix(':')?.trim_start();
            rest = match key {
                "descr" => {
                    let (text, rest) = quoted(value)?;
                    descr = Some(text.to_owned());
                    rest
                }
                "fortran_order" => {
                    let of = |word, is| value.strip_prefix(word).map(|rest| (is, rest));
                    let (is, rest) = of("True", true).or_else(|| of("False", false))?;
                    by_columns = Some(is);
                    rest
                }
                "shape" => {
                    let (numbers, rest) = value.strip_prefix('(')?.split_once(')')?;
                    shape = Some(tuple(numbers)?);
                    rest
                }
                _ => return None,
            };
            rest = rest.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(more) => more.trim_start(),
                None if rest.is_empty() => rest,
                None => return None,
            };
        }
        Some(Self { descr: descr?, by_columns: by_columns?, shape: shape? })
    }

    fn item(&self) -> Option<Item> {
        Item::parse(&self.descr)
    }
}

/// A string without escapes at the start of `text`, and what follows it.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    text[1..].split_once(quote)
}

/// Whole numbers with commas between them and perhaps behind. Python 2 put an `L` behind each.
fn tuple(text: &str) -> Option<Vec<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Vec::new());
    }
    let text = text.strip_suffix(',').unwrap_or(text);
    text.split(',').map(|number| number.trim().trim_end_matches('L').parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Option<Vec<u64>> {
        Header::parse(text).map(|header| header.shape)
    }

    #[test]
    fn headers_of_plain_arrays_are_read_whoever_wrote_them() {
        let numpy = "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }    \n";
        let header = Header::parse(numpy).unwrap();
        assert_eq!(header, Header { descr: "<f4".into(), by_columns: false, shape: vec![3, 4] });
        let python_2 = "{\"shape\":(3L,4L),\"descr\":\"|S2\",\"fortran_order\":True}";
        let header = Header::parse(python_2).unwrap();
        assert_eq!(header, Header { descr: "|S2".into(), by_columns: true, shape: vec![3, 4] });
        let of = |shape: &str| format!("{{'descr':'<f4','fortran_order':False,'shape':{shape}}}");
        assert_eq!(shape(&of("()")), Some(vec![]));
        assert_eq!(shape(&of("(5,)")), Some(vec![5]));
        for bad in
            ["(,)", "(1 2)", "(-1,)", "[1]", "((1,),)", "(1,2", "99", "(99999999999999999999,)"]
        {
            assert_eq!(shape(&of(bad)), None, "{bad}");
        }
        for bad in
            ["", "{}", "{'descr':[('a','<f4')],'fortran_order':False,'shape':(1,)}", "{'x':1}"]
        {
            assert_eq!(Header::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn items_of_every_width_and_order_become_text() {
        let text = |descr: &str, bytes: &[u8]| Item::parse(descr).unwrap().text(bytes).unwrap();
        assert_eq!(text("|i1", &[0xFF]), "-1");
        assert_eq!(text(">i2", &[0x80, 0]), "-32768");
        assert_eq!(text("<u4", &[1, 0, 0, 0x80]), "2147483649");
        assert_eq!(text("<i8", &[0xFE, 255, 255, 255, 255, 255, 255, 255]), "-2");
        assert_eq!(text("|S4", b"ab\0\0"), "ab");
        assert_eq!(text(">U2", &[0, 0, 0, b'Z', 0, 0, 0, 0xEB]), "Zë");
        assert_eq!(Item::parse("<U1").unwrap().text(&[0, 0, 0x11, 0]), None);
        for other in
            ["", "<", "<f", "<f3", "<f16", "<c8", "|O", "<M8", "<i0", "<U99999999999999999999"]
        {
            assert_eq!(Item::parse(other), None, "{other}");
        }
    }
}
