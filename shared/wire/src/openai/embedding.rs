//! The request and the answer of `POST /v1/embeddings`.

use super::{Invalid, MAX_EMBEDDING_INPUTS, Prompt, completion::take_prompts, fields::Fields, unsupported};
use serde::{Deserialize, Serialize};

/// A request for embeddings that can be served: every parameter checked for type and range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// Model that is asked for.
    pub model: String,
    /// What is to be embedded; from 1 to [`MAX_EMBEDDING_INPUTS`] texts, none empty.
    pub inputs: Vec<Prompt>,
    /// True where `input` was a list of texts, so that errors can name one of them.
    pub several: bool,
    /// How the numbers are written.
    pub encoding_format: EncodingFormat,
    /// Numbers that each embedding is to have; at least 1.
    pub dimensions: Option<usize>,
}

/// How the numbers of an embedding are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodingFormat {
    /// As JSON numbers.
    Float,
    /// As base64 of 32-bit floats, the lowest byte first.
    Base64,
}

impl EmbeddingRequest {
    /// Reads the body of a request.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let mut fields = Fields::parse(body)?;
        let model = fields.required_text("model")?;
        let inputs = take_prompts(&mut fields, "input")?;
        let encoding_format = take_encoding_format(&mut fields)?;
        let dimensions = fields.integer("dimensions", 1..=i64::from(u32::MAX))?;
        let dimensions = dimensions.and_then(|number| usize::try_from(number).ok());
        // It sets the priority in a router, and does not change the answer.
        fields.text("service_tier")?;
        unsupported::accept_without_effect(&mut fields)?;
        fields.finish()?;
        if inputs.len() > MAX_EMBEDDING_INPUTS {
            let message = format!(
                "Invalid 'input': array too long. Expected an array with maximum length {MAX_EMBEDDING_INPUTS}, but got \
                 an array with length {} instead.",
                inputs.len()
            );
            return Err(Invalid::param("array_above_max_length", "input", message));
        }
        let several = inputs.len() > 1;
        Ok(Self { model, inputs, several, encoding_format, dimensions })
    }
}

fn take_encoding_format(fields: &mut Fields) -> Result<EncodingFormat, Invalid> {
    match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => Ok(EncodingFormat::Float),
        Some("base64") => Ok(EncodingFormat::Base64),
        Some(other) => {
            Err(Invalid::wrong_value(&fields.path("encoding_format"), other, "'float' and 'base64'"))
        }
    }
}

/// The whole answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EmbeddingAnswer {
    /// Always `list`.
    pub object: String,
    /// One for each text, in their order.
    pub data: Vec<Embedding>,
    /// Model that answered.
    pub model: String,
    /// What it cost.
    pub usage: EmbeddingUsage,
}

/// The embedding of one text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Embedding {
    /// Always `embedding`.
    pub object: String,
    /// Which of the texts, from 0.
    pub index: usize,
    /// Its numbers.
    pub embedding: Numbers,
}

/// The numbers of an embedding as they are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Numbers {
    /// As they are.
    Float(Vec<f32>),
    /// As base64 of 32-bit floats, the lowest byte first.
    Base64(String),
}

/// Tokens of all texts of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingUsage {
    /// Tokens read.
    pub prompt_tokens: u64,
    /// The same: nothing is written.
    pub total_tokens: u64,
}

impl EmbeddingAnswer {
    /// The answer of `model` to texts of `tokens` tokens in all.
    pub fn new(model: impl Into<String>, tokens: u64, embeddings: impl IntoIterator<Item = Numbers>) -> Self {
        let embedding = |(index, embedding)| Embedding { object: "embedding".to_owned(), index, embedding };
        Self {
            object: "list".to_owned(),
            data: embeddings.into_iter().enumerate().map(embedding).collect(),
            model: model.into(),
            usage: EmbeddingUsage { prompt_tokens: tokens, total_tokens: tokens },
        }
    }
}
