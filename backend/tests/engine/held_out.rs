//! The demo model's held-out questions: answered alike alone, all together, from the prefix cache, and with so small a
//! cache that sequences are preempted; and as rightly as its page promises. All of it also with weights quantised at load,
//! and from a GGUF file.

use serde::Deserialize;
use tidegate_backend::engine::{Engine, EngineEvent, EngineOptions, GenerateRequest, Sampling, Service};
use tidegate_backend::model::{LoadedModel, ModelSource, Quantization};
use tokio::task::JoinSet;

use crate::demo_gguf;
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
    answers_through_every_path(|| load_as(&ModelSource::Demo, None).unwrap()).await;
}

/// Quantised by whoever wrote the file or at load: the blocks are the same, and so is every token.
#[tokio::test]
async fn held_out_questions_are_answered_alike_through_every_path_in_8_bits() {
    let folder = demo_gguf::write();
    let file = ModelSource::Gguf(folder.path().join("model.gguf"));
    let from_file = answers_through_every_path(|| load_as(&file, None).unwrap()).await;
    let at_load = load_as(&ModelSource::Demo, Some(Quantization::Q8_0)).unwrap();
    let prompts: Vec<_> = questions().iter().map(|question| prompt(&at_load, question)).collect();
    let at_load = Engine::start(at_load.decoder, EngineOptions::default()).unwrap();
    assert!(texts(answers(&at_load, &prompts, 8).await) == from_file);
}

/// Expects that the answers are right, and the same alone, together, from the cache and preempted; gives their tokens.
async fn answers_through_every_path(load: impl Fn() -> LoadedModel) -> Vec<Vec<u32>> {
    let (questions, model) = (questions(), load());
    let prompts: Vec<_> = questions.iter().map(|question| prompt(&model, question)).collect();
    let block = model.decoder.block_bytes() as u64;
    let start = |options| Engine::start(load().decoder, options).unwrap();
    let default = EngineOptions::default();
    let alone = start(EngineOptions { prefix_cache: false, ..default });
    let alone = texts(answers(&alone, &prompts, 1).await);
    expect_right(&model, &questions, &alone);

    let cached = start(EngineOptions { kv_cache_bytes: Some(4096 * block), ..default });
    assert!(texts(answers(&cached, &prompts, 16).await) == alone, "together");
    let again = answers(&cached, &prompts, 16).await;
    let found: usize = again.iter().map(|answer| answer.1).sum();
    let length: usize = prompts.iter().map(Vec::len).sum();
    println!("{found} of {length} tokens of prompts were in the cache");
    assert!(found * 4 > length, "{found} of {length}");
    assert!(texts(again) == alone, "from the cache");

    // The longest sequence alone needs nearly all of it; no prompt goes whole beside as many decodes.
    let few = EngineOptions { max_sequences: 16, max_batch_tokens: 24, ..default };
    let small = start(EngineOptions { kv_cache_bytes: Some(28 * block), ..few });
    assert!(texts(answers(&small, &prompts, 16).await) == alone, "preempted");
    println!("{:?}", small.stats());
    assert!(small.stats().preemptions > 10, "{:?}", small.stats());
    alone
}

fn texts(answers: Vec<(Vec<u32>, usize)>) -> Vec<Vec<u32>> {
    answers.into_iter().map(|answer| answer.0).collect()
}

fn expect_right(model: &LoadedModel, questions: &[Question], answers: &[Vec<u32>]) {
    assert!(questions.len() >= 130, "{}", questions.len());
    let right = |(question, tokens): &(&Question, &Vec<u32>)| {
        model.tokenizer.decode(tokens, true).unwrap() == question.answer
    };
    let right = questions.iter().zip(answers).filter(right).count();
    println!("{}: {right} of {} are right", model.info.precision(), questions.len());
    assert!(right * 100 >= questions.len() * 98);
}
