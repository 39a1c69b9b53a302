//! How a record becomes bytes, and how bytes are told from damage.
//!
//! - **Layout:** `format` (1 byte), payload, `checksum` (8 bytes). The payload is bincode 2 in its
//!   standard configuration (little-endian, variable-length integers), or, for an embedding, its
//!   numbers as raw little-endian `f32`.
//! - **Checksum:** the first 8 bytes of BLAKE3 over the key, the format byte and the payload. The
//!   key is in it so that a record under another's key is damage too.
//! - **Limit:** a payload decodes at most [`LIMIT`] bytes, and all of them: a damaged length never
//!   becomes a large allocation.
//! - **Trap:** bincode's payload does not say what it is. A changed struct in `record.rs` must come
//!   with another [`FORMAT`], or old stores decode to nonsense.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::{Decode, Encode};

/// The format of everything this crate writes.
pub(crate) const FORMAT: u8 = 1;

/// The largest payload that is written or read, in bytes.
pub(crate) const LIMIT: usize = 1 << 20;

/// The largest record that is kept in parts, in bytes: some ten million faces named at once.
const LONG: usize = 1 << 30;

const CHECKSUM: usize = 8;

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CodecError {
    #[error("a record of {got} bytes is cut short")]
    Short { got: usize },
    #[error("a record does not match its checksum")]
    Checksum,
    #[error("a record is of format {found}, this program reads format {FORMAT}")]
    Format { found: u8 },
    #[error("a record cannot be decoded: {reason}")]
    Decode { reason: String },
    #[error("a record of {got} bytes is longer than the {LIMIT} that are kept")]
    TooLong { got: usize },
}

/// A record's checksum as a number; `None` for bytes too short to have one. The key is in it, so
/// the sum over all records of a store stands for the whole of it.
pub(crate) fn sum(bytes: &[u8]) -> Option<u64> {
    bytes.last_chunk().map(|checksum| u64::from_le_bytes(*checksum))
}

/// The bytes kept under `key` for a record.
pub(crate) fn encode<T: Encode>(key: &[u8], record: &T) -> Result<Vec<u8>, CodecError> {
    let payload = bincode::encode_to_vec(record, config())
        .map_err(|error| CodecError::Decode { reason: error.to_string() })?;
    seal(key, &payload)
}

/// The record in the bytes found under `key`.
pub(crate) fn decode<T: Decode<()>>(key: &[u8], bytes: &[u8]) -> Result<T, CodecError> {
    let payload = open(key, bytes)?;
    let (record, used) = bincode::decode_from_slice(payload, config())
        .map_err(|error| CodecError::Decode { reason: error.to_string() })?;
    if used != payload.len() {
        return Err(CodecError::Decode { reason: "it has bytes to spare".into() });
    }
    Ok(record)
}

/// The bytes kept under `key` for an embedding, or a part of one.
pub(crate) fn encode_vector(key: &[u8], vector: &[f32]) -> Result<Vec<u8>, CodecError> {
    let payload: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    seal(key, &payload)
}

/// Appends the numbers in the bytes found under `key` to `vector`.
pub(crate) fn decode_vector(
    key: &[u8],
    bytes: &[u8],
    vector: &mut Vec<f32>,
) -> Result<(), CodecError> {
    let payload = open(key, bytes)?;
    let (numbers, rest) = payload.as_chunks::<4>();
    if !rest.is_empty() {
        let reason = format!("{} bytes are no whole numbers", payload.len());
        return Err(CodecError::Decode { reason });
    }
    vector.extend(numbers.iter().map(|number| f32::from_le_bytes(*number)));
    Ok(())
}

/// The bytes of a record that is kept in parts, each of which is sealed by itself.
pub(crate) fn encode_long<T: Encode>(record: &T) -> Result<Vec<u8>, CodecError> {
    bincode::encode_to_vec(record, long())
        .map_err(|error| CodecError::Decode { reason: error.to_string() })
}

/// The record in bytes that were put together of parts which matched their checksums.
pub(crate) fn decode_long<T: Decode<()>>(bytes: &[u8]) -> Result<T, CodecError> {
    match decode_first(bytes)? {
        (record, []) => Ok(record),
        _ => Err(CodecError::Decode { reason: "it has bytes to spare".into() }),
    }
}

/// The record that such bytes begin with, and the bytes behind it.
pub(crate) fn decode_first<T: Decode<()>>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    let (record, used) = bincode::decode_from_slice(bytes, long())
        .map_err(|error| CodecError::Decode { reason: error.to_string() })?;
    Ok((record, &bytes[used..]))
}

fn long() -> Configuration<LittleEndian, Varint, Limit<LONG>> {
    bincode::config::standard().with_limit::<LONG>()
}

fn config() -> Configuration<LittleEndian, Varint, Limit<LIMIT>> {
    bincode::config::standard().with_limit::<LIMIT>()
}

/// The bytes kept under `key` for a payload.
pub(crate) fn seal(key: &[u8], payload: &[u8]) -> Result<Vec<u8>, CodecError> {
    if payload.len() > LIMIT {
        return Err(CodecError::TooLong { got: payload.len() });
    }
    let mut bytes = Vec::with_capacity(1 + payload.len() + CHECKSUM);
    bytes.push(FORMAT);
    bytes.extend_from_slice(payload);
    let checksum = checksum(key, &bytes);
    bytes.extend_from_slice(&checksum);
    Ok(bytes)
}

/// The payload in the bytes found under `key`.
pub(crate) fn open<'a>(key: &[u8], bytes: &'a [u8]) -> Result<&'a [u8], CodecError> {
    let (body, stored) = bytes
        .split_last_chunk::<CHECKSUM>()
        .filter(|(body, _)| !body.is_empty())
        .ok_or(CodecError::Short { got: bytes.len() })?;
    if checksum(key, body) != *stored {
        return Err(CodecError::Checksum);
    }
    match body[0] {
        FORMAT => Ok(&body[1..]),
        found => Err(CodecError::Format { found }),
    }
}

fn checksum(key: &[u8], body: &[u8]) -> [u8; CHECKSUM] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes());
    hasher.update(key);
    hasher.update(body);
    let hash = hasher.finalize();
    *hash.as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_changed_byte_is_an_error(
            record in any::<(u64, String, Vec<u8>)>(),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let bytes = encode(b"key", &record).unwrap();
            prop_assert_eq!(&decode::<(u64, String, Vec<u8>)>(b"key", &bytes).unwrap(), &record);

            let mut damaged = bytes.clone();
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
            prop_assert!(decode::<(u64, String, Vec<u8>)>(b"key", &damaged).is_err());
            prop_assert!(decode::<(u64, String, Vec<u8>)>(b"key", &bytes[..at]).is_err());
            prop_assert!(decode::<(u64, String, Vec<u8>)>(b"kez", &bytes).is_err());
        }

        #[test]
        fn vectors_come_back_bit_for_bit(bits in prop::collection::vec(any::<u32>(), 0..40)) {
            let vector: Vec<f32> = bits.iter().map(|b| f32::from_bits(*b)).collect();
            let bytes = encode_vector(b"v", &vector).unwrap();
            let mut back = Vec::new();
            decode_vector(b"v", &bytes, &mut back).unwrap();
            prop_assert_eq!(back.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), bits);
            prop_assert!(decode_vector(b"w", &bytes, &mut back).is_err());
        }
    }

    #[test]
    fn a_length_that_lies_allocates_nothing() {
        // A string said to be 2^60 bytes long: `253` announces a u64 in bincode's varint.
        let mut payload = vec![253];
        payload.extend_from_slice(&(1u64 << 60).to_le_bytes());
        let bytes = seal(b"k", &payload).unwrap();
        assert!(matches!(decode::<String>(b"k", &bytes), Err(CodecError::Decode { .. })));
    }

    #[test]
    fn another_format_is_named() {
        let mut bytes = vec![FORMAT + 1, 1, 2, 3];
        let sum = checksum(b"k", &bytes);
        bytes.extend_from_slice(&sum);
        assert_eq!(decode::<u8>(b"k", &bytes), Err(CodecError::Format { found: FORMAT + 1 }));
    }

    #[test]
    fn what_is_too_long_is_refused_when_it_is_written() {
        let long = vec![0u8; LIMIT];
        assert!(matches!(encode(b"k", &long), Err(CodecError::TooLong { .. })));
    }
}
