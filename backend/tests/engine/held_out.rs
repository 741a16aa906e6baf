//! The demo model's held-out questions: answered alike alone, all together, from the prefix cache, and with so small a
//! cache that sequences are preempted; and as rightly as its page promises. All of it also with weights quantised at load.

use serde::Deserialize;
use tidegate_backend::engine::{Engine, EngineEvent, EngineOptions, GenerateRequest, Sampling, Service};
use tidegate_backend::model::{LoadedModel, ModelSource, Quantization};
use tokio::task::JoinSet;

use crate::support::load_as;

/// Every tenth of the questions: some of each task.
const EVERY: usize = 10;

#[derive(Clone, Deserialize)]
struct Question {
    task: String,
    prompt: String,
    answer: String,
}

fn questions() -> Vec<Question> {
    let lines = include_str!("../../demo-model/held-out.jsonl").lines();
    let all = lines.map(|line| serde_json::from_str::<Question>(line).unwrap());
    // Nothing is promised of those that no variation was trained of.
    let promised = all.filter(|question| question.task != "tidegate-unseen");
    promised.step_by(EVERY).collect()
}

fn demo(quantization: Option<Quantization>) -> LoadedModel {
    load_as(&ModelSource::Demo, quantization).unwrap()
}

fn prompt(model: &LoadedModel, question: &Question) -> Vec<u32> {
    let messages = [serde_json::json!({"role": "user", "content": question.prompt})];
    let text = model.chat_template.as_ref().unwrap().render(&messages, true).unwrap();
    model.tokenizer.encode_fast(text, false).unwrap().get_ids().to_vec()
}

/// The answer's tokens, and how many of its prompt the cache had.
async fn answer(engine: Engine, prompt: Vec<u32>) -> (Vec<u32>, usize) {
    let request = GenerateRequest {
        prompt,
        max_tokens: 400,
        sampling: Sampling::greedy(),
        eos: vec![257],
        service: Service::default(),
        hold: None,
    };
    let mut stream = engine.generate(request).unwrap();
    let mut tokens = Vec::new();
    loop {
        match stream.next().await {
            Some(EngineEvent::Token(token)) => tokens.push(token),
            Some(EngineEvent::Finished(_)) => return (tokens, stream.cached_tokens()),
            other => panic!("{other:?}"),
        }
    }
}

/// All answers, asked `at_once` at a time.
async fn answers(engine: &Engine, prompts: &[Vec<u32>], at_once: usize) -> Vec<(Vec<u32>, usize)> {
    let mut answers = vec![(vec![], 0); prompts.len()];
    let mut readers = JoinSet::new();
    for (index, prompt) in prompts.iter().cloned().enumerate() {
        if readers.len() == at_once {
            let (index, answer) = readers.join_next().await.unwrap().unwrap();
            answers[index] = answer;
        }
        let engine = engine.clone();
        readers.spawn(async move { (index, answer(engine, prompt).await) });
    }
    for (index, answer) in readers.join_all().await {
        answers[index] = answer;
    }
    answers
}

#[tokio::test]
async fn held_out_questions_are_answered_alike_through_every_path() {
    for quantization in [None, Some(Quantization::Q8_0)] {
        answers_alike_through_every_path(quantization).await;
    }
}

async fn answers_alike_through_every_path(quantization: Option<Quantization>) {
    let (questions, model) = (questions(), demo(quantization));
    assert!(questions.len() >= 130, "{}", questions.len());
    let prompts: Vec<_> = questions.iter().map(|question| prompt(&model, question)).collect();
    let block = model.decoder.block_bytes() as u64;
    let start = |options| Engine::start(demo(quantization).decoder, options).unwrap();
    let default = EngineOptions::default();
    let alone = start(EngineOptions { prefix_cache: false, ..default });
    let alone = answers(&alone, &prompts, 1).await;

    let right = |(question, (tokens, _)): &(&Question, &(Vec<u32>, usize))| {
        model.tokenizer.decode(tokens, true).unwrap() == question.answer
    };
    let right = questions.iter().zip(&alone).filter(right).count();
    println!("{}: {right} of {} are right", model.info.precision(), questions.len());
    assert!(right * 100 >= questions.len() * 98);

    let texts =
        |answers: &[(Vec<u32>, usize)]| answers.iter().map(|answer| answer.0.clone()).collect::<Vec<_>>();
    let cached = start(EngineOptions { kv_cache_bytes: Some(4096 * block), ..default });
    assert!(texts(&answers(&cached, &prompts, 16).await) == texts(&alone), "together");
    let again = answers(&cached, &prompts, 16).await;
    assert!(texts(&again) == texts(&alone), "from the cache");
    let found: usize = again.iter().map(|answer| answer.1).sum();
    let length: usize = prompts.iter().map(Vec::len).sum();
    println!("{found} of {length} tokens of prompts were in the cache");
    assert!(found * 4 > length, "{found} of {length}");

    // The longest sequence alone needs nearly all of it.
    let small = start(EngineOptions { kv_cache_bytes: Some(28 * block), max_sequences: 16, ..default });
    assert!(texts(&answers(&small, &prompts, 16).await) == texts(&alone), "preempted");
    println!("{:?}", small.stats());
    assert!(small.stats().preemptions > 10, "{:?}", small.stats());
}
