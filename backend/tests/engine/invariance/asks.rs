//! Random requests, and what their readers see.

use rand::RngExt;
use rand::rngs::StdRng;
use tidegate_backend::engine::{
    Engine, EngineEvent, GenerateRequest, Priority, Sampling, Service, TokenStream,
};
use tidegate_backend::grammar::Grammar;
use tidegate_backend::model::cache::BLOCK_TOKENS;

/// One of the random requests.
#[derive(Clone)]
pub(super) struct Ask {
    prompt: Vec<u32>,
    pub(super) max_tokens: usize,
    sampling: Sampling,
    priority: Priority,
    /// Leaves after so many tokens.
    pub(super) cancel_after: Option<usize>,
}

impl Ask {
    /// Some of them write what `grammar` allows, where there is one.
    pub(super) fn random(random: &mut StdRng, grammar: Option<&Grammar>) -> Self {
        Self {
            prompt: prompt(random),
            max_tokens: random.random_range(1..40),
            sampling: sampling(random, grammar),
            priority: [Priority::High, Priority::Normal, Priority::Low][random.random_range(0..3)],
            cancel_after: random.random_bool(0.25).then(|| random.random_range(0..20)),
        }
    }

    pub(super) fn start(&self, engine: &Engine) -> TokenStream {
        let (prompt, sampling) = (self.prompt.clone(), self.sampling.clone());
        let service = Service { priority: self.priority, deadline: None };
        let request = GenerateRequest {
            prompt,
            max_tokens: self.max_tokens,
            sampling,
            eos: vec![],
            service,
            hold: None,
        };
        engine.generate(request).unwrap()
    }

    /// Reads until the answer ends or the reader has enough. Everything it saw: tokens, log-probabilities, the ending.
    pub(super) async fn read(&self, mut stream: TokenStream) -> Vec<EngineEvent> {
        let mut seen = Vec::new();
        while self.cancel_after.is_none_or(|limit| seen.len() < limit) {
            match stream.next().await {
                Some(ending @ EngineEvent::Finished(_)) => {
                    seen.push(ending);
                    break;
                }
                Some(token @ (EngineEvent::Token(_) | EngineEvent::Scored(_))) => seen.push(token),
                other => panic!("{other:?} after {} tokens", seen.len()),
            }
        }
        seen
    }
}

/// Often begins like others do.
fn prompt(random: &mut StdRng) -> Vec<u32> {
    let mut prompt = Vec::new();
    for _ in 0..random.random_range(0..5) {
        let kind = random.random_range(0..2);
        prompt.extend((0..BLOCK_TOKENS as u32).map(|i| 3 + (i * 7 + kind * 31) % 90));
    }
    let rest = if random.random_bool(0.2) { random.random_range(20..50) } else { random.random_range(1..20) };
    prompt.extend((0..rest).map(|_| random.random_range(3..96)));
    prompt
}

/// Every way of choosing a token, each with a seed.
fn sampling(random: &mut StdRng, grammar: Option<&Grammar>) -> Sampling {
    let seeded = Sampling { seed: Some(random.random()), ..Sampling::default() };
    match random.random_range(0..6) {
        0 => Sampling { top_p: 0.9, presence_penalty: 0.3, logprobs: Some(3), ..seeded },
        1 => Sampling { temperature: 1.5, top_k: Some(20), min_p: 0.02, repetition_penalty: 1.2, ..seeded },
        2 => Sampling { grammar: grammar.cloned(), ..seeded },
        3 => {
            let logit_bias = vec![(random.random_range(3..96), 2.5), (random.random_range(3..96), -9.0)];
            Sampling { frequency_penalty: 0.5, logit_bias, ..Sampling::greedy() }
        }
        4 => Sampling { logprobs: Some(random.random_range(0..5)), ..Sampling::greedy() },
        _ => Sampling::greedy(),
    }
}
