//! The files of sentence-transformers: which modules stand behind the encoder, and how each is set.
//!
//! A model without `modules.json` is pooled by the mean and not normed, which is what sentence-transformers does with it.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokenizers::normalizers::{Lowercase, Sequence};
use tokenizers::{NormalizerWrapper, Tokenizer};

use super::pooling::Pooling;
use crate::model::error::LoadError;
use crate::model::files::ModelFiles;

const MODULES: &str = "modules.json";
const PROMPTS: &str = "config_sentence_transformers.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// Each architecture once had a file of its own.
const TRANSFORMER: [&str; 6] = [
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
];

/// What stands behind the encoder.
#[derive(Debug)]
pub(super) struct Modules {
    pub(super) pooling: Vec<Pooling>,
    pub(super) dense: Vec<DenseConfig>,
    pub(super) normalize: bool,
    /// Numbers of an embedding.
    pub(super) width: usize,
    /// Tokens that a text may have, where the files say less than the table of positions allows.
    max_tokens: Option<usize>,
    lower_case: bool,
}

/// A linear layer behind the pooling.
#[derive(Debug)]
pub(super) struct DenseConfig {
    /// Its file.
    pub(super) weights: String,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) bias: bool,
    pub(super) activation: Activation,
}

/// What a dense layer's output goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activation {
    Identity,
    Tanh,
}

#[derive(Deserialize)]
struct Module {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

/// 1_Pooling/config.json: either a mode or several by name, or a flag for each.
#[derive(Deserialize)]
struct RawPooling {
    pooling_mode: Option<Modes>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Modes {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct RawDense {
    in_features: usize,
    out_features: usize,
    #[serde(default = "yes")]
    bias: bool,
    activation_function: String,
}

fn yes() -> bool {
    true
}

#[derive(Default, Deserialize)]
struct RawTransformer {
    max_seq_length: Option<usize>,
    #[serde(default)]
    do_lower_case: bool,
    transformer_task: Option<String>,
}

#[derive(Default, Deserialize)]
struct RawTokenizer {
    /// Some files say 1e30 for "no limit".
    model_max_length: Option<f64>,
}

#[derive(Default, Deserialize)]
struct RawPrompts {
    default_prompt_name: Option<String>,
}

impl Modules {
    /// Reads what stands behind an encoder of this width.
    pub(super) fn read(files: &ModelFiles, hidden: usize) -> Result<Self, LoadError> {
        let mut modules = Self {
            pooling: vec![Pooling::Mean],
            dense: Vec::new(),
            normalize: false,
            width: hidden,
            max_tokens: None,
            lower_case: false,
        };
        let tokenizer: RawTokenizer = read(files, TOKENIZER_CONFIG)?.unwrap_or_default();
        modules.max_tokens = tokenizer.model_max_length.map(|length| length as usize);
        let Some(listed) = read::<Vec<Module>>(files, MODULES)? else { return Ok(modules) };
        modules.read_transformer(files)?;
        for module in &listed {
            modules.add(files, module)?;
        }
        refuse_default_prompt(files)?;
        Ok(modules)
    }

    /// Tokens that a text may have, where the table of positions has so many rows.
    pub(super) fn longest(&self, positions: usize) -> usize {
        positions.min(self.max_tokens.unwrap_or(usize::MAX))
    }

    /// The model's tokenizer as its texts reach it.
    pub(super) fn adapt(&self, mut tokenizer: Tokenizer) -> Result<Tokenizer, LoadError> {
        if self.lower_case {
            let before = tokenizer.get_normalizer().cloned();
            let lower = NormalizerWrapper::from(Lowercase);
            let both = Sequence::new(std::iter::once(lower).chain(before).collect());
            let adapted = tokenizer.with_normalizer(Some(NormalizerWrapper::from(both)));
            adapted.map_err(|error| malformed("tokenizer.json".to_owned(), error))?;
        }
        Ok(tokenizer)
    }

    fn read_transformer(&mut self, files: &ModelFiles) -> Result<(), LoadError> {
        for file in TRANSFORMER {
            let Some(settings) = read::<RawTransformer>(files, file)? else { continue };
            if let Some(task) = settings.transformer_task.filter(|task| task != "feature-extraction") {
                return Err(unsupported(files.name(file), "transformer_task", &task, "feature-extraction"));
            }
            self.max_tokens = settings.max_seq_length.or(self.max_tokens);
            self.lower_case = settings.do_lower_case;
            break;
        }
        Ok(())
    }

    fn add(&mut self, files: &ModelFiles, module: &Module) -> Result<(), LoadError> {
        // Versions differ in the path of the class.
        let kind = module.kind.rsplit('.').next().unwrap_or_default();
        let config = format!("{}/config.json", module.path);
        match kind {
            "Transformer" if module.path.is_empty() => Ok(()),
            "Transformer" => {
                let path = &module.path;
                Err(unsupported(
                    files.name(MODULES),
                    "the path of Transformer",
                    path,
                    "the model's own folder",
                ))
            }
            "Pooling" => {
                self.pooling = pooling(files, &config)?;
                self.width *= self.pooling.len();
                Ok(())
            }
            "Dense" => {
                let dense = dense(files, module, &config, self.width)?;
                self.width = dense.outputs;
                self.dense.push(dense);
                Ok(())
            }
            "Normalize" => {
                self.normalize = true;
                Ok(())
            }
            // It does nothing outside training.
            "Dropout" => Ok(()),
            _ => {
                let supported = "Transformer, Pooling, Dense, Normalize";
                Err(unsupported(files.name(MODULES), "a module", &module.kind, supported))
            }
        }
    }
}

fn pooling(files: &ModelFiles, file: &str) -> Result<Vec<Pooling>, LoadError> {
    let raw: RawPooling = require(files, file, "how tokens become one vector")?;
    let named = match raw.pooling_mode {
        None => {
            let set = |flag: &str| raw.rest.get(flag).and_then(Value::as_bool) == Some(true);
            let flagged = Pooling::flagged(set);
            return Ok(if flagged.is_empty() { vec![Pooling::Mean] } else { flagged });
        }
        Some(Modes::One(name)) => vec![name],
        Some(Modes::Several(names)) => names,
    };
    let modes = named.iter().map(|name| {
        let unknown = || unsupported(files.name(file), "pooling_mode", name, &Pooling::names());
        Pooling::named(name).ok_or_else(unknown)
    });
    match modes.collect::<Result<Vec<_>, _>>()? {
        modes if modes.is_empty() => Err(malformed(files.name(file), "pooling_mode is empty")),
        modes => Ok(modes),
    }
}

fn dense(files: &ModelFiles, module: &Module, file: &str, width: usize) -> Result<DenseConfig, LoadError> {
    let raw: RawDense = require(files, file, "the shape of a dense layer")?;
    if raw.in_features != width {
        let problem =
            format!("in_features is {}, but what comes before gives {width} numbers", raw.in_features);
        return Err(malformed(files.name(file), problem));
    }
    let activation = match raw.activation_function.rsplit('.').next() {
        Some("Tanh") => Activation::Tanh,
        Some("Identity") => Activation::Identity,
        _ => {
            let (name, supported) = (&raw.activation_function, "Tanh, Identity");
            return Err(unsupported(files.name(file), "activation_function", name, supported));
        }
    };
    let weights = format!("{}/model.safetensors", module.path);
    let RawDense { in_features: inputs, out_features: outputs, bias, .. } = raw;
    Ok(DenseConfig { weights, inputs, outputs, bias, activation })
}

/// A prompt that goes in front of every text unasked would make another model of this one.
fn refuse_default_prompt(files: &ModelFiles) -> Result<(), LoadError> {
    match read::<RawPrompts>(files, PROMPTS)?.and_then(|raw| raw.default_prompt_name) {
        Some(name) => Err(unsupported(files.name(PROMPTS), "default_prompt_name", &name, "null")),
        None => Ok(()),
    }
}

fn read<T: DeserializeOwned>(files: &ModelFiles, file: &str) -> Result<Option<T>, LoadError> {
    let Some(bytes) = files.read(file)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| malformed(files.name(file), error))
}

fn require<T: DeserializeOwned>(
    files: &ModelFiles,
    file: &str,
    purpose: &'static str,
) -> Result<T, LoadError> {
    read(files, file)?.ok_or_else(|| LoadError::MissingFile { file: files.name(file), purpose })
}

fn malformed(file: String, problem: impl std::fmt::Display) -> LoadError {
    LoadError::Malformed { file, problem: problem.to_string() }
}

fn unsupported(file: String, setting: &str, found: &str, supported: &str) -> LoadError {
    LoadError::Unsupported {
        file,
        setting: setting.to_owned(),
        found: found.to_owned(),
        supported: format!("supported: {supported}"),
    }
}
