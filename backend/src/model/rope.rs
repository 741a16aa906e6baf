//! Rotary positions: the angle of every pair of a head's dimensions at every position.

use std::f64::consts::TAU;

use candle_core::{DType, Device, Result, Tensor};
use serde::Deserialize;
use serde_json::Value;

use super::error::LoadError;

/// What transformers takes where config.json names no base.
const DEFAULT_THETA: f64 = 10_000.0;

/// `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5) as it stands in the file.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct RopeScaling {
    #[serde(alias = "type")]
    rope_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<Value>,
}

impl RopeScaling {
    fn kind(&self, context_length: usize, file: &str) -> std::result::Result<RopeKind, LoadError> {
        let need = |value: Option<f64>, name: &str| {
            value.filter(|value| *value > 0.0).ok_or_else(|| LoadError::Malformed {
                file: file.to_owned(),
                problem: format!("the rope settings lack a positive {name}"),
            })
        };
        match self.rope_type.as_deref() {
            None | Some("default") => Ok(RopeKind::Default),
            Some("linear") => Ok(RopeKind::Linear { factor: need(self.factor, "factor")? }),
            Some("llama3") => Ok(RopeKind::Llama3 {
                factor: need(self.factor, "factor")?,
                low_freq_factor: need(self.low_freq_factor, "low_freq_factor")?,
                high_freq_factor: need(self.high_freq_factor, "high_freq_factor")?,
                original_context: self.original_max_position_embeddings.unwrap_or(context_length) as f64,
            }),
            Some(other) => Err(refuse(file, "rope_type", other.to_owned(), "default, linear, llama3")),
        }
    }
}

/// How positions turn into angles.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeConfig {
    /// Base of the geometric row of frequencies.
    pub theta: f64,
    /// What is done to the frequencies for longer contexts.
    pub kind: RopeKind,
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
    pub(crate) fn new(
        theta: Option<f64>,
        section: Option<RopeScaling>,
        context_length: usize,
        file: &str,
    ) -> std::result::Result<Self, LoadError> {
        let Some(section) = section else {
            return Ok(Self { theta: theta.unwrap_or(DEFAULT_THETA), kind: RopeKind::Default });
        };
        let theta = section.rope_theta.or(theta).unwrap_or(DEFAULT_THETA);
        if let Some(partial) =
            section.partial_rotary_factor.as_ref().filter(|value| value.as_f64() != Some(1.0))
        {
            return Err(refuse(file, "partial_rotary_factor", partial.to_string(), "1.0"));
        }
        let kind = section.kind(context_length, file)?;
        Ok(Self { theta, kind })
    }

    /// One frequency (radians per position) for each pair of a head's dimensions.
    fn frequencies(&self, head_dim: usize) -> Vec<f32> {
        (0..head_dim)
            .step_by(2)
            .map(|i| self.scale(self.theta.powf(-(i as f64) / head_dim as f64)) as f32)
            .collect()
    }

    fn scale(&self, frequency: f64) -> f64 {
        match self.kind {
            RopeKind::Default => frequency,
            RopeKind::Linear { factor } => frequency / factor,
            RopeKind::Llama3 { factor, low_freq_factor, high_freq_factor, original_context } => {
                let turns = original_context * frequency / TAU;
                let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let kept = kept.clamp(0.0, 1.0);
                kept * frequency + (1.0 - kept) * frequency / factor
            }
        }
    }
}

fn refuse(file: &str, setting: &str, found: String, supported: &str) -> LoadError {
    LoadError::Unsupported {
        file: file.to_owned(),
        setting: setting.to_owned(),
        found,
        supported: format!("supported: {supported}"),
    }
}

/// Makes the sines and cosines of a step's positions. Not a table over the whole context: that would be 64 MB
/// for a context of 128 k, and a step needs only as many rows as it has tokens.
#[derive(Debug)]
pub(crate) struct Rope {
    frequencies: Vec<f32>,
}

impl Rope {
    pub(crate) fn new(config: &RopeConfig, head_dim: usize) -> Self {
        Self { frequencies: config.frequencies(head_dim) }
    }

    /// Cosines and sines, each `[positions, head_dim / 2]`.
    pub(crate) fn angles(
        &self,
        positions: &[u32],
        dtype: DType,
        device: &Device,
    ) -> Result<(Tensor, Tensor)> {
        let angles = || positions.iter().flat_map(|p| self.frequencies.iter().map(move |f| *p as f32 * f));
        let shape = (positions.len(), self.frequencies.len());
        let cosines: Vec<f32> = angles().map(f32::cos).collect();
        let sines: Vec<f32> = angles().map(f32::sin).collect();
        let cosines = Tensor::from_vec(cosines, shape, device)?.to_dtype(dtype)?;
        let sines = Tensor::from_vec(sines, shape, device)?.to_dtype(dtype)?;
        Ok((cosines, sines))
    }
}
