//! dlib's network on the first CUDA device against the same network on the CPU.
//!
//! Run where there is a card: `FACESEARCH_MODELS=... cargo nextest run -p facesearch-vision
//! --features cuda --run-ignored all cuda_parity`.

use candle_core::Device;
use facesearch_core::{Chip, Embedder};
use facesearch_vision::DlibResNet;

/// The arithmetic is the same, the order of additions is not.
const FARTHEST: f32 = 1e-3;

#[test]
#[ignore = "needs a CUDA device and FACESEARCH_MODELS"]
fn embeddings_on_a_card_equal_those_of_the_cpu() {
    let models = std::env::var_os("FACESEARCH_MODELS").expect("FACESEARCH_MODELS is set");
    let device = Device::new_cuda(0).expect("a CUDA device");
    let file = std::path::Path::new(&models).join("dlib_face_recognition_resnet_model_v1.dat");
    let bytes = std::fs::read(file).expect("dlib's network");
    let chips: Vec<Chip> = (0..65u32)
        .map(|seed| {
            let byte = |i: u32| (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 24) as u8;
            Chip::new(150, 150, (0..150 * 150 * 3).map(byte).collect())
        })
        .collect();
    let embed = |device| DlibResNet::from_bytes(&bytes, device).unwrap().embed(&chips).unwrap();
    for (card, cpu) in embed(&device).into_iter().zip(embed(&Device::Cpu)) {
        let (card, cpu) = (card.expect("a vector"), cpu.expect("a vector"));
        assert!(card.distance(&cpu).get() <= FARTHEST);
    }
}
