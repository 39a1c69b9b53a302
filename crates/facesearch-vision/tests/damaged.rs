//! Damaged files of every format: cut and changed, they give an error or numbers, and never take
//! more memory than four times their size.
//!
//! The small files in `tests/formats` were written by the programs they come from
//! (`models/reference/formats_reference.py`) and are damaged everywhere. Files of real size, in
//! which a wrong length can do more, are taken from the folder that `FACESEARCH_SHARED` names and
//! damaged at places that look random; without it that test says that it was skipped.
//!
//! Alone in its file, because the allocator that counts is the whole process's.

#![expect(clippy::print_stdout, reason = "a test says what it measured, or why it was skipped")]

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};
use facesearch_core::{Chip, Embedder, Metric};
use facesearch_vision::{
    ColourOrder, DlibDenseNet, DlibResNet, ImportedNetwork, MappedWeights, Network, Normalisation,
    OnnxOptions, ShapePredictor5, StateDict, import_onnx, import_openvino, onnx_embedder,
    read_keras, read_torch,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// One test at a time: what the other one allocates would count too.
static ALONE: Mutex<()> = Mutex::new(());

/// What a reader has in use whatever the file: its own tables, an error's message.
const SLACK: usize = 1 << 18;

/// The same for HDF5, whose library makes room for as many members as a group claims to have: up to
/// 65,535 at 64 bytes.
const SLACK_HDF5: usize = 5 << 20;

/// The same for bzip2, whose blocks of 900,000 bytes take four times as much to unpack.
const SLACK_BZIP2: usize = 1 << 22;

/// Bytes held at most during `work`, beyond those held before; and what it gave.
fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let given = work();
    (ALLOCATED.peak_usage().saturating_sub(before), given)
}

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

/// A file and what is known of it.
struct Case<'a> {
    name: &'a str,
    file: &'a [u8],
    /// Bytes of a second file that belongs to it.
    beside: usize,
    slack: usize,
}

impl Case<'_> {
    /// Reads the file whole, which must succeed, and each of `damaged`, which must cost no more
    /// than it may. `read` says whether it succeeded.
    fn check(&self, damaged: impl Iterator<Item = Vec<u8>>, read: impl Fn(&[u8]) -> bool) {
        let (used, succeeded) = peak(|| read(self.file));
        assert!(succeeded, "{} cannot be read undamaged", self.name);
        let (mut worst, mut tried, mut refused) = (self.worth(used, self.file), 0, 0);
        for bytes in damaged {
            let (used, succeeded) = peak(|| read(&bytes));
            worst = worst.max(self.worth(used, &bytes));
            tried += 1;
            refused += usize::from(!succeeded);
        }
        assert!(refused > 0, "{}: no damage was noticed", self.name);
        println!(
            "{}: {refused} of {tried} refused, memory at most {worst:.2} times the file",
            self.name
        );
    }

    /// What was used beyond the slack, in lengths of the file.
    fn worth(&self, used: usize, file: &[u8]) -> f64 {
        let size = file.len() + self.beside;
        let most = 4 * size + self.slack;
        assert!(used <= most, "{}: {used} bytes of memory for a file of {size}", self.name);
        used.saturating_sub(self.slack) as f64 / size.max(1) as f64
    }
}

/// Cut at every place, and with one bit changed in every byte.
fn everywhere(file: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let cut = (0..file.len()).map(|at| file[..at].to_vec());
    let mut random = Random(0x5eed);
    let changed = (0..file.len()).map(move |at| {
        let mut bytes = file.to_vec();
        bytes[at] ^= 1 << random.below(8);
        bytes
    });
    cut.chain(changed).chain(somewhere(file, 200))
}

/// Changed at a few places, most of them near the ends, where headers are; some cut as well.
fn somewhere(file: &[u8], times: usize) -> impl Iterator<Item = Vec<u8>> {
    let mut random = Random(0xface);
    (0..times).map(move |_| {
        let mut bytes = file.to_vec();
        for _ in 0..=random.below(4) {
            let place = match random.below(3) {
                0 => random.below(file.len().min(20_000)),
                1 => file.len() - 1 - random.below(file.len().min(20_000)),
                _ => random.below(file.len()),
            };
            bytes[place] ^= 1 << random.below(8);
        }
        if random.below(4) == 0 {
            bytes.truncate(random.below(file.len()));
        }
        bytes
    })
}

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    std::fs::read(folder.join(name)).expect("a file of tests/formats")
}

fn sound(arrays: &StateDict) -> bool {
    arrays.values().all(|array| array.shape.iter().product::<usize>() == array.values.len())
}

/// Runs an imported network: whatever its file said, it must not panic.
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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights");
    let written = |bytes: &[u8]| std::fs::write(&path, bytes).expect("a file");

    let file = golden("keras.h5");
    let case = Case { name: "keras.h5", file: &file, beside: 0, slack: SLACK_HDF5 };
    // The largest of them, and read from the disk: every ninth place will do.
    let some = everywhere(&file).step_by(9);
    case.check(some, |bytes| {
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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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

/// Whatever weights a file has: an error, no embedding, or one of finite numbers.
#[test]
fn embeddings_of_a_damaged_network_are_finite_or_none() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
fn files_of_real_size_are_damaged_somewhere() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let models = std::env::var_os("FACESEARCH_SHARED").map(|dir| PathBuf::from(dir).join("models"));
    let Some(models) = models.filter(|models| models.exists()) else {
        println!("skipped: FACESEARCH_SHARED names no folder with models");
        return;
    };
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
    let name = "dlib-densenet/face_recognition_densenet_model_v1.dat.bz2";
    let packed = read(name);
    let case = Case { name, file: &packed, beside: 0, slack: SLACK_BZIP2 };
    case.check(somewhere(&packed, 20), |bytes| DlibDenseNet::graph(bytes).is_ok());
    let unpacked = facesearch_vision::unpack(&packed).expect("unpacked").into_owned();
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
fn a_keras_file_of_real_size_is_damaged_somewhere() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = std::env::var_os("FACESEARCH_REFERENCE").map(PathBuf::from);
    let file = folder.and_then(|folder| std::fs::read(folder.join("openface.h5")).ok());
    let Some(file) = file else {
        println!("skipped: FACESEARCH_REFERENCE names no folder with openface.h5");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights");
    let case = Case { name: "openface.h5", file: &file, beside: 0, slack: SLACK_HDF5 };
    case.check(somewhere(&file, 40), |bytes| {
        std::fs::write(&path, bytes).expect("a file");
        read_keras(&path, &[]).is_ok_and(|arrays| sound(&arrays))
    });
}

#[test]
fn dlibs_own_files_are_damaged_somewhere() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let models = std::env::var_os("FACESEARCH_MODELS").map(PathBuf::from);
    let files = models.map(|models| {
        [
            models.join("dlib_face_recognition_resnet_model_v1.dat"),
            models.join("shape_predictor_5_face_landmarks.dat"),
        ]
    });
    let Some([network, predictor]) = files.filter(|[a, b]| a.exists() && b.exists()) else {
        println!("skipped: FACESEARCH_MODELS names no folder with dlib's files");
        return;
    };
    let file = std::fs::read(network).expect("checked above");
    let case = Case { name: "dlib's network", file: &file, beside: 0, slack: SLACK };
    case.check(somewhere(&file, 50), |bytes| DlibResNet::graph(bytes).is_ok());
    let file = std::fs::read(predictor).expect("checked above");
    let case = Case { name: "dlib's predictor", file: &file, beside: 0, slack: SLACK };
    case.check(somewhere(&file, 50), |bytes| ShapePredictor5::from_bytes(bytes).is_ok());
}
