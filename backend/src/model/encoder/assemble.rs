//! From named weights to an encoder: the names of each family, and the shapes that config.json calls for.

use super::Encoder;
use super::config::{EncoderConfig, Family};
use super::layer::{Layer, LayerNorm};
use crate::model::error::LoadError;
use crate::model::intake::Intake;
use crate::model::quantize::Role;

/// What the weights of a layer are called behind the layer's own name.
struct Names {
    layers: &'static str,
    qkv: [&'static str; 3],
    attention_output: &'static str,
    attention_norm: &'static str,
    up: &'static str,
    down: &'static str,
    output_norm: &'static str,
}

const BERT: Names = Names {
    layers: "encoder.layer",
    qkv: ["attention.self.query", "attention.self.key", "attention.self.value"],
    attention_output: "attention.output.dense",
    attention_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    output_norm: "output.LayerNorm",
};

const DISTILBERT: Names = Names {
    layers: "transformer.layer",
    qkv: ["attention.q_lin", "attention.k_lin", "attention.v_lin"],
    attention_output: "attention.out_lin",
    attention_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    output_norm: "output_layer_norm",
};

/// What a checkpoint of the encoder within its training model puts in front of every name.
const PREFIXES: [&str; 4] = ["", "bert.", "roberta.", "distilbert."];
const WORDS: &str = "embeddings.word_embeddings.weight";

/// Takes every weight of an encoder. `has` says which names the files hold.
///
/// # Errors
/// Names the tensor that is missing or has another shape than config.json calls for.
pub(crate) fn encoder(
    intake: &mut Intake<'_>,
    config: &EncoderConfig,
    has: impl Fn(&str) -> bool,
) -> Result<Encoder, LoadError> {
    let prefix = PREFIXES.into_iter().find(|prefix| has(&format!("{prefix}{WORDS}"))).unwrap_or_default();
    let old = has(&format!("{prefix}embeddings.LayerNorm.gamma"));
    let names = if config.family == Family::DistilBert { &DISTILBERT } else { &BERT };
    let mut assembler = Assembler { intake, config, names, norm: if old { OLD } else { NEW } };
    assembler.encoder(prefix)
}

/// What weight and bias of a norm are called.
type NormNames = (&'static str, &'static str);
const NEW: NormNames = ("weight", "bias");
/// In the first checkpoints.
const OLD: NormNames = ("gamma", "beta");

struct Assembler<'a, 'w> {
    intake: &'a mut Intake<'w>,
    config: &'a EncoderConfig,
    names: &'static Names,
    norm: NormNames,
}

impl Assembler<'_, '_> {
    fn encoder(&mut self, prefix: &str) -> Result<Encoder, LoadError> {
        let (config, hidden) = (self.config, self.config.hidden_size);
        let name = |part: &str| format!("{prefix}embeddings.{part}");
        let words =
            self.intake.matrix(&format!("{prefix}{WORDS}"), [config.vocab_size, hidden], Role::Table)?;
        let positions = self.intake.table(&name("position_embeddings.weight"), [config.positions, hidden])?;
        let kind = match config.kinds {
            0 => None,
            kinds => {
                let file_name = name("token_type_embeddings.weight");
                let first = self.intake.table(&file_name, [kinds, hidden])?.narrow(0, 0, 1);
                Some(first.map_err(|source| LoadError::Compute { what: file_name, source })?)
            }
        };
        let layer = |index| format!("{prefix}{}.{index}", self.names.layers);
        let layers: Vec<_> = (0..config.layers).map(layer).collect();
        Ok(Encoder {
            words,
            positions,
            kind,
            norm: self.norm(&name("LayerNorm"))?,
            layers: layers.iter().map(|layer| self.layer(layer)).collect::<Result<_, _>>()?,
            dtype: self.intake.to.dtype,
            device: self.intake.to.device.clone(),
            config: config.clone(),
        })
    }

    fn layer(&mut self, prefix: &str) -> Result<Layer, LoadError> {
        let (names, hidden, inner) = (self.names, self.config.hidden_size, self.config.intermediate_size);
        let qkv = names.qkv.map(|name| (name, hidden));
        Ok(Layer {
            qkv: self.intake.linear(prefix, &qkv, hidden, true)?,
            attention_output: self.intake.linear(
                prefix,
                &[(names.attention_output, hidden)],
                hidden,
                true,
            )?,
            attention_norm: self.norm(&format!("{prefix}.{}", names.attention_norm))?,
            up: self.intake.linear(prefix, &[(names.up, inner)], hidden, true)?,
            down: self.intake.linear(prefix, &[(names.down, hidden)], inner, true)?,
            output_norm: self.norm(&format!("{prefix}.{}", names.output_norm))?,
        })
    }

    fn norm(&mut self, name: &str) -> Result<LayerNorm, LoadError> {
        let (width, (weight, bias)) = (self.config.hidden_size, self.norm);
        Ok(LayerNorm {
            weight: self.intake.vector(&format!("{name}.{weight}"), width)?,
            bias: self.intake.vector(&format!("{name}.{bias}"), width)?,
            eps: self.config.eps,
        })
    }
}
