//! A recognition model by its name in the catalogue: its network, and the chips it was trained on.

use std::path::{Path, PathBuf};

use candle_core::Device;
use facesearch_core::{Metric, VisionError};
use facesearch_nn::Weights;

use super::network_embedder::{NetworkEmbedder, broken};
use super::onnx_generic::{OnnxOptions, onnx_embedder};
use super::{
    ArcFace, DeepFace, DeepId, DlibDenseNet, FaceNet, GhostFaceNet, MobileFaceNet, OpenFace,
    Retail0095, SFace, VggFace,
};
use crate::align::{Aligner, BoxAligner, DlibAligner, PointAligner, SquareInBox, Template};
use crate::landmarks::ShapePredictor5;
use crate::preprocess::{ColourOrder, Normalisation};

/// An embedder and the aligner that cuts its chips.
pub struct Recognition {
    /// The network.
    pub embedder: NetworkEmbedder,
    /// What cuts chips for it.
    pub aligner: Box<dyn Aligner>,
    /// Whether the model is meant to see each face in the mirror too
    /// ([`Views`](crate::Views)).
    pub mirrored: bool,
}

/// Opens the model of this name; `None` where it is not one of those made here, which are
/// `retail-0095`, `deepface`, `vgg-face`, `deepid`, `facenet-128`, `facenet-512`, `openface`,
/// `arcface`, `ghostfacenet`, `sface`, `dlib-densenet`, and `mobilefacenet-` of `bubbliiiing`,
/// `xiaoccer` and `foamliu`. (dlib's first is [`DlibResNet`](crate::DlibResNet), which is opened by
/// itself.)
///
/// The two FaceNets take deepface's file or facenet-pytorch's, told by what is in it; each is fed
/// as its author feeds it.
///
/// - **Input:** the model's files in the order of the catalogue: the `.xml` and the `.bin` for
///   retail-0095, one file for each of the others; for dlib-densenet its predictor of five points
///   may follow. `cache` is where one in another format than the
///   cache's is converted to, once; name it after the file's SHA-256. Without it the file is
///   converted each time.
///
/// # Errors
///
/// [`VisionError::Model`] where a file is missing, damaged or another model's, or the device
/// refuses it.
pub fn open_recogniser(
    name: &str,
    files: &[PathBuf],
    cache: Option<&Path>,
    device: &Device,
) -> Result<Option<Recognition>, VisionError> {
    let file = |i: usize| -> Result<&Path, VisionError> {
        let missing = || broken(name, format!("it has {} files, not {}", files.len(), i + 1));
        files.get(i).map(PathBuf::as_path).ok_or_else(missing)
    };
    let weights = |skip: &[&str]| -> Result<Weights, VisionError> {
        let weights = match cache {
            Some(cache) => Weights::open_cached(file(0)?, skip, cache),
            None => Weights::open(file(0)?, skip),
        };
        weights.map_err(|error| broken(name, error))
    };
    let (embedder, aligner): (_, Box<dyn Aligner>) = match name {
        "retail-0095" => {
            let read = |i| std::fs::read(file(i)?).map_err(|error| broken(name, error));
            let embedder = Retail0095::from_bytes(&read(0)?, &read(1)?, device)?;
            (embedder, Box::new(Template::RETAIL_0095_BY_MTCNN))
        }
        "deepface" => (
            DeepFace::embedder(weights(&DeepFace::UNUSED_LAYERS)?, device)?,
            Box::new(BoxAligner::padded(152, 152)),
        ),
        "vgg-face" => {
            (VggFace::embedder(weights(&[])?, device)?, Box::new(BoxAligner::padded(224, 224)))
        }
        "deepid" => {
            (DeepId::embedder(weights(&[])?, device)?, Box::new(BoxAligner::padded(47, 55)))
        }
        "facenet-128" => FaceNet::Small.embedder(weights(&[])?, device)?,
        "facenet-512" => FaceNet::Large.embedder(weights(&[])?, device)?,
        "openface" => {
            (OpenFace::embedder(weights(&[])?, device)?, Box::new(BoxAligner::padded(96, 96)))
        }
        "arcface" => {
            (ArcFace::embedder(weights(&[])?, device)?, Box::new(BoxAligner::padded(112, 112)))
        }
        "ghostfacenet" => {
            (GhostFaceNet::embedder(weights(&[])?, device)?, Box::new(BoxAligner::padded(112, 112)))
        }
        "dlib-densenet" => {
            let bytes = std::fs::read(file(0)?).map_err(|error| broken(name, error))?;
            (DlibDenseNet::from_bytes(&bytes, device)?, dlib_aligner(name, files.get(1))?)
        }
        "sface" => {
            let bytes = std::fs::read(file(0)?).map_err(|error| broken(name, error))?;
            (SFace::from_bytes(&bytes, device)?, Box::new(Template::ARCFACE))
        }
        "mobilefacenet-bubbliiiing" => (
            MobileFaceNet::Bubbliiiing.embedder(weights(&[])?, device)?,
            Box::new(Template::ARCFACE),
        ),
        "mobilefacenet-foamliu" => {
            let bytes = std::fs::read(file(0)?).map_err(|error| broken(name, error))?;
            let options = OnnxOptions {
                name: name.to_owned(),
                size: Some([112, 112]),
                colours: ColourOrder::Rgb,
                normalisation: Normalisation::ImageNet,
                metric: Metric::Cosine,
            };
            (onnx_embedder(&bytes, options, device)?, Box::new(Template::ARCFACE))
        }
        "mobilefacenet-xiaoccer" => (
            MobileFaceNet::Xiaoccer.embedder(weights(&[])?, device)?,
            Box::new(Template::SPHEREFACE),
        ),
        _ => return Ok(None),
    };
    Ok(Some(Recognition { embedder, aligner, mirrored: name == "retail-0095" }))
}

/// dlib's chips: by its own five points where its predictor's file is there too, else by the
/// detector's.
fn dlib_aligner(name: &str, predictor: Option<&PathBuf>) -> Result<Box<dyn Aligner>, VisionError> {
    let Some(path) = predictor else { return Ok(Box::new(PointAligner::MTCNN)) };
    let bytes = std::fs::read(path).map_err(|error| broken(name, error))?;
    let predictor = ShapePredictor5::from_bytes(&bytes)?;
    Ok(Box::new(DlibAligner::new(predictor, SquareInBox::MTCNN)))
}

#[cfg(test)]
mod tests {
    use facesearch_core::{BoundingBox, DetectedFace, Embedder, Landmarks, Photo};

    use super::*;
    use crate::testing::{reference, shared};

    /// The chips of a model's aligner fit its network, and an embedding comes of them.
    fn check(name: &str, files: &[PathBuf], dim: usize) {
        let opened = open_recogniser(name, files, None, &Device::Cpu).unwrap().unwrap();
        let photo = Photo::new(200, 180, (0..200 * 180 * 3).map(|i| (i / 7) as u8).collect());
        let points = [[80.0, 80.0], [120.0, 80.0], [100.0, 100.0], [85.0, 125.0], [115.0, 125.0]];
        let bbox = BoundingBox { x: 60.0, y: 50.0, width: 80.0, height: 100.0 };
        let face = DetectedFace { bbox, score: 1.0, landmarks: Landmarks(points) };
        let chip = opened.aligner.chip(&photo, &face);
        let embedding = opened.embedder.embed(&[chip]).unwrap().remove(0).unwrap();
        assert_eq!(embedding.dim(), dim);
        assert_eq!(opened.embedder.name(), name);
    }

    #[test]
    #[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_SHARED"]
    fn a_model_and_its_aligner_fit_each_other() {
        let stem = "models/openvino-reid0095/face-reidentification-retail-0095";
        let files = [shared(&format!("{stem}.xml")), shared(&format!("{stem}.bin"))];
        check("retail-0095", &files, 256);
        for (name, file, dim) in [
            ("deepid", "deepid.h5", 160),
            ("facenet-128", "facenet-128.h5", 128),
            ("facenet-512", "facenet-512.h5", 512),
            ("openface", "openface.h5", 128),
            ("arcface", "arcface.h5", 512),
            ("ghostfacenet", "ghostfacenet.h5", 512),
            ("sface", "sface.onnx", 128),
            ("deepface", "deepface.h5", 4096),
        ] {
            check(name, &[reference(file).join(file)], dim);
        }
    }

    #[test]
    fn other_names_are_not_opened_and_missing_files_are_errors() {
        assert!(open_recogniser("dlib", &[], None, &Device::Cpu).unwrap().is_none());
        for name in [
            "retail-0095",
            "deepface",
            "vgg-face",
            "deepid",
            "facenet-128",
            "facenet-512",
            "openface",
            "arcface",
            "ghostfacenet",
            "sface",
            "dlib-densenet",
        ] {
            assert!(open_recogniser(name, &[], None, &Device::Cpu).is_err(), "{name}");
        }
    }
}
