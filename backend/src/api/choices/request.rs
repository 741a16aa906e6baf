//! From a request's parameters to what the engine is asked for.

use crate::{
    engine::{EngineError, GenerateRequest, Sampling, Service},
    error::{ApiError, ErrorKind},
    grammar::Grammar,
    node::Backend,
    slots::Slot,
};
use std::{any::Any, sync::Arc};
use tidegate_wire::openai::Generation;

/// What all sequences of a request share.
#[derive(Debug)]
pub(super) struct Asked {
    sampling: Sampling,
    max_tokens: Option<usize>,
    context_length: usize,
    /// Tokens that end an answer.
    ending: Vec<u32>,
}

impl Asked {
    /// What the client asked for, else what the model proposes, else OpenAI's defaults. Of `each` answers to a prompt the
    /// likeliest are taken where fewer are given.
    ///
    /// # Errors
    /// Where a token that is to end the answer is not in the vocabulary.
    pub(super) fn new(
        backend: &Backend,
        generation: &Generation,
        each: u32,
        grammar: Option<Grammar>,
    ) -> Result<Self, ApiError> {
        let mut sampling = Sampling { grammar, ..sampling(backend, generation) };
        if each > generation.n {
            sampling.logprobs = sampling.logprobs.or(Some(0));
        }
        Ok(Self {
            sampling,
            max_tokens: generation.max_tokens.map(|asked| asked as usize),
            context_length: backend.engine().context_length(),
            ending: ending(backend, generation)?,
        })
    }

    /// The sequence at `index`.
    pub(super) fn request(
        &self,
        prompt: Vec<u32>,
        index: u32,
        service: Service,
        slot: &Arc<Slot>,
    ) -> GenerateRequest {
        let room = self.context_length.saturating_sub(prompt.len());
        // Each of several answers has a seed of its own, or all would be the same.
        let seed = self.sampling.seed.map(|seed| seed.wrapping_add(u64::from(index)));
        GenerateRequest {
            max_tokens: self.max_tokens.unwrap_or(room),
            prompt,
            sampling: Sampling { seed, ..self.sampling.clone() },
            eos: self.ending.clone(),
            service,
            hold: Some(Arc::clone(slot) as Arc<dyn Any + Send + Sync>),
        }
    }
}

fn sampling(backend: &Backend, generation: &Generation) -> Sampling {
    let (defaults, proposed) = (Sampling::default(), backend.model_info().sampling);
    let single = |number: f64| number as f32;
    let asked = |asked: Option<f64>, proposed: Option<f32>, default: f32| {
        asked.map(single).or(proposed).unwrap_or(default)
    };
    let top_k = generation.top_k.or(proposed.top_k).filter(|k| *k > 0);
    Sampling {
        temperature: asked(generation.temperature, proposed.temperature, defaults.temperature),
        top_p: asked(generation.top_p, proposed.top_p, defaults.top_p),
        top_k: top_k.map(|k| k as usize),
        min_p: asked(generation.min_p, proposed.min_p, defaults.min_p),
        repetition_penalty: asked(
            generation.repetition_penalty,
            proposed.repetition_penalty,
            defaults.repetition_penalty,
        ),
        presence_penalty: asked(generation.presence_penalty, None, defaults.presence_penalty),
        frequency_penalty: asked(generation.frequency_penalty, None, defaults.frequency_penalty),
        logit_bias: generation.logit_bias.iter().map(|(token, bias)| (*token, single(*bias))).collect(),
        min_tokens: generation.min_tokens as usize,
        logprobs: generation.logprobs.map(|top| top as usize),
        grammar: None,
        seed: generation.seed.map(i64::cast_unsigned),
    }
}

fn ending(backend: &Backend, generation: &Generation) -> Result<Vec<u32>, ApiError> {
    let vocabulary = backend.vocabulary().len();
    if let Some(token) = generation.stop_token_ids.iter().find(|token| **token as usize >= vocabulary) {
        let message = format!("token {token} is not in the model's vocabulary of {vocabulary}.");
        return Err(ApiError::new(ErrorKind::Invalid("invalid_value"), message).with_param("stop_token_ids"));
    }
    let own = if generation.ignore_eos { &[] } else { backend.model_info().eos_token_ids.as_slice() };
    Ok(own.iter().chain(&generation.stop_token_ids).copied().collect())
}

/// What a client gets whose request the engine does not take.
pub(super) fn refused(error: &EngineError) -> ApiError {
    let (code, param) = match error {
        EngineError::EmptyPrompt => ("empty_prompt", "prompt"),
        EngineError::PromptTooLong { .. } => ("context_length_exceeded", "prompt"),
        EngineError::UnknownToken { parameter, .. } | EngineError::Sampling { parameter, .. } => {
            ("invalid_value", *parameter)
        }
        _ => {
            let message = format!("The engine did not take the request: {error}.");
            return ApiError::new(ErrorKind::Internal, message);
        }
    };
    ApiError::new(ErrorKind::Invalid(code), format!("{error}.")).with_param(param)
}
