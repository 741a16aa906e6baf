//! generation_config.json: which tokens end an answer, and the sampling that a model proposes.

use serde::Deserialize;

use super::config::TokenIds;
use super::error::LoadError;
use super::files::ModelFiles;

const FILE: &str = "generation_config.json";

/// Sampling that a model proposes (generation_config.json); `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SamplingDefaults {
    /// 0 where the file says `do_sample: false`.
    pub temperature: Option<f32>,
    /// Nucleus of the most likely tokens.
    pub top_p: Option<f32>,
    /// Most likely tokens to sample from; 0 for all.
    pub top_k: Option<u32>,
    /// Least share of the likeliest token's probability.
    pub min_p: Option<f32>,
    /// Penalty for what stands in the text already; 1 for none.
    pub repetition_penalty: Option<f32>,
}

/// The file as it stands; all of it is optional, and so is the file.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct GenerationConfig {
    bos_token_id: Option<TokenIds>,
    eos_token_id: Option<TokenIds>,
    do_sample: Option<bool>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    top_k: Option<u32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

impl GenerationConfig {
    pub(crate) fn read(files: &ModelFiles) -> Result<Self, LoadError> {
        let Some(bytes) = files.read(FILE)? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes)
            .map_err(|error| LoadError::Malformed { file: files.name(FILE), problem: error.to_string() })
    }

    pub(crate) fn sampling(&self) -> SamplingDefaults {
        let greedy = self.do_sample == Some(false);
        SamplingDefaults {
            temperature: if greedy { Some(0.0) } else { self.temperature },
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            repetition_penalty: self.repetition_penalty,
        }
    }

    pub(crate) fn bos_token_id(&self) -> Option<u32> {
        self.bos_token_id.clone().and_then(|ids| ids.into_vec().first().copied())
    }

    pub(crate) fn eos_token_ids(&self) -> Option<Vec<u32>> {
        self.eos_token_id.clone().map(TokenIds::into_vec)
    }
}
