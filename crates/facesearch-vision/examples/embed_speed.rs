//! How many chips a second a network embeds, by batch and threads.
//!
//! Run: `cargo run --release -p facesearch-vision --example embed_speed -- MODEL.dat [BATCH]`, with
//! dlib's face network, on an idle machine; one batch size on one thread is what a profile wants.
//! `models/reference/onnxruntime_speed.py` measures the peers on the same weights. Neither decoding
//! nor detection nor alignment is measured here.
#![expect(clippy::print_stdout, reason = "an example prints its results")]

use std::time::{Duration, Instant};

use candle_core::Device;
use facesearch_core::{Chip, Embedder};
use facesearch_vision::DlibResNet;

/// Each figure is the best of the windows that fit into this time.
const WINDOW: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("say where dlib's network is")?;
    let bytes = std::fs::read(path)?;
    let start = Instant::now();
    let network = DlibResNet::from_bytes(&bytes, &Device::Cpu)?;
    let loaded = start.elapsed();
    let chips: Vec<Chip> = (0..64).map(chip).collect();
    network.embed(&chips[..1])?;
    println!("load {loaded:.1?}, to the first embedding {:.1?}", start.elapsed());
    let only = std::env::args().nth(2).map(|batch| batch.parse()).transpose()?;
    let batches: Vec<usize> = only.map_or(vec![1, 4, 8, 32, 64], |batch| vec![batch]);
    for threads in 1..=if only.is_some() { 1 } else { 2 } {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        for &batch in &batches {
            let once = || pool.install(|| network.embed(&chips[..batch]));
            once()?;
            let (begin, mut best) = (Instant::now(), Duration::MAX);
            while begin.elapsed() < WINDOW {
                let start = Instant::now();
                once()?;
                best = best.min(start.elapsed());
            }
            let rate = batch as f64 / best.as_secs_f64();
            println!("{threads} threads, batch {batch:2}: {rate:6.1} faces/s, {best:.2?} a batch");
        }
    }
    Ok(())
}

/// A chip of noise: the arithmetic does not depend on what it shows.
fn chip(seed: u32) -> Chip {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let rgb = (0..150 * 150 * 3)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    Chip::new(150, 150, rgb)
}
