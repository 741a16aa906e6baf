//! tokenizer.json, and what tokenizer_config.json adds to it: the texts of special tokens and the chat template.

use serde::Deserialize;
use tokenizers::Tokenizer;

use super::error::LoadError;
use super::files::ModelFiles;
use crate::chat_template::ChatTemplate;

pub(crate) const TOKENIZER: &str = "tokenizer.json";
const CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";

#[derive(Debug, Default, Deserialize)]
struct TokenizerConfig {
    bos_token: Option<SpecialToken>,
    eos_token: Option<SpecialToken>,
    chat_template: Option<Templates>,
}

/// A special token is written as its text, or as an object that holds it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum SpecialToken {
    Text(String),
    Object { content: String },
}

impl SpecialToken {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) | Self::Object { content: text } => text,
        }
    }
}

/// One template, or several by name of which `default` is the chat's.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Templates {
    One(String),
    Named(Vec<NamedTemplate>),
}

#[derive(Debug, Deserialize)]
struct NamedTemplate {
    name: String,
    template: String,
}

impl Templates {
    fn into_default(self) -> Option<String> {
        match self {
            Self::One(template) => Some(template),
            Self::Named(several) => several.into_iter().find(|t| t.name == "default").map(|t| t.template),
        }
    }
}

/// The tokens that begin and end a text, by config.json.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpecialIds {
    pub(crate) bos: Option<u32>,
    pub(crate) eos: Option<u32>,
}

/// Reads the tokenizer and checks that the model has a row for each of its tokens.
pub(crate) fn load_tokenizer(files: &ModelFiles, vocab_size: usize) -> Result<Tokenizer, LoadError> {
    let file = files.name(TOKENIZER);
    let bytes = files.require(TOKENIZER, "turns text into tokens")?;
    let mut tokenizer = Tokenizer::from_bytes(&bytes)
        .map_err(|error| LoadError::Malformed { file: file.clone(), problem: error.to_string() })?;
    let vocabulary = tokenizer.get_vocab(true);
    if let Some((token, id)) = vocabulary.iter().max_by_key(|(_, id)| **id)
        && *id as usize >= vocab_size
    {
        let problem =
            format!("token {token:?} has id {id}, but the model's vocabulary (vocab_size) is {vocab_size}");
        return Err(LoadError::Malformed { file, problem });
    }
    // The file may carry the settings of a training run; a prompt is never cut or filled up.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| LoadError::Malformed { file, problem: error.to_string() })?;
    Ok(tokenizer)
}

/// The model's chat template: its own file comes before tokenizer_config.json, as in transformers, and both before
/// the one `within` the file of the weights.
pub(crate) fn load_chat_template(
    files: &ModelFiles,
    within: Option<&str>,
    ids: SpecialIds,
    tokenizer: &Tokenizer,
) -> Result<Option<ChatTemplate>, LoadError> {
    let settings: TokenizerConfig = match files.read(CONFIG)? {
        Some(bytes) => serde_json::from_slice(&bytes)
            .map_err(|error| LoadError::Malformed { file: files.name(CONFIG), problem: error.to_string() })?,
        None => TokenizerConfig::default(),
    };
    let (file, source) = match files.read(TEMPLATE)? {
        Some(bytes) => (TEMPLATE, Some(String::from_utf8_lossy(&bytes).into_owned())),
        None => (CONFIG, settings.chat_template.and_then(Templates::into_default)),
    };
    let Some(source) = source.or(within.map(str::to_owned)) else { return Ok(None) };
    let text_of = |written: Option<SpecialToken>, id: Option<u32>| {
        written.map(SpecialToken::into_text).or_else(|| tokenizer.id_to_token(id?))
    };
    let bos = text_of(settings.bos_token, ids.bos);
    let eos = text_of(settings.eos_token, ids.eos);
    ChatTemplate::new(&source, bos.as_deref(), eos.as_deref())
        .map(Some)
        .map_err(|error| LoadError::Malformed { file: files.name(file), problem: error.to_string() })
}
