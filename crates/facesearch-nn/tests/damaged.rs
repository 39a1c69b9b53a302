//! Damaged files of every format: cut and changed, they give an error or numbers, and never take
//! more memory than four times their size.
//!
//! The small files in `tests/formats` were written by the programs they come from
//! (`models/reference/formats_reference.py`) and are damaged everywhere. Files of real size, where
//! a wrong length can do more, are in the folder that `FACESEARCH_SHARED` names. They are damaged
//! at places that look random.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

mod damage;

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use facesearch_nn::{
    ImportedNetwork, MappedWeights, Network, StateDict, import_onnx, import_openvino, read_keras,
    read_torch,
};

use damage::{Case, SLACK, alone, everywhere, golden, somewhere};

/// The slack for HDF5, whose library makes room for as many members as a group claims to have: up
/// to 65,535 of 64 bytes.
const SLACK_HDF5: usize = 5 << 20;

fn sound(arrays: &StateDict) -> bool {
    arrays.values().all(|array| array.shape.iter().product::<usize>() == array.values.len())
}

/// Runs an imported network. It must not panic, whatever its file says.
fn runs(imported: ImportedNetwork) {
    let [channels, height, width] = imported.input;
    if channels * height * width > 1 << 16 {
        return;
    }
    let input = Tensor::ones((1, channels, height, width), DType::F32, &Device::Cpu);
    let network = Network::new(imported.graph, &Device::Cpu).expect("a network");
    let outputs = network.forward(&input.expect("an input")).expect("what its shapes promise");
    assert_eq!(outputs.len(), imported.outputs.len());
}

#[test]
fn small_files_of_every_format_are_damaged_everywhere() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights");
    let written = |bytes: &[u8]| std::fs::write(&path, bytes).expect("a file");

    let file = golden("keras.h5");
    let case = Case { name: "keras.h5", file: &file, beside: 0, slack: SLACK_HDF5 };
    // Every ninth place only: it is the largest file, and is read from the disk.
    case.check(everywhere(&file).step_by(9), |bytes| {
        written(bytes);
        read_keras(&path, &[]).is_ok_and(|arrays| sound(&arrays))
    });
    for name in ["torch-zip.pt", "torch-old.pt", "torch-half.pt"] {
        let file = golden(name);
        let case = Case { name, file: &file, beside: 0, slack: SLACK };
        let read = |bytes: &[u8]| read_torch(bytes).is_ok_and(|arrays| sound(&arrays));
        case.check(everywhere(&file), read);
    }
    let file = golden("safetensors.safetensors");
    let case = Case { name: "safetensors", file: &file, beside: 0, slack: SLACK };
    case.check(everywhere(&file), |bytes| {
        written(bytes);
        let arrays = [("conv.weight", &[8, 3, 3, 3][..]), ("dense.bias", &[8])];
        MappedWeights::open(&path).is_ok_and(|weights| {
            arrays.iter().all(|(name, shape)| weights.array(name, shape).is_ok())
        })
    });
}

#[test]
fn small_networks_are_damaged_everywhere() {
    let _alone = alone();
    let file = golden("onnx.onnx");
    let case = Case { name: "onnx.onnx", file: &file, beside: 0, slack: SLACK };
    case.check(everywhere(&file), |bytes| import_onnx(bytes, None).is_ok());
    everywhere(&file).filter_map(|bytes| import_onnx(&bytes, None).ok()).for_each(runs);

    let (xml, bin) = (golden("openvino.xml"), golden("openvino.bin"));
    let case = Case { name: "openvino.xml", file: &xml, beside: bin.len(), slack: SLACK };
    case.check(everywhere(&xml), |bytes| import_openvino(bytes, &bin, None).is_ok());
    let case = Case { name: "openvino.bin", file: &bin, beside: xml.len(), slack: SLACK };
    case.check(everywhere(&bin), |bytes| import_openvino(&xml, bytes, None).is_ok());
    everywhere(&xml)
        .filter_map(|bytes| import_openvino(&bytes, &bin, None).ok())
        .chain(everywhere(&bin).filter_map(|bytes| import_openvino(&xml, &bytes, None).ok()))
        .for_each(runs);
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn files_of_real_size_are_damaged_somewhere() {
    let _alone = alone();
    let shared = std::env::var_os("FACESEARCH_SHARED").expect("FACESEARCH_SHARED is set");
    let models = PathBuf::from(shared).join("models");
    let read = |name: &str| std::fs::read(models.join(name)).expect("a model's file");
    let check = |name: &str, times: usize, reader: &dyn Fn(&[u8]) -> bool| {
        let file = read(name);
        let case = Case { name, file: &file, beside: 0, slack: SLACK };
        case.check(somewhere(&file, times), reader);
    };
    let onnx = |bytes: &[u8]| import_onnx(bytes, Some([128, 96])).is_ok();
    check("mobilefacenet-foamliu/MobileFaceNet.onnx", 100, &|b| import_onnx(b, None).is_ok());
    check("yunet/yunet_n_dynamic.onnx", 150, &onnx);
    for name in [
        "openvino-reid0095/face-reidentification-retail-0095",
        "openvino-landmarks-0009/landmarks-regression-retail-0009",
    ] {
        let (xml, bin) = (read(&format!("{name}.xml")), read(&format!("{name}.bin")));
        let case = Case { name, file: &xml, beside: bin.len(), slack: SLACK };
        case.check(somewhere(&xml, 100), |bytes| import_openvino(bytes, &bin, None).is_ok());
        let case = Case { name, file: &bin, beside: xml.len(), slack: SLACK };
        case.check(somewhere(&bin, 50), |bytes| import_openvino(&xml, bytes, None).is_ok());
    }
    let torch = |bytes: &[u8]| read_torch(bytes).is_ok_and(|arrays| sound(&arrays));
    check("mobilefacenet-foamliu/mobilefacenet.pt", 60, &torch);
    check("mtcnn/pnet.pt", 300, &torch);
    check("blazeface/blazeface.pth", 100, &torch);
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn a_keras_file_of_real_size_is_damaged_somewhere() {
    let _alone = alone();
    let folder = std::env::var_os("FACESEARCH_REFERENCE").expect("FACESEARCH_REFERENCE is set");
    let file = std::fs::read(PathBuf::from(folder).join("openface.h5")).expect("openface.h5");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights");
    let case = Case { name: "openface.h5", file: &file, beside: 0, slack: SLACK_HDF5 };
    case.check(somewhere(&file, 40), |bytes| {
        std::fs::write(&path, bytes).expect("a file");
        read_keras(&path, &[]).is_ok_and(|arrays| sound(&arrays))
    });
}
