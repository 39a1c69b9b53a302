//! Damaged files of networks and landmark predictors: they give an error, no embedding, or one of
//! finite numbers, and never take more memory than four times their size.
//!
//! Small files are damaged everywhere, files of real size at places that look random. These are in
//! the folders that `FACESEARCH_SHARED` and `FACESEARCH_MODELS` name.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

#[path = "../../facesearch-nn/tests/damage/mod.rs"]
mod damage;

use std::path::PathBuf;

use candle_core::Device;
use facesearch_core::{Chip, Embedder, Metric};
use facesearch_nn::unpack;
use facesearch_vision::{
    ColourOrder, DlibDenseNet, DlibResNet, Normalisation, OnnxOptions, ShapePredictor5,
    onnx_embedder,
};

use damage::{Case, SLACK, alone, everywhere, golden, peak, somewhere};

/// The slack for bzip2, whose blocks of 900,000 bytes take four times as much to unpack.
const SLACK_BZIP2: usize = 1 << 22;

#[test]
fn embeddings_of_a_damaged_network_are_finite_or_none() {
    let _alone = alone();
    let file = golden("onnx.onnx");
    let chip = Chip::new(12, 12, (0..12 * 12 * 3).map(|i| (i * 7) as u8).collect());
    let mut made = 0;
    for bytes in everywhere(&file) {
        let options = OnnxOptions {
            name: "damaged".to_owned(),
            size: Some([12, 12]),
            colours: ColourOrder::Rgb,
            normalisation: Normalisation::Raw,
            metric: Metric::L2,
        };
        let Ok(embedder) = onnx_embedder(&bytes, options, &Device::Cpu) else { continue };
        let embeddings = embedder.embed(std::slice::from_ref(&chip)).expect("an answer");
        if let [Some(embedding)] = embeddings.as_slice() {
            assert!(embedding.as_slice().iter().all(|v| v.is_finite()));
            made += 1;
        }
    }
    assert!(made > 0, "every damage was refused");
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn networks_of_real_size_are_damaged_somewhere() {
    let _alone = alone();
    let shared = std::env::var_os("FACESEARCH_SHARED").expect("FACESEARCH_SHARED is set");
    let name = "dlib-densenet/face_recognition_densenet_model_v1.dat.bz2";
    let packed = std::fs::read(PathBuf::from(shared).join("models").join(name)).expect(name);
    let case = Case { name, file: &packed, beside: 0, slack: SLACK_BZIP2 };
    case.check(somewhere(&packed, 20), |bytes| DlibDenseNet::graph(bytes).is_ok());
    let unpacked = unpack(&packed).expect("unpacked").into_owned();
    let case = Case { name: "the same, unpacked", file: &unpacked, beside: 0, slack: SLACK };
    case.check(somewhere(&unpacked, 200), |bytes| DlibDenseNet::graph(bytes).is_ok());
    // Files of another kind are refused for no more.
    for bytes in somewhere(&unpacked, 50) {
        let (used, read) = peak(|| DlibResNet::graph(&bytes).is_ok());
        assert!(!read && used <= 4 * unpacked.len() + SLACK);
        let (used, read) = peak(|| ShapePredictor5::from_bytes(&bytes).is_ok());
        assert!(!read && used <= 4 * unpacked.len() + SLACK);
    }
}

#[test]
#[ignore = "needs FACESEARCH_MODELS"]
fn dlibs_own_files_are_damaged_somewhere() {
    let _alone = alone();
    let models = std::env::var_os("FACESEARCH_MODELS").expect("FACESEARCH_MODELS is set");
    let read = |name: &str| std::fs::read(PathBuf::from(&models).join(name)).expect(name);
    let file = read("dlib_face_recognition_resnet_model_v1.dat");
    let case = Case { name: "dlib's network", file: &file, beside: 0, slack: SLACK };
    case.check(somewhere(&file, 50), |bytes| DlibResNet::graph(bytes).is_ok());
    let file = read("shape_predictor_5_face_landmarks.dat");
    let case = Case { name: "dlib's predictor", file: &file, beside: 0, slack: SLACK };
    case.check(somewhere(&file, 50), |bytes| ShapePredictor5::from_bytes(bytes).is_ok());
}
