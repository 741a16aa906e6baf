//! The rotary part of config.json, as transformers 4 and 5 write it.

use serde::Deserialize;

use super::family::Family;
use super::raw::Raw;
use super::{malformed, unsupported};
use crate::model::error::LoadError;
use crate::model::rope::{RopeConfig, RopeKind};

/// What transformers takes where config.json names no base.
const DEFAULT_THETA: f64 = 10_000.0;

/// `rope_parameters` of transformers 5.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum RopeParameters {
    /// One section for each kind of layer (Gemma 3).
    PerKind { full_attention: Section, sliding_attention: Section },
    /// The same for all.
    One(Section),
}

/// `rope_scaling` (transformers 4) or a section of `rope_parameters` as it stands in the file.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Section {
    rope_type: Option<String>,
    /// What `rope_type` was called before; files that were saved again have both.
    #[serde(rename = "type")]
    old_type: Option<String>,
    rope_theta: Option<f64>,
    factor: Option<f64>,
    low_freq_factor: Option<f64>,
    high_freq_factor: Option<f64>,
    original_max_position_embeddings: Option<usize>,
    partial_rotary_factor: Option<f64>,
    short_factor: Option<Vec<f32>>,
    attention_factor: Option<f64>,
}

/// Rotary positions of the layers that see everything, and of those with a window where they differ.
pub(super) fn ropes(
    raw: &Raw,
    family: Family,
    file: &str,
) -> Result<(RopeConfig, Option<RopeConfig>), LoadError> {
    let reader = Reader { raw, family, file };
    let default_theta = raw.rope_theta.unwrap_or(DEFAULT_THETA);
    if family != Family::Gemma3 {
        let section = match &raw.rope_parameters {
            Some(RopeParameters::One(section)) => Some(section),
            Some(RopeParameters::PerKind { .. }) => {
                return Err(unsupported(
                    file,
                    "rope_parameters",
                    "given for each kind of layer",
                    "one section",
                ));
            }
            None => raw.rope_scaling.as_ref(),
        };
        return Ok((reader.rope(section, default_theta)?, None));
    }
    let window_theta = raw.rope_local_base_freq.unwrap_or(DEFAULT_THETA);
    match &raw.rope_parameters {
        Some(RopeParameters::PerKind { full_attention, sliding_attention }) => Ok((
            reader.rope(Some(full_attention), default_theta)?,
            Some(reader.rope(Some(sliding_attention), window_theta)?),
        )),
        Some(RopeParameters::One(_)) => {
            Err(unsupported(file, "rope_parameters", "one section", "a section for each kind of layer"))
        }
        None => Ok((
            reader.rope(raw.rope_scaling.as_ref(), default_theta)?,
            Some(reader.rope(None, window_theta)?),
        )),
    }
}

struct Reader<'a> {
    raw: &'a Raw,
    family: Family,
    file: &'a str,
}

impl Reader<'_> {
    fn rope(&self, section: Option<&Section>, default_theta: f64) -> Result<RopeConfig, LoadError> {
        let none = Section::default();
        let section = section.unwrap_or(&none);
        let theta = section.rope_theta.unwrap_or(default_theta);
        let partial = section.partial_rotary_factor.or(self.raw.partial_rotary_factor).unwrap_or(1.0);
        // Only Phi-3 turns a part of a head in transformers; elsewhere the setting has no one meaning.
        if partial != 1.0 && self.family != Family::Phi3 {
            return Err(unsupported(self.file, "partial_rotary_factor", partial.to_string(), "1.0"));
        }
        if !(0.0..=1.0).contains(&partial) {
            return Err(malformed(self.file, format!("partial_rotary_factor is {partial}")));
        }
        let plain = RopeConfig { theta, kind: RopeKind::Default, partial, amplitude: 1.0, limit: None };
        match section.rope_type.as_deref().or(section.old_type.as_deref()) {
            // `su` is what Phi-3's first files called it.
            Some("longrope" | "su") if self.family == Family::Phi3 => self.long(section, &plain),
            kind => Ok(RopeConfig { kind: self.kind(kind, section)?, ..plain }),
        }
    }

    /// LongRoPE has one set of factors for sequences that fit the original context and another for longer ones, so
    /// that a sequence that grows would have to be computed anew. We stay within the original context.
    fn long(&self, section: &Section, plain: &RopeConfig) -> Result<RopeConfig, LoadError> {
        let raw = self.raw;
        let original = section.original_max_position_embeddings.or(raw.original_max_position_embeddings);
        let original = original.filter(|original| *original > 1);
        let original = original
            .ok_or_else(|| malformed(self.file, "longrope lacks original_max_position_embeddings"))?;
        let head_dim = raw.hidden_size.checked_div(raw.num_attention_heads).unwrap_or(0);
        let pairs = plain.rotary_dim(head_dim) / 2;
        let factors = section.short_factor.clone().filter(|factors| factors.len() == pairs);
        let factors = factors
            .ok_or_else(|| malformed(self.file, format!("longrope needs {pairs} numbers in short_factor")))?;
        let factor = section.factor.unwrap_or(raw.max_position_embeddings as f64 / original as f64);
        let amplitude = (1.0 + factor.max(1.0).ln() / (original as f64).ln()).sqrt();
        let amplitude = section.attention_factor.unwrap_or(amplitude);
        let kind = RopeKind::Factors(factors);
        let RopeConfig { theta, partial, .. } = *plain;
        Ok(RopeConfig { theta, kind, partial, amplitude, limit: Some(original) })
    }

    fn kind(&self, kind: Option<&str>, section: &Section) -> Result<RopeKind, LoadError> {
        let need = |value: Option<f64>, name: &str| {
            let problem = || malformed(self.file, format!("the rope settings lack a positive {name}"));
            value.filter(|value| *value > 0.0).ok_or_else(problem)
        };
        let original = section.original_max_position_embeddings.unwrap_or(self.raw.max_position_embeddings);
        match kind {
            None | Some("default") => Ok(RopeKind::Default),
            Some("linear") => Ok(RopeKind::Linear { factor: need(section.factor, "factor")? }),
            Some("llama3") => Ok(RopeKind::Llama3 {
                factor: need(section.factor, "factor")?,
                low_freq_factor: need(section.low_freq_factor, "low_freq_factor")?,
                high_freq_factor: need(section.high_freq_factor, "high_freq_factor")?,
                original_context: original as f64,
            }),
            Some(other) => Err(unsupported(self.file, "rope_type", other, "default, linear, llama3")),
        }
    }
}
