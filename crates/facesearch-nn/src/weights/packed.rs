//! Files compressed by bzip2, as dlib's are published.

use std::borrow::Cow;
use std::io::Read;

use bzip2::read::MultiBzDecoder;

use super::WeightsError;

/// A compressed file may unpack to at most this many times its length. dlib's files have a factor
/// of 1.05 to 1.7; a file with a much larger one holds no weights.
const MAX_RATIO: usize = 2;

/// The bytes of a file of weights, unpacked if they are compressed by bzip2.
///
/// # Errors
///
/// [`WeightsError::Damaged`] where a compressed file is cut or changed, or would unpack to more
/// than twice its length.
pub fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, WeightsError> {
    if !bytes.starts_with(b"BZh") {
        return Ok(Cow::Borrowed(bytes));
    }
    let limit = bytes.len().saturating_mul(MAX_RATIO);
    let mut unpacked = Vec::with_capacity(limit);
    let mut packed = MultiBzDecoder::new(bytes).take(limit as u64);
    packed
        .read_to_end(&mut unpacked)
        .map_err(|error| WeightsError::damaged(format!("bzip2 cannot unpack them ({error})")))?;
    if unpacked.len() == limit {
        return Err(WeightsError::damaged("they unpack to more than weights do"));
    }
    Ok(Cow::Owned(unpacked))
}
