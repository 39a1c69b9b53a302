//! Recognises the format of a model's file by its content.

/// A format of weights or networks that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelFormat {
    /// HDF5, as Keras saves it (`.h5`).
    Keras,
    /// PyTorch's zip archive or its older sequence of pickles (`.pt`, `.pth`, `.ckpt`).
    Torch,
    /// safetensors, the cache's own format.
    Safetensors,
    /// A graph with its weights (`.onnx`).
    Onnx,
    /// The graph of an OpenVINO IR. Its weights are in the `.bin` beside the `.xml`.
    OpenVino,
    /// dlib's serialised objects (`.dat`).
    Dlib,
    /// A file compressed by bzip2, as dlib's are published. Its content is not checked.
    Bzip2,
}

impl ModelFormat {
    /// The name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keras => "Keras HDF5",
            Self::Torch => "PyTorch",
            Self::Safetensors => "safetensors",
            Self::Onnx => "ONNX",
            Self::OpenVino => "OpenVINO IR",
            Self::Dlib => "dlib",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// The format of a file that begins with `start`, for which a few hundred bytes are enough. `None`
/// where it cannot be read.
///
/// ONNX has no signature: a protobuf message whose first field is a version number is taken for it.
/// dlib's objects begin with a number from 1 to 9, written as a length and a byte.
pub fn recognise_model(start: &[u8]) -> Option<ModelFormat> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
    if start.starts_with(b"\x89HDF\r\n\x1a\n") {
        return Some(ModelFormat::Keras);
    }
    if start.starts_with(b"PK\x03\x04") || start.starts_with(b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46") {
        return Some(ModelFormat::Torch);
    }
    if start.starts_with(b"BZh") {
        return Some(ModelFormat::Bzip2);
    }
    if text.starts_with(b"<?xml") || text.starts_with(b"<net") {
        return Some(ModelFormat::OpenVino);
    }
    if let Some((length, header)) = start.split_first_chunk::<8>()
        && u64::from_le_bytes(*length) < 1 << 27
        && header.starts_with(b"{\"")
    {
        return Some(ModelFormat::Safetensors);
    }
    match start {
        // Field 1, an integer, is the version of the format, which is below 20. Then comes a field
        // that an ONNX model has.
        [0x08, 1..=20, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..] => {
            Some(ModelFormat::Onnx)
        }
        [0x01, 1..=9, ..] => Some(ModelFormat::Dlib),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::shared;

    #[test]
    #[ignore = "needs FACESEARCH_SHARED"]
    fn files_that_other_programs_wrote_are_recognised() {
        for (file, format) in [
            ("mobilefacenet-foamliu/MobileFaceNet.onnx", ModelFormat::Onnx),
            ("mobilefacenet-foamliu/mobilefacenet.pt", ModelFormat::Torch),
            ("mobilefacenet-bubbliiiing/arcface_mobilefacenet.pth", ModelFormat::Torch),
            ("mobilefacenet-xiaoccer/068.ckpt", ModelFormat::Torch),
            ("yunet/yunet_n_dynamic.onnx", ModelFormat::Onnx),
            ("ultralight/version-RFB-640.onnx", ModelFormat::Onnx),
            ("blazeface/blazeface.pth", ModelFormat::Torch),
            ("dlib-mmod/mmod_human_face_detector.dat.bz2", ModelFormat::Bzip2),
            ("openvino-landmarks-0009/landmarks-regression-retail-0009.xml", ModelFormat::OpenVino),
        ] {
            let path = shared(&format!("models/{file}"));
            assert_eq!(recognise_model(&std::fs::read(path).unwrap()), Some(format), "{file}");
        }
    }

    #[test]
    fn signatures_are_told_apart() {
        let format_of = recognise_model;
        assert_eq!(format_of(b"\x89HDF\r\n\x1a\n\0\0"), Some(ModelFormat::Keras));
        assert_eq!(format_of(b"PK\x03\x04rest"), Some(ModelFormat::Torch));
        assert_eq!(format_of(b"\x40\0\0\0\0\0\0\0{\"a.bias\":"), Some(ModelFormat::Safetensors));
        assert_eq!(format_of(b"\xef\xbb\xbf <?xml version=\"1.0\"?>"), Some(ModelFormat::OpenVino));
        assert_eq!(format_of(b"\x01\x01\x01\x02"), Some(ModelFormat::Dlib));
        for nothing in
            [&b""[..], b"\x08", b"\xff\xd8\xff", b"GIF89a", b"{\"json\":1}", b"\x08\x63\x12"]
        {
            assert_eq!(format_of(nothing), None, "{nothing:?}");
        }
    }
}
