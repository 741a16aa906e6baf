//! `x · Wᵀ` for weights in Q8_0, that is 8 bits and an f16 scale for each 32 inputs, with `x` rounded to the same form on its way in.
//!
//! The weights are laid out anew at load, in panels of 16 outputs: four inputs of each output are one vector of 64 bytes, which
//! one instruction (AVX-512 VNNI) multiplies with four of `x` and adds up. Every output is one sum over blocks of inputs in their
//! order, so that a sequence's bits do not depend on who shares its batch; sums within a block are integers, hence exact.
//!
//! The form is ggml's (`block_q8_0`); numbers are kept with 128 added, since the instruction wants its left side unsigned, and
//! 128 times the block's sum of `x` is taken off again.

mod rounding;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, bail};
use half::f16;

use super::share::{Strip, share_columns, share_pieces};
use super::{PARALLEL_FROM, contiguous};
use rounding::{Rounded, Tiled};

/// Inputs that share a scale.
const BLOCK: usize = 32;
/// Bytes of a block in a file: the scale, then the numbers.
const BLOCK_BYTES: usize = 2 + BLOCK;
/// Outputs of a panel.
const PANEL: usize = 16;
/// Most rows of `x` that meet a panel at a time.
const TILE: usize = 8;
/// Bytes of weights that shall stay in the cache while all rows of `x` pass.
const CACHED: usize = 1 << 18;

/// A block of each of a panel's outputs: `[four inputs][output][input of the four]`, plus 128.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
struct Block([[u8; 4 * PANEL]; BLOCK / 4]);

/// A matrix `[outputs, inputs]`.
#[derive(Debug)]
pub(crate) struct Q8_0 {
    /// `[panels, inputs / BLOCK]`.
    blocks: Vec<Block>,
    /// The blocks' scales.
    scales: Vec<[f16; PANEL]>,
    outputs: usize,
    inputs: usize,
    kernel: Kernel,
}

/// What multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Kernel {
    /// The best that this CPU has; none where candle's own kernels are to be used.
    pub(crate) fn best() -> Option<Self> {
        Self::all().into_iter().next()
    }

    /// All that this CPU has, the best first.
    fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        return [Self::Avx512Vnni, Self::Avx2].into_iter().filter(|kernel| kernel.is_here()).collect();
        #[cfg(not(target_arch = "x86_64"))]
        return Vec::new();
    }
}

impl Q8_0 {
    /// Lays out `bytes`, the blocks of a matrix of so many inputs row by row, as they are in a GGUF file.
    pub(crate) fn new(bytes: &[u8], inputs: usize, kernel: Kernel) -> Result<Self> {
        let row_bytes = inputs / BLOCK * BLOCK_BYTES;
        if row_bytes == 0 || !inputs.is_multiple_of(BLOCK) || !bytes.len().is_multiple_of(row_bytes) {
            bail!("{} bytes are no blocks of {inputs} inputs", bytes.len());
        }
        let outputs = bytes.len() / row_bytes;
        let per_panel = inputs / BLOCK;
        let count = outputs.div_ceil(PANEL) * per_panel;
        let mut blocks = vec![Block([[128; 4 * PANEL]; BLOCK / 4]); count];
        let mut scales = vec![[f16::ZERO; PANEL]; count];
        for (output, row) in bytes.chunks_exact(row_bytes).enumerate() {
            let panel = output / PANEL * per_panel..(output / PANEL + 1) * per_panel;
            let places = blocks[panel.clone()].iter_mut().zip(&mut scales[panel]);
            for ((block, scales), from) in places.zip(row.chunks_exact(BLOCK_BYTES)) {
                scales[output % PANEL] = f16::from_le_bytes([from[0], from[1]]);
                for (quad, from) in block.0.iter_mut().zip(from[2..].chunks_exact(4)) {
                    let to = &mut quad[output % PANEL * 4..][..4];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = from ^ 128);
                }
            }
        }
        Ok(Self { blocks, scales, outputs, inputs, kernel })
    }

    /// Outputs and inputs.
    pub(crate) fn dims(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    /// The matrix's rows of these numbers, one after the other; all of them must be below the number of outputs.
    pub(crate) fn rows(&self, numbers: &[u32]) -> Vec<f32> {
        let per_panel = self.inputs / BLOCK;
        let mut rows = vec![0f32; numbers.len() * self.inputs];
        let parallel = rows.len() >= PARALLEL_FROM;
        share_pieces(&mut rows, self.inputs, parallel, |index, row| {
            let (panel, output) = (numbers[index] as usize / PANEL, numbers[index] as usize % PANEL);
            for (number, to) in row.chunks_exact_mut(BLOCK).enumerate() {
                let at = panel * per_panel + number;
                let scale = self.scales[at][output].to_f32();
                for (quad, to) in self.blocks[at].0.iter().zip(to.chunks_exact_mut(4)) {
                    let from = &quad[output * 4..][..4];
                    to.iter_mut()
                        .zip(from)
                        .for_each(|(to, from)| *to = scale * f32::from((from ^ 128) as i8));
                }
            }
        });
        rows
    }

    /// `x [rows, inputs]` to `[rows, outputs]`.
    fn product(&self, x: &[f32]) -> Vec<f32> {
        let rows = x.len() / self.inputs;
        let mut out = vec![0f32; rows * self.outputs];
        let parallel = rows * self.inputs * self.outputs >= PARALLEL_FROM;
        let x = Tiled::new(x, self.inputs, parallel);
        share_columns(&mut out, self.outputs, PANEL, parallel, |panels, strip| self.strip(&x, panels, strip));
        out
    }

    /// Some panels with all rows of `x`.
    fn strip(&self, x: &Tiled, mut panels: Range<usize>, strip: &Strip<'_>) {
        let at_once = (CACHED / (PANEL * self.inputs)).max(1);
        while !panels.is_empty() {
            let some = panels.start..panels.end.min(panels.start + at_once);
            panels.start = some.end;
            for tile in 0..x.count() {
                for panel in some.clone() {
                    self.tile(x, panel, tile, strip);
                }
            }
        }
    }

    fn tile(&self, x: &Tiled, panel: usize, tile: usize, strip: &Strip<'_>) {
        let per_panel = self.inputs / BLOCK;
        let blocks = panel * per_panel..(panel + 1) * per_panel;
        let weights = Weights { blocks: &self.blocks[blocks.clone()], scales: &self.scales[blocks] };
        let mut sums = [[0f32; PANEL]; TILE];
        let rows = x.tile(tile);
        let height = rows.len() / per_panel;
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512Vnni => x86::avx512_vnni(weights, rows, &mut sums[..height]),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86::avx2(weights, rows, &mut sums[..height]),
        }
        for (row, sums) in sums[..height].iter().enumerate() {
            strip.put(tile * x.height + row, panel * PANEL, sums);
        }
    }
}

impl CustomOp1 for &Q8_0 {
    fn name(&self) -> &'static str {
        "q8_0"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, inputs) = layout.shape().dims2()?;
        if inputs != self.inputs {
            bail!("{rows} x {inputs} with {} x {}", self.outputs, self.inputs);
        }
        let product = self.product(contiguous(x, layout)?);
        Ok((CpuStorage::F32(product), Shape::from((rows, self.outputs))))
    }
}

/// A panel.
#[derive(Clone, Copy)]
struct Weights<'a> {
    blocks: &'a [Block],
    scales: &'a [[f16; PANEL]],
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::{Kernel, Q8_0};

    fn random(rows: usize, inputs: usize) -> Tensor {
        Tensor::randn(0f32, 1.0, (rows, inputs), &Device::Cpu).unwrap()
    }

    fn values(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Rows, inputs and outputs beside every border: tiles, panels, and from one thread to several.
    const SIZES: [(usize, usize, usize); 7] =
        [(1, 32, 1), (1, 512, 600), (3, 96, 17), (8, 224, 48), (9, 256, 16), (50, 896, 70), (33, 9600, 40)];

    fn each(check: impl Fn(&Tensor, &QTensor, &Q8_0, &str)) {
        let kernels = Kernel::all();
        assert!(cfg!(not(target_arch = "x86_64")) || !kernels.is_empty(), "no kernel for this CPU");
        for (kernel, (rows, inputs, outputs)) in
            kernels.into_iter().flat_map(|kernel| SIZES.map(|size| (kernel, size)))
        {
            let matrix = QTensor::quantize(&random(outputs, inputs), GgmlDType::Q8_0).unwrap();
            let ours = Q8_0::new(&matrix.data().unwrap(), inputs, kernel).unwrap();
            assert_eq!(ours.dims(), (outputs, inputs));
            check(
                &random(rows, inputs),
                &matrix,
                &ours,
                &format!("{kernel:?} {rows} x {inputs} x {outputs}"),
            );
        }
    }

    /// `x` is rounded to 8 bits, each number by half a step of 1/127 of the largest in its block at most.
    #[test]
    fn the_product_is_that_of_the_numbers_but_for_the_rounding_of_x() {
        each(|x, matrix, ours, name| {
            let exact = x.matmul(&matrix.dequantize(&Device::Cpu).unwrap().t().unwrap()).unwrap();
            let root = (x.dim(1).unwrap() as f32).sqrt();
            for (ours, exact) in ours.product(&values(x)).iter().zip(values(&exact)) {
                assert!((ours - exact).abs() < 0.05 * root, "{name}: {ours} for {exact}");
            }
        });
    }

    #[test]
    fn what_needs_no_rounding_is_exact_but_for_the_order_of_sums() {
        each(|x, matrix, ours, name| {
            // 127 in every block makes the scale 1.
            let whole: Vec<f32> = values(x)
                .iter()
                .enumerate()
                .map(|(at, x)| if at % 32 == 5 { 127.0 } else { (x * 30.0).round().clamp(-120.0, 120.0) })
                .collect();
            let x = Tensor::from_vec(whole.clone(), x.dims(), &Device::Cpu).unwrap();
            let exact = x.matmul(&matrix.dequantize(&Device::Cpu).unwrap().t().unwrap()).unwrap();
            for (ours, exact) in ours.product(&whole).iter().zip(values(&exact)) {
                assert!(
                    (ours - exact).abs() < 4e-3 * (x.dim(1).unwrap() as f32).sqrt(),
                    "{name}: {ours} for {exact}"
                );
            }
        });
    }

    #[test]
    fn a_row_gives_the_same_bits_alone_and_among_others() {
        each(|x, _, ours, name| {
            let x = values(x);
            let alone: Vec<f32> = x.chunks(ours.inputs).flat_map(|row| ours.product(row)).collect();
            assert_eq!(ours.product(&x), alone, "{name}");
        });
    }

    #[test]
    fn rows_are_those_of_the_matrix() {
        each(|_, matrix, ours, name| {
            let all: Vec<u32> = (0..ours.outputs as u32).rev().collect();
            let plain = values(&matrix.dequantize(&Device::Cpu).unwrap());
            let turned: Vec<f32> = plain.chunks(ours.inputs).rev().flatten().copied().collect();
            assert_eq!(ours.rows(&all), turned, "{name}");
        });
    }

    #[test]
    fn what_is_no_matrix_of_blocks_is_refused() {
        for (bytes, inputs) in [(34, 33), (35, 32), (34, 64), (0, 0)] {
            let kernel = Kernel::best().unwrap_or_else(|| panic!("no kernel for this CPU"));
            assert!(Q8_0::new(&vec![0; bytes], inputs, kernel).is_err(), "{bytes} bytes of {inputs} inputs");
        }
    }
}
