//! A panel with a tile of `x`, in the instructions of x86.

#![expect(
    unsafe_code,
    reason = "vector loads and stores take pointers, and which instructions there are shows at run time"
)]

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::*;

use super::{Kernel, PANEL, Rounded, Weights};

impl Kernel {
    /// Whether this CPU has the instructions.
    pub(super) fn is_here(self) -> bool {
        match self {
            Self::Avx512Vnni => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vnni")
            }
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
            }
        }
    }
}

/// Calls a kernel with the number of rows, which is that of `sums`, known when it is compiled.
macro_rules! with_rows {
    ($kernel:ident, $weights:expr, $rows:expr, $sums:expr) => {
        match $sums.len() {
            1 => $kernel::<1>($weights, $rows.as_chunks().0, $sums),
            2 => $kernel::<2>($weights, $rows.as_chunks().0, $sums),
            3 => $kernel::<3>($weights, $rows.as_chunks().0, $sums),
            4 => $kernel::<4>($weights, $rows.as_chunks().0, $sums),
            5 => $kernel::<5>($weights, $rows.as_chunks().0, $sums),
            6 => $kernel::<6>($weights, $rows.as_chunks().0, $sums),
            7 => $kernel::<7>($weights, $rows.as_chunks().0, $sums),
            _ => $kernel::<8>($weights, $rows.as_chunks().0, $sums),
        }
    };
}

/// For a matrix whose kernel is [`Kernel::Avx512Vnni`].
pub(super) fn avx512_vnni(weights: Weights<'_>, rows: &[Rounded], sums: &mut [[f32; PANEL]]) {
    // SAFETY: a matrix has this kernel only where `is_here` said that the CPU has the instructions.
    unsafe { with_rows!(avx512_vnni_of, weights, rows, sums) }
}

/// For a matrix whose kernel is [`Kernel::Avx2`].
pub(super) fn avx2(weights: Weights<'_>, rows: &[Rounded], sums: &mut [[f32; PANEL]]) {
    // SAFETY: as above.
    unsafe { with_rows!(avx2_of, weights, rows, sums) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn avx512_vnni_of<const M: usize>(weights: Weights<'_>, x: &[[Rounded; M]], sums: &mut [[f32; PANEL]]) {
    let mut totals = [_mm512_setzero_ps(); M];
    for ((block, scales), x) in weights.blocks.iter().zip(weights.scales).zip(x) {
        let mut whole = [_mm512_setzero_si512(); M];
        for row in 0..M {
            whole[row] = _mm512_set1_epi32(x[row].offset);
        }
        for (number, quad) in block.0.iter().enumerate() {
            // SAFETY: an array of 64 bytes.
            let weights = unsafe { _mm512_loadu_si512(quad.as_ptr().cast()) };
            for row in 0..M {
                let x = _mm512_set1_epi32(x[row].quads[number]);
                whole[row] = _mm512_dpbusd_epi32(whole[row], weights, x);
            }
        }
        // SAFETY: an array of 16 values of 2 bytes.
        let scales = _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(scales.as_ptr().cast()) });
        for row in 0..M {
            let scales = _mm512_mul_ps(scales, _mm512_set1_ps(x[row].scale));
            totals[row] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[row]), scales, totals[row]);
        }
    }
    for (sums, totals) in sums.iter_mut().zip(totals) {
        // SAFETY: an array of 16 values of 4 bytes.
        unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), totals) };
    }
}

/// The same with 8 outputs a vector. There is no product of unsigned with signed bytes here whose pairs cannot overflow, so
/// signs move from the weights to `x`, and nothing has to be taken off.
#[target_feature(enable = "avx2,fma,f16c")]
fn avx2_of<const M: usize>(weights: Weights<'_>, x: &[[Rounded; M]], sums: &mut [[f32; PANEL]]) {
    let (ones, sign) = (_mm256_set1_epi16(1), _mm256_set1_epi8(-128));
    for half in 0..2 {
        let mut totals = [_mm256_setzero_ps(); M];
        for ((block, scales), x) in weights.blocks.iter().zip(weights.scales).zip(x) {
            let mut whole = [_mm256_setzero_si256(); M];
            for (number, quad) in block.0.iter().enumerate() {
                let quad = &quad[half * 32..half * 32 + 32];
                // SAFETY: a slice of 32 bytes.
                let weights = unsafe { _mm256_loadu_si256(quad.as_ptr().cast()) };
                let weights = _mm256_xor_si256(weights, sign);
                let sizes = _mm256_abs_epi8(weights);
                for row in 0..M {
                    let x = _mm256_sign_epi8(_mm256_set1_epi32(x[row].quads[number]), weights);
                    let pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, x), ones);
                    whole[row] = _mm256_add_epi32(whole[row], pairs);
                }
            }
            let scales = &scales[half * 8..half * 8 + 8];
            // SAFETY: a slice of 8 values of 2 bytes.
            let scales = _mm256_cvtph_ps(unsafe { _mm_loadu_si128(scales.as_ptr().cast()) });
            for row in 0..M {
                let scales = _mm256_mul_ps(scales, _mm256_set1_ps(x[row].scale));
                totals[row] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(whole[row]), scales, totals[row]);
            }
        }
        for (sums, totals) in sums.iter_mut().zip(totals) {
            let sums = &mut sums[half * 8..half * 8 + 8];
            // SAFETY: a slice of 8 values of 4 bytes.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), totals) };
        }
    }
}
