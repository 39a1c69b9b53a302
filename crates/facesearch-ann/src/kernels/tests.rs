//! Each kernel this CPU can run against the portable one, to the last bit.

use proptest::{collection::vec, prelude::*};

use super::*;

proptest! {
    #[test]
    fn every_kernel_gives_the_portable_result(
        lines in 1usize..5,
        groups in 0usize..=5 * LINE / GROUP,
        bytes in vec(any::<u8>(), 5 * 5 * LINE),
        probe in vec(-128i16..=383, 10 * LINE),
        nodes in vec(0u32..5, 0..40),
        bound in prop_oneof![Just(u32::MAX - 1), 0u32..12_000_000],
    ) {
        let stride = lines * LINE;
        let shape = Shape::new((groups * GROUP).min(stride), stride).unwrap();
        let codes = Codes::new(&bytes[..5 * stride], shape);
        let probe = &probe[..shape.numbers()];
        let mut want = Vec::new();
        portable::measure(probe, codes, &nodes, bound, &mut want);
        let (a, b) = (codes.get(0), codes.get(4));
        #[cfg(target_arch = "x86_64")]
        {
            let mut got = Vec::new();
            if is_x86_feature_detected!("avx2") {
                // SAFETY: AVX2 was just detected; the lengths are equal multiples of a line.
                unsafe { avx2::measure(probe, codes, &nodes, bound, &mut got) };
                prop_assert_eq!(&got, &want);
                // SAFETY: as above.
                let squared = unsafe { avx2::between(shape, a, b) };
                prop_assert_eq!(squared, portable::between(shape, a, b));
            }
            got.clear();
            if is_x86_feature_detected!("avx512bw") {
                // SAFETY: AVX-512 BW was just detected; lengths as above.
                unsafe { avx512::measure(probe, codes, &nodes, bound, &mut got) };
                prop_assert_eq!(&got, &want);
                // SAFETY: as above.
                let squared = unsafe { avx512::between(shape, a, b) };
                prop_assert_eq!(squared, portable::between(shape, a, b));
            }
        }
        let mut got = Vec::new();
        measure(probe, codes, &nodes, bound, &mut got);
        prop_assert_eq!(got, want);
        prop_assert_eq!(between(shape, a, b), portable::between(shape, a, b));
    }
}

proptest! {
    #[test]
    fn every_kernel_turns_to_the_same_bits(
        numbers in vec(-1e3f32..1e3, 4 * 70),
        parts in vec(-1f32..1.0, 70 * 215),
        dimensions in 1usize..70,
        turned in 1usize..215,
        count in 1usize..4,
    ) {
        let mut vectors = numbers.chunks_exact(dimensions);
        let centre = vectors.next().unwrap();
        let vectors: Vec<&[f32]> = vectors.take(count).collect();
        let basis = &parts[..dimensions * turned];
        // The definition: dimension by dimension.
        let mut want = vec![0.0f32; count * turned];
        for (vector, want) in vectors.iter().zip(want.chunks_exact_mut(turned)) {
            for ((x, c), parts) in vector.iter().zip(centre).zip(basis.chunks_exact(turned)) {
                want.iter_mut().zip(parts).for_each(|(sum, part)| *sum += (x - c) * part);
            }
        }
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
        let want = bits(&want);
        let mut got = vec![1.0; want.len()];
        portable::turn(&vectors, centre, basis, &mut got);
        prop_assert_eq!(&bits(&got), &want);
        got.fill(1.0);
        turn(&vectors, centre, basis, &mut got);
        prop_assert_eq!(&bits(&got), &want);
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            got.fill(1.0);
            // SAFETY: AVX2 was just detected.
            unsafe { avx2::turn(&vectors, centre, basis, &mut got) };
            prop_assert_eq!(&bits(&got), &want);
        }
    }
}

#[test]
fn the_longest_code_does_not_overflow() {
    let code = vec![0u8; MAX_NUMBERS];
    let mut out = Vec::new();
    let shape = Shape::new(MAX_NUMBERS, MAX_NUMBERS).unwrap();
    measure(&vec![383; MAX_NUMBERS], Codes::new(&code, shape), &[0], u32::MAX, &mut out);
    assert_eq!(out, [383 * 383 * MAX_NUMBERS as u32]);
    assert!(out[0] < i32::MAX as u32);
}

#[test]
fn each_number_has_a_place_of_its_own() {
    for (wide, stride) in [(0, 64), (48, 64), (64, 64), (80, 192)] {
        let shape = Shape::new(wide, stride).unwrap();
        assert_eq!(shape.numbers(), wide + 2 * (stride - wide));
        for number in wide..shape.numbers() {
            let mut code = vec![0; stride];
            let (byte, shift) = shape.place(number);
            code[byte] = 15 << shift;
            let mut want = vec![0; shape.numbers()];
            want[number] = 60;
            assert!(shape.decode(&code).eq(want), "{number} of {shape:?}");
        }
    }
    for (wide, stride) in [(8, 64), (80, 64), (64, 96), (0, 0), (0, MAX_NUMBERS)] {
        assert_eq!(Shape::new(wide, stride), None);
    }
}
