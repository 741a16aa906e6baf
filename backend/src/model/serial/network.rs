//! The architectures of candle-transformers that are served, behind one call.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use candle_transformers::models::{mixtral, olmo2, phi, qwen3_moe};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::Family;

/// A network with its cache. A clone shares the weights.
#[derive(Clone)]
pub(super) enum Network {
    Mixtral(mixtral::Model),
    Qwen3Moe(qwen3_moe::ModelForCausalLM),
    Phi(phi::Model),
    Olmo2(olmo2::Model),
}

/// Why there is no network.
pub(super) enum Refusal {
    /// config.json lacks a setting, or has it in another type.
    Config(serde_json::Error),
    /// A weight is missing or of another shape, or the device failed.
    Weights(candle_core::Error),
}

impl Network {
    /// Builds it from weights by name, as `config` (config.json in the form that candle-transformers reads) says.
    pub(super) fn new(family: Family, config: &Value, weights: VarBuilder<'_>) -> Result<Self, Refusal> {
        let network = match family {
            Family::Mixtral => mixtral::Model::new(&parsed(config)?, weights).map(Self::Mixtral),
            Family::Qwen3Moe => {
                qwen3_moe::ModelForCausalLM::new(&parsed(config)?, weights).map(Self::Qwen3Moe)
            }
            Family::Phi => phi::Model::new(&parsed(config)?, weights).map(Self::Phi),
            Family::Olmo2 => olmo2::Model::new(&parsed(config)?, weights).map(Self::Olmo2),
        };
        network.map_err(Refusal::Weights)
    }

    /// `tokens [1, tokens]`, of which the first is at position `start`, to the logits of the last.
    pub(super) fn forward(&mut self, tokens: &Tensor, start: usize) -> candle_core::Result<Tensor> {
        match self {
            Self::Mixtral(model) => model.forward(tokens, start),
            Self::Qwen3Moe(model) => model.forward(tokens, start),
            // It counts what is in its cache.
            Self::Phi(model) => model.forward(tokens),
            Self::Olmo2(model) => model.forward(tokens, start),
        }
    }
}

fn parsed<T: DeserializeOwned>(config: &Value) -> Result<T, Refusal> {
    T::deserialize(config).map_err(Refusal::Config)
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Mixtral(_) => "Mixtral",
            Self::Qwen3Moe(_) => "Qwen3Moe",
            Self::Phi(_) => "Phi",
            Self::Olmo2(_) => "Olmo2",
        })
    }
}
