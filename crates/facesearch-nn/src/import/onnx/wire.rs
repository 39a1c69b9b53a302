//! How much memory the messages of an ONNX file take once they are decoded.
//!
//! An empty message takes two bytes of a file and hundreds in memory, a small number one and eight,
//! so a file's length alone does not bound what it becomes. Counting costs a look at each message's
//! head.

/// Bytes of memory for a message or a text of each kind, as it is decoded and as it is kept.
const NODE: u64 = 400;
const ATTRIBUTE: u64 = 600;
const TENSOR: u64 = 400;
const VALUE: u64 = 200;
const TEXT: u64 = 64;
/// The same for each byte of numbers that are packed.
const PACKED: u64 = 16;

/// More than any graph of a face network takes, however few its weights are.
const SLACK: u64 = 2 << 20;

/// Whether the messages take no more memory than a file of this length is worth.
pub(super) fn is_in_proportion(file: &[u8]) -> bool {
    let graphs = fields(file).filter(|(field, _)| *field == 7);
    let all: u64 = graphs.map(|(_, content)| graph(content)).fold(0, u64::saturating_add);
    all <= file.len() as u64 / 2 * 5 + SLACK
}

fn graph(bytes: &[u8]) -> u64 {
    let of = |(field, content): (u64, &[u8])| match field {
        1 => NODE + fields(content).map(in_node).sum::<u64>(),
        5 => tensor(content),
        // Inputs and outputs, with a message for each dimension at the innermost.
        11 | 12 => VALUE + PACKED * content.len() as u64,
        _ => 0,
    };
    fields(bytes).map(of).sum()
}

fn in_node((field, content): (u64, &[u8])) -> u64 {
    let in_attribute = |(field, content): (u64, &[u8])| match field {
        5 => tensor(content),
        7 | 8 => PACKED * content.len() as u64,
        _ => 0,
    };
    match field {
        1 | 2 => TEXT + content.len() as u64,
        5 => ATTRIBUTE + fields(content).map(in_attribute).sum::<u64>(),
        _ => 0,
    }
}

fn tensor(bytes: &[u8]) -> u64 {
    let of = |(field, content): (u64, &[u8])| match field {
        1 | 5 | 7 => PACKED * content.len() as u64,
        _ => 0,
    };
    TENSOR + fields(bytes).map(of).sum::<u64>()
}

/// The fields of a message that have a length, and for each of the others its number and the bytes
/// of the number itself. Ends where the bytes are no message, which the decoder will say.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let (key, rest) = varint(bytes)?;
        let (content, rest) = match key & 7 {
            0 => {
                let (_, after) = varint(rest)?;
                rest.split_at(rest.len() - after.len())
            }
            1 => rest.split_at_checked(8)?,
            2 => {
                let (length, rest) = varint(rest)?;
                rest.split_at_checked(usize::try_from(length).ok()?)?
            }
            5 => rest.split_at_checked(4)?,
            _ => return None,
        };
        bytes = rest;
        Some((key >> 3, content))
    })
}

/// A number of seven bits a byte, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0;
    for (i, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((number, &bytes[i + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message of one field that has a length, so many times.
    fn repeated(field: u8, content: &[u8], times: usize) -> Vec<u8> {
        let mut length = vec![];
        let mut rest = content.len();
        while rest >= 0x80 {
            length.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        length.push(rest as u8);
        [&[field << 3 | 2][..], &length, content].concat().repeat(times)
    }

    #[test]
    fn files_of_empty_messages_are_out_of_proportion() {
        let times = 1 << 20;
        let file = |graph: &[u8]| repeated(7, graph, 1);
        for graph in [
            repeated(1, b"", times),
            repeated(5, b"", times),
            repeated(11, b"", times),
            repeated(1, &repeated(5, b"", times), 1),
            repeated(1, &repeated(1, b"", times), 1),
            repeated(1, &repeated(5, &repeated(5, b"", times), 1), 1),
            repeated(1, &repeated(5, &repeated(8, &vec![1; times], 1), 1), 1),
            repeated(5, &repeated(7, &vec![1; times], 1), 1),
        ] {
            let file = file(&graph);
            assert!(!is_in_proportion(&file), "{} bytes", file.len());
            assert!(crate::import::import_onnx(&file, None).is_err());
        }
        // Weights as they should be.
        let weights = repeated(5, &repeated(9, &vec![0; 4 << 20], 1), 3);
        assert!(is_in_proportion(&file(&weights)));
        assert!(is_in_proportion(b"") && is_in_proportion(b"\xff\xff"));
    }

    #[test]
    fn numbers_are_read_and_overlong_ones_are_none() {
        assert_eq!(varint(&[0x96, 1, 7]), Some((150, &[7][..])));
        assert_eq!(varint(&[0xFF; 10]), None);
        assert_eq!(varint(&[0x80]), None);
        assert_eq!(fields(&[0x08, 0x96, 1, 0x12, 1, 9]).count(), 2);
    }
}
