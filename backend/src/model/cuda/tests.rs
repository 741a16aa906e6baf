//! The kernels' source, compiled for the CPU and called as a GPU is: against candle's own operations, against transformers'
//! logits, and against the host's sampler. What a GPU would do besides is its matrix instructions, played from their manual.

mod attention;
mod choices;
mod engine;
mod host;
mod models;

use candle_core::{DType, Device, Tensor};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::attention::PARTS_BYTES;
use super::{Kernels, Shape};
use crate::model::attention::Geometry;

/// Kernels for such heads, on the CPU.
pub(crate) fn kernels(geometry: Geometry, dtype: DType, seed: u64) -> Kernels {
    let shape = Shape::of(geometry, dtype).expect("heads that the kernels know");
    Kernels { runner: Box::new(host::Host::new(shape, seed)), shape, parts_bytes: PARTS_BYTES }
}

/// Numbers of a few units, the same for the same generator.
fn numbers(random: &mut StdRng, rows: usize, width: usize, dtype: DType) -> Tensor {
    let numbers: Vec<f32> = (0..rows * width).map(|_| random.random_range(-2.0f32..2.0)).collect();
    Tensor::from_vec(numbers, (rows, width), &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

/// The largest difference; a number that is none is larger than all.
fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let flat = |x: &Tensor| x.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let (a, b) = (flat(a), flat(b));
    assert_eq!(a.len(), b.len());
    let each = a.iter().zip(&b).map(|(a, b)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() });
    each.fold(0.0, f32::max)
}

/// A generator and its seed, which is printed where a test fails.
fn seeded() -> (u64, StdRng) {
    let seed = std::env::var("TIDEGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(rand::random);
    println!("TIDEGATE_SEED={seed}");
    (seed, StdRng::seed_from_u64(seed))
}
