//! `POST /v1/embeddings`.

use super::{
    answer::{engine_failed, timeout},
    call::Call,
    prompt::{encode, tokens_of},
    running::Running,
};
use crate::{
    api::json,
    engine::{EmbedRequest, Embeddings, EngineError},
    error::{ApiError, ErrorKind},
    model::{EmbeddingInfo, normalize},
    node::Backend,
};
use axum::{extract::State, response::Response};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use tidegate_wire::openai::{
    EmbeddingAnswer, EmbeddingRequest, EncodingFormat, Prompt, Usage, embedding::Numbers,
};
use tokio::time::timeout_at;

/// Embeds one or more texts.
pub(crate) async fn create(State(backend): State<Backend>, call: Call) -> Result<Response, ApiError> {
    let request = EmbeddingRequest::parse(&call.body)?;
    backend.expect_model(&request.model)?;
    let width = width(backend.expect_embeddings()?, request.dimensions)?;
    let EmbeddingRequest { inputs, several, encoding_format, .. } = request;
    let mut running = Running::admit(&backend, &call)?;
    let span = running.tally.span.clone();
    let answered = async {
        let started = timeout_at(call.deadline, start(&backend, &call, &mut running, inputs, several));
        let (tokens, embeddings) = match started.await.unwrap_or_else(|_| Err(timeout())) {
            Ok(started) => started,
            Err(error) => return Err(running.failed(error)),
        };
        // Whoever stops waiting here drops the receiver: the engine notices at its next step.
        let made = timeout_at(call.deadline, embeddings.all()).await;
        let embeddings =
            match made.map_err(|_| timeout()).and_then(|made| made.map_err(|why| engine_failed(&why))) {
                Ok(embeddings) => embeddings,
                Err(error) => return Err(running.failed(error)),
            };
        running.succeeded(Usage::new(tokens, 0));
        let numbers = embeddings.into_iter().map(|embedding| numbers(embedding, &width, encoding_format));
        Ok(json(&EmbeddingAnswer::new(backend.model_name(), tokens, numbers)))
    };
    span.follow(answered).await
}

/// How many numbers are sent, and whether they get length 1 again.
struct Width {
    numbers: usize,
    normalize: bool,
}

/// The width that was asked for, where the model was trained so that its embeddings can be cut to it.
fn width(info: &EmbeddingInfo, asked: Option<usize>) -> Result<Width, ApiError> {
    let asked = match asked {
        None => return Ok(Width { numbers: info.width, normalize: false }),
        Some(asked) if asked == info.width => return Ok(Width { numbers: asked, normalize: false }),
        Some(asked) => asked,
    };
    let full = info.width;
    let accepted = match &info.shorter {
        Some(any) if any.is_empty() && asked < full => None,
        Some(these) if these.contains(&asked) => None,
        Some(any) if any.is_empty() => Some(format!("1 to {full}")),
        Some(these) => {
            let these: Vec<String> = these.iter().map(usize::to_string).collect();
            Some(format!("{} and {full}", these.join(", ")))
        }
        None => Some(format!("{full}, as this model was not trained to have its embeddings cut")),
    };
    match accepted {
        None => Ok(Width { numbers: asked, normalize: info.normalized }),
        Some(accepted) => {
            let message = format!("Invalid 'dimensions': {asked}. Supported values are: {accepted}.");
            Err(ApiError::new(ErrorKind::Invalid("invalid_value"), message).with_param("dimensions"))
        }
    }
}

/// Texts to tokens, and tokens to the engine; how many there are comes back with the embeddings to wait for.
async fn start(
    backend: &Backend,
    call: &Call,
    running: &mut Running,
    inputs: Vec<Prompt>,
    several: bool,
) -> Result<(u64, Embeddings), ApiError> {
    let encoder = backend.clone();
    let encoded = encode(call.body.len(), move || {
        let one = |input| match input {
            Prompt::Text(text) => tokens_of(&encoder, &text, true),
            Prompt::Tokens(tokens) => Ok(tokens),
        };
        inputs.into_iter().map(one).collect()
    });
    let texts: Vec<Vec<u32>> = encoded.await?;
    let tokens = texts.iter().map(Vec::len).sum();
    running.tally.tokenized(tokens);
    let request = EmbedRequest { texts, hold: Some(running.slot()) };
    let embeddings = backend.engine().embed(request).map_err(|error| refused(&error, several))?;
    Ok((tokens as u64, embeddings))
}

fn refused(error: &EngineError, several: bool) -> ApiError {
    let kind = match error {
        EngineError::EmptyPrompt => ErrorKind::Invalid("empty_prompt"),
        EngineError::TextTooLong { index, tokens, max } => {
            let param = if several { format!("input[{index}]") } else { "input".to_owned() };
            let message = format!("This model takes {max} tokens, but '{param}' has {tokens} tokens.");
            return ApiError::new(ErrorKind::Invalid("context_length_exceeded"), message).with_param(param);
        }
        EngineError::UnknownToken { .. } => ErrorKind::Invalid("invalid_value"),
        _ => {
            let message = format!("The engine did not take the request: {error}.");
            return ApiError::new(ErrorKind::Internal, message);
        }
    };
    ApiError::new(kind, format!("{error}.")).with_param("input")
}

/// An embedding as it is sent.
fn numbers(mut embedding: Vec<f32>, width: &Width, format: EncodingFormat) -> Numbers {
    embedding.truncate(width.numbers);
    if width.normalize {
        normalize(&mut embedding);
    }
    match format {
        EncodingFormat::Float => Numbers::Float(embedding),
        EncodingFormat::Base64 => {
            let bytes: Vec<u8> = embedding.iter().flat_map(|number| number.to_le_bytes()).collect();
            Numbers::Base64(STANDARD.encode(bytes))
        }
    }
}
