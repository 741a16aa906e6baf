//! Rotary positions: the angle of every pair of a head's dimensions at every position.

use std::f64::consts::TAU;

use candle_core::{DType, Device, Result, Tensor};

/// How positions turn into angles.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric row of frequencies.
    pub theta: f64,
    /// What is done to the frequencies for longer contexts.
    pub kind: RopeKind,
    /// The share of a head's dimensions that is turned, counted from the first.
    pub partial: f64,
    /// Multiplies sines and cosines.
    pub amplitude: f64,
    /// Positions for which all this holds, where others would need other frequencies.
    pub limit: Option<usize>,
}

/// What is done to the frequencies for longer contexts.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeKind {
    /// Nothing.
    Default,
    /// All divided by a factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Each divided by its own factor, one for each pair: LongRoPE, and how GGUF files write any scaling.
    Factors(Vec<f32>),
    /// Llama 3.1: slow ones divided, fast ones kept, a smooth passage between.
    Llama3 {
        /// The divisor of slow frequencies.
        factor: f64,
        /// Slower than `original_context / low_freq_factor` positions a turn: divided.
        low_freq_factor: f64,
        /// Faster than `original_context / high_freq_factor` positions a turn: kept.
        high_freq_factor: f64,
        /// Context that the model was first trained with.
        original_context: f64,
    },
}

impl RopeConfig {
    /// How many of a head's dimensions are turned.
    pub(crate) fn rotary_dim(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.partial) as usize
    }

    /// One frequency (radians per position) for each pair of the dimensions that are turned.
    fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        let width = self.rotary_dim(head_dim);
        let plain = |pair: usize| self.theta.powf(-((2 * pair) as f64) / width as f64);
        (0..width / 2).map(|pair| self.scale(pair, plain(pair)) as f32).collect()
    }

    fn scale(&self, pair: usize, frequency: f64) -> f64 {
        match &self.kind {
            RopeKind::Default => frequency,
            RopeKind::Linear { factor } => frequency / factor,
            RopeKind::Factors(factors) => frequency / factors.get(pair).copied().map_or(1.0, f64::from),
            &RopeKind::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let turns = original_context * frequency / TAU;
                let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let kept = kept.clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / factor
            }
        }
    }
}

/// How far each token of a step is turned.
#[derive(Debug)]
pub(crate) struct Angles {
    /// `[tokens, rotary_dim / 2]`, and the sines alike.
    pub(crate) cosines: Tensor,
    pub(crate) sines: Tensor,
}

/// Makes the sines and cosines of a step's positions. Not a table over the whole context: that would be 64 MB
/// for a context of 128 k, and a step needs only as many rows as it has tokens.
#[derive(Debug)]
pub(crate) struct Rope {
    frequencies: Vec<f32>,
    amplitude: f32,
}

impl Rope {
    pub(crate) fn new(config: &RopeConfig, head_dim: usize) -> Self {
        Self { frequencies: config.frequencies(head_dim), amplitude: config.amplitude as f32 }
    }

    /// One for each pair of the dimensions that are turned, on a device.
    pub(crate) fn frequencies_on(&self, device: &Device) -> Result<Tensor> {
        Tensor::new(self.frequencies.as_slice(), device)
    }

    /// Multiplies sines and cosines.
    pub(crate) fn amplitude(&self) -> f32 {
        self.amplitude
    }

    /// For each of these positions, cosines and sines, each `[positions, rotary_dim / 2]`.
    pub(crate) fn angles(&self, positions: &[u32], dtype: DType, device: &Device) -> Result<Angles> {
        let angles = || positions.iter().flat_map(|p| self.frequencies.iter().map(move |f| *p as f32 * f));
        let shape = (positions.len(), self.frequencies.len());
        let cosines: Vec<f32> = angles().map(|angle| angle.cos() * self.amplitude).collect();
        let sines: Vec<f32> = angles().map(|angle| angle.sin() * self.amplitude).collect();
        let cosines = Tensor::from_vec(cosines, shape, device)?.to_dtype(dtype)?;
        let sines = Tensor::from_vec(sines, shape, device)?.to_dtype(dtype)?;
        Ok(Angles { cosines, sines })
    }
}
