//! GGUF files: one file that holds a model's shape, tokenizer and (mostly quantised) weights.
//!
//! Reading order: [`Gguf`] (the file, mapped, and its metadata), `config` (metadata to a shape,
//! with what `family` adds), `weights`
//! (tensors under Hugging Face's names), `tokenizer` and `sentencepiece` (for files that have no tokenizer.json
//! beside them).

mod config;
mod family;
mod sentencepiece;
mod tokenizer;
mod weights;

use std::io::Cursor;
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};

use super::error::LoadError;
use super::mapped::{self, Mapped};
pub(crate) use config::decoder_config;
pub(crate) use tokenizer::{chat_template, eos_token_ids, tokenizer};
pub(crate) use weights::GgufWeights;

/// A GGUF file, mapped, and what its header says.
pub(crate) struct Gguf {
    /// The file's name in errors.
    file: String,
    bytes: Mapped,
    content: Content,
}

impl Gguf {
    /// Maps the file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let file = path.display().to_string();
        let bytes = mapped::map(path).map_err(|source| LoadError::Read { file: file.clone(), source })?;
        let content = Content::read(&mut Cursor::new(&*bytes)).map_err(|error| LoadError::Malformed {
            file: file.clone(),
            problem: format!("not a GGUF file that can be read: {error}"),
        })?;
        let gguf = Self { file, bytes, content };
        match gguf.count("split.count")? {
            None | Some(0 | 1) => Ok(gguf),
            Some(parts) => Err(gguf.unsupported("split.count", parts, "a model in one file")),
        }
    }

    /// The architecture, such as `llama`.
    pub(crate) fn architecture(&self) -> Result<&str, LoadError> {
        self.text("general.architecture")?.ok_or_else(|| self.missing("general.architecture"))
    }

    fn text(&self, key: &str) -> Result<Option<&str>, LoadError> {
        match self.content.metadata.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.malformed(format!("{key} is no text"))),
        }
    }

    /// A whole number from 0 on, of whatever width.
    fn count(&self, key: &str) -> Result<Option<usize>, LoadError> {
        let Some(value) = self.content.metadata.get(key) else { return Ok(None) };
        let number = match value {
            Value::I8(number) => u64::try_from(*number).ok(),
            Value::I16(number) => u64::try_from(*number).ok(),
            Value::I32(number) => u64::try_from(*number).ok(),
            Value::I64(number) => u64::try_from(*number).ok(),
            Value::Bool(_) => None,
            other => other.to_u64().ok(),
        };
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.malformed(format!("{key} is no whole number")))
    }

    fn float(&self, key: &str) -> Result<Option<f64>, LoadError> {
        match self.content.metadata.get(key) {
            None => Ok(None),
            Some(Value::F32(number)) => Ok(Some(f64::from(*number))),
            Some(Value::F64(number)) => Ok(Some(*number)),
            Some(_) => Err(self.malformed(format!("{key} is no number"))),
        }
    }

    fn flag(&self, key: &str) -> Result<Option<bool>, LoadError> {
        match self.content.metadata.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(self.malformed(format!("{key} is neither true nor false"))),
        }
    }

    fn has_tensor(&self, name: &str) -> bool {
        self.content.tensor_infos.contains_key(name)
    }

    fn missing(&self, key: &str) -> LoadError {
        self.malformed(format!("its metadata lacks {key}"))
    }

    fn malformed(&self, problem: impl std::fmt::Display) -> LoadError {
        LoadError::Malformed { file: self.file.clone(), problem: problem.to_string() }
    }

    fn unsupported(&self, setting: &str, found: impl std::fmt::Display, supported: &str) -> LoadError {
        LoadError::Unsupported {
            file: self.file.clone(),
            setting: setting.to_owned(),
            found: found.to_string(),
            supported: format!("supported: {supported}"),
        }
    }
}
