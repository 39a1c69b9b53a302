//! Each kernel against the definition in f64.

use proptest::{collection::vec, prelude::*};

use super::*;

fn definition(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2)).sum()
}

type Kernel = (&'static str, fn(&[f32], &[f32]) -> f32);

/// Every kernel this CPU can run, by name.
fn kernels() -> Vec<Kernel> {
    let mut all: Vec<Kernel> = vec![("portable", portable)];
    #[cfg(target_arch = "x86_64")]
    {
        if kernel_level() >= KernelLevel::Avx2 {
            // SAFETY: AVX2 and FMA are there; the tests pass slices of equal length.
            all.push(("avx2", |a, b| unsafe { avx2::l2_squared(a, b) }));
        }
        if kernel_level() >= KernelLevel::Avx512 {
            // SAFETY: AVX-512 is there; the tests pass slices of equal length.
            all.push(("avx512", |a, b| unsafe { avx512::l2_squared(a, b) }));
        }
    }
    all
}

proptest! {
    #[test]
    fn every_kernel_equals_the_definition(
        pairs in vec((-2.0f32..2.0, -2.0f32..2.0), 0..300),
    ) {
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let want = definition(&a, &b);
        for (name, kernel) in kernels() {
            let got = f64::from(kernel(&a, &b));
            prop_assert!((got - want).abs() <= 1e-5 * want.max(1.0), "{name}: {got}, not {want}");
        }
        let got = squared_distance(&a, &b);
        prop_assert!((got - want).abs() <= 1e-12 * want.max(1.0), "in f64: {got}, not {want}");
        prop_assert_eq!(got.to_bits(), portable_squared_distance(&a, &b).to_bits());
    }

    #[test]
    fn a_vector_is_at_exactly_zero_from_itself(a in vec(-1e3f32..1e3, 0..300)) {
        for (name, kernel) in kernels() {
            prop_assert_eq!(kernel(&a, &a), 0.0, "{}", name);
        }
    }

    #[test]
    fn every_kernel_multiplies_alike(
        dim in 1usize..40,
        numbers in vec(-1f32..1.0, 40 * (LANES + ROWS)),
    ) {
        let (panel, rows) = numbers[..dim * (LANES + ROWS)].split_at(dim * LANES);
        let mut all = vec![[[1.0; LANES]; ROWS]; 2];
        portable_products::<false>(panel, rows, &mut all[0]);
        products(panel, rows, &mut all[1]);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            all.push([[1.0; LANES]; ROWS]);
            // SAFETY: AVX2 and FMA are there.
            unsafe { avx2::products(panel, rows, &mut all[2]) };
        }
        for r in 0..ROWS {
            for lane in 0..LANES {
                let pairs = (0..dim).map(|d| (panel[d * LANES + lane], rows[r * dim + d]));
                let want: f64 = pairs.map(|(p, x)| f64::from(p) * f64::from(x)).sum();
                for got in &all {
                    let off = (f64::from(got[r][lane]) - want).abs();
                    prop_assert!(off <= dim as f64 * f64::from(f32::EPSILON) * dim as f64);
                }
            }
        }
    }
}

#[test]
#[should_panic(expected = "different dimension")]
fn different_lengths_are_a_bug() {
    l2_squared(&[1.0], &[1.0, 2.0]);
}
