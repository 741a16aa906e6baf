//! One vector of the states of a text's tokens.
//!
//! Source: sentence-transformers, `Pooling`.

use candle_core::{D, DType, Result, Tensor};

/// How the states become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pooling {
    /// That of the first token.
    Cls,
    /// The largest value at each place.
    Max,
    /// Their mean.
    Mean,
    /// Their sum over the root of their number.
    MeanSqrtLength,
    /// Their mean, the n-th one weighted n times.
    WeightedMean,
    /// That of the last token.
    Last,
}

/// Names in files, and the flags of older ones, in the order in which several are put one behind the other.
const MODES: [(&str, &str, Pooling); 6] = [
    ("cls", "pooling_mode_cls_token", Pooling::Cls),
    ("max", "pooling_mode_max_tokens", Pooling::Max),
    ("mean", "pooling_mode_mean_tokens", Pooling::Mean),
    ("mean_sqrt_len_tokens", "pooling_mode_mean_sqrt_len_tokens", Pooling::MeanSqrtLength),
    ("weightedmean", "pooling_mode_weightedmean_tokens", Pooling::WeightedMean),
    ("lasttoken", "pooling_mode_lasttoken", Pooling::Last),
];

impl Pooling {
    /// The mode of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        MODES.iter().find(|(known, ..)| *known == name).map(|(.., mode)| *mode)
    }

    /// All modes whose flag `is_set`.
    pub(super) fn flagged(is_set: impl Fn(&str) -> bool) -> Vec<Self> {
        MODES.iter().filter(|(_, flag, _)| is_set(flag)).map(|(.., mode)| *mode).collect()
    }

    /// All names, for errors.
    pub(super) fn names() -> String {
        MODES.map(|(name, ..)| name).join(", ")
    }

    /// `states [tokens, hidden]` in f32 to `[hidden]`.
    pub(super) fn pool(self, states: &Tensor) -> Result<Tensor> {
        let tokens = states.dim(0)?;
        match self {
            Self::Cls => states.get(0),
            Self::Last => states.get(tokens - 1),
            Self::Max => states.max(0),
            Self::Mean => states.sum(0)? / tokens as f64,
            Self::MeanSqrtLength => states.sum(0)? / (tokens as f64).sqrt(),
            Self::WeightedMean => {
                let weights =
                    Tensor::arange(1u32, tokens as u32 + 1, states.device())?.to_dtype(DType::F32)?;
                let sum = states.broadcast_mul(&weights.unsqueeze(D::Minus1)?)?.sum(0)?;
                sum / (tokens * (tokens + 1) / 2) as f64
            }
        }
    }
}
