//! Files as they are published, compressed by bzip2 (dlib's).

use std::borrow::Cow;
use std::io::Read;

use bzip2::read::MultiBzDecoder;

use super::WeightsError;

/// How many times its own length a compressed file may become. dlib's become 1.05 to 1.7 times as
/// long; one that becomes much longer holds no weights.
const MOST: usize = 2;

/// The bytes of a file of weights, unpacked where bzip2 packed them.
///
/// # Errors
///
/// [`WeightsError::Damaged`] where a packed file is cut or changed, or would become more than twice
/// as long.
pub fn unpack(bytes: &[u8]) -> Result<Cow<'_, [u8]>, WeightsError> {
    if !bytes.starts_with(b"BZh") {
        return Ok(Cow::Borrowed(bytes));
    }
    let limit = bytes.len().saturating_mul(MOST);
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
