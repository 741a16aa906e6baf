//! config.json of an encoder: its shape, and the refusal of every setting that would change the result unseen.

use serde::Deserialize;
use serde_json::Value;

use crate::model::error::LoadError;

/// The architectures that differ in the names of their weights, or in how they count positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Bert,
    Roberta,
    DistilBert,
}

/// `architectures` (each as the encoder alone and as the model that it was trained in), `model_type`, and what they mean.
const FAMILIES: [(&str, &str, &str, Family); 5] = [
    ("BertModel", "BertForMaskedLM", "bert", Family::Bert),
    ("RobertaModel", "RobertaForMaskedLM", "roberta", Family::Roberta),
    ("XLMRobertaModel", "XLMRobertaForMaskedLM", "xlm-roberta", Family::Roberta),
    ("CamembertModel", "CamembertForMaskedLM", "camembert", Family::Roberta),
    ("DistilBertModel", "DistilBertForMaskedLM", "distilbert", Family::DistilBert),
];

/// The shape of an encoder.
#[derive(Clone, Debug)]
pub(crate) struct EncoderConfig {
    /// As the file names it.
    pub(crate) architecture: String,
    pub(super) family: Family,
    /// Rows of the embedding.
    pub(crate) vocab_size: usize,
    /// Width of a token's state.
    pub(crate) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) layers: usize,
    pub(super) heads: usize,
    /// Rows of the table of positions.
    pub(super) positions: usize,
    /// Kinds of text that a pair may consist of; 0 where the architecture has none.
    pub(super) kinds: usize,
    /// RoBERTa counts positions from behind this one, and does not count it.
    pub(super) padding: u32,
    pub(super) eps: f32,
    pub(super) activation: Activation,
    /// The widths that an embedding can be cut to.
    pub(crate) matryoshka: Matryoshka,
}

/// What the feed-forward part goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    /// `x * Φ(x)`.
    Gelu,
    /// The same in its approximation by tanh.
    GeluTanh,
    Relu,
}

/// To which widths embeddings may be cut: a model must be trained for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Matryoshka {
    /// To none.
    No,
    /// To any.
    Any,
    /// To these.
    These(Vec<usize>),
}

/// The file as it stands; DistilBERT has names of its own.
#[derive(Debug, Deserialize)]
struct Raw {
    vocab_size: usize,
    #[serde(alias = "dim")]
    hidden_size: usize,
    #[serde(alias = "hidden_dim")]
    intermediate_size: usize,
    #[serde(alias = "n_layers")]
    num_hidden_layers: usize,
    #[serde(alias = "n_heads")]
    num_attention_heads: usize,
    max_position_embeddings: usize,
    type_vocab_size: Option<usize>,
    pad_token_id: Option<u32>,
    layer_norm_eps: Option<f32>,
    #[serde(alias = "activation")]
    hidden_act: String,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    #[serde(default)]
    add_cross_attention: bool,
    matryoshka_dimensions: Option<Vec<usize>>,
    is_matryoshka: Option<bool>,
}

/// Whether a config.json is an encoder's.
pub(crate) fn is_encoder(config: &Value) -> bool {
    family_of(config).is_some()
}

/// The architectures that make embeddings, for errors.
pub(crate) fn names() -> String {
    FAMILIES.map(|(architecture, ..)| architecture).join(", ")
}

fn family_of(config: &Value) -> Option<(Family, String)> {
    let named = config.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
    let kind = config.get("model_type").and_then(Value::as_str);
    FAMILIES.iter().find_map(|(alone, trained, model_type, family)| match named {
        Some(name) => (name == *alone || name == *trained).then(|| (*family, name.to_owned())),
        None => (kind == Some(*model_type)).then(|| (*family, (*alone).to_owned())),
    })
}

impl EncoderConfig {
    /// Reads config.json; `file` is its name in errors.
    pub(crate) fn parse(value: Value, file: &str) -> Result<Self, LoadError> {
        let (family, architecture) = family_of(&value)
            .ok_or_else(|| malformed(file, format!("no architecture of these: {}", names())))?;
        let raw: Raw = serde_json::from_value(value).map_err(|error| malformed(file, error))?;
        let config = raw.into_config(family, architecture, file)?;
        config.check(file)?;
        Ok(config)
    }

    /// Tokens that a text may have.
    pub(crate) fn max_tokens(&self) -> usize {
        match self.family {
            Family::Roberta => self.positions.saturating_sub(self.padding as usize + 1),
            Family::Bert | Family::DistilBert => self.positions,
        }
    }

    /// The row of the table of positions for each token of a text.
    pub(super) fn positions(&self, text: &[u32]) -> Vec<u32> {
        if self.family != Family::Roberta {
            return (0..text.len() as u32).collect();
        }
        let mut counted = 0;
        let position = |token: &u32| {
            if *token == self.padding {
                return self.padding;
            }
            counted += 1;
            self.padding + counted
        };
        text.iter().map(position).collect()
    }

    fn check(&self, file: &str) -> Result<(), LoadError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.layers),
            ("num_attention_heads", self.heads),
            ("max_position_embeddings less those of padding", self.max_tokens()),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Err(malformed(file, format!("{name} is 0")));
        }
        if !self.hidden_size.is_multiple_of(self.heads) {
            let (hidden, heads) = (self.hidden_size, self.heads);
            let problem = format!("hidden_size {hidden} is no multiple of num_attention_heads {heads}");
            return Err(malformed(file, problem));
        }
        match &self.matryoshka {
            Matryoshka::These(widths) if widths.contains(&0) => {
                Err(malformed(file, "matryoshka_dimensions holds a 0"))
            }
            _ => Ok(()),
        }
    }
}

impl Raw {
    fn into_config(
        self,
        family: Family,
        architecture: String,
        file: &str,
    ) -> Result<EncoderConfig, LoadError> {
        self.refuse_ignored(file)?;
        let matryoshka = match (self.matryoshka_dimensions, self.is_matryoshka) {
            (Some(widths), _) => Matryoshka::These(widths),
            (None, Some(true)) => Matryoshka::Any,
            _ => Matryoshka::No,
        };
        let distil = family == Family::DistilBert;
        Ok(EncoderConfig {
            architecture,
            family,
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            intermediate_size: self.intermediate_size,
            layers: self.num_hidden_layers,
            heads: self.num_attention_heads,
            positions: self.max_position_embeddings,
            kinds: if distil { 0 } else { self.type_vocab_size.unwrap_or(2) },
            padding: self.pad_token_id.unwrap_or(1),
            eps: self.layer_norm_eps.filter(|_| !distil).unwrap_or(1e-12),
            activation: activation(&self.hidden_act, file)?,
            matryoshka,
        })
    }
}

impl Raw {
    /// Refuses what would make another network of it.
    fn refuse_ignored(&self, file: &str) -> Result<(), LoadError> {
        let positions = self.position_embedding_type.as_deref().unwrap_or("absolute");
        if positions != "absolute" {
            return Err(unsupported(file, "position_embedding_type", positions, "absolute"));
        }
        for (setting, on) in
            [("is_decoder", self.is_decoder), ("add_cross_attention", self.add_cross_attention)]
        {
            if on {
                return Err(unsupported(file, setting, "true", "false"));
            }
        }
        Ok(())
    }
}

fn activation(name: &str, file: &str) -> Result<Activation, LoadError> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        "relu" => Ok(Activation::Relu),
        other => Err(unsupported(file, "hidden_act", other, "gelu, gelu_new, gelu_pytorch_tanh, relu")),
    }
}

fn malformed(file: &str, problem: impl std::fmt::Display) -> LoadError {
    LoadError::Malformed { file: file.to_owned(), problem: problem.to_string() }
}

fn unsupported(file: &str, setting: &str, found: &str, supported: &str) -> LoadError {
    LoadError::Unsupported {
        file: file.to_owned(),
        setting: setting.to_owned(),
        found: found.to_owned(),
        supported: format!("supported: {supported}"),
    }
}
