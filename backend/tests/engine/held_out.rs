//! The demo model's held-out questions, with weights in numbers and quantised at load.

use serde_json::{Value, json};
use tidegate_backend::engine::{EngineEvent, GenerateRequest, Sampling, TokenStream};
use tidegate_backend::model::{LoadedModel, ModelSource, Quantization};

use crate::reference::assert_same_bits;
use crate::support::{engine_on, load_as};

/// Questions, of all tasks in turn.
const QUESTIONS: usize = 240;

/// Questions with their right answers, but for the task of which nothing is promised.
fn questions() -> Vec<(String, String)> {
    let text = include_str!("../../demo-model/held-out.jsonl");
    let cases: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let promised: Vec<_> = cases.iter().filter(|case| case["task"] != "tidegate-unseen").collect();
    let text_of = |case: &Value, field: &str| case[field].as_str().unwrap().to_owned();
    let spread = promised.iter().step_by(promised.len() / QUESTIONS).take(QUESTIONS);
    spread.map(|case| (text_of(case, "prompt"), text_of(case, "answer"))).collect()
}

async fn read(mut stream: TokenStream) -> Vec<u32> {
    let mut tokens = Vec::new();
    while let Some(EngineEvent::Token(token)) = stream.next().await {
        tokens.push(token);
    }
    tokens
}

/// Greedy answers to all questions, sixteen at a time.
async fn answers(quantization: Option<Quantization>, questions: &[(String, String)]) -> Vec<String> {
    let LoadedModel { decoder, tokenizer, chat_template, info } =
        load_as(&ModelSource::Demo, quantization).unwrap();
    let (engine, template) = (engine_on(decoder, 16, 256), chat_template.unwrap());
    let ask = |question: &String| {
        let text = template.render(&[json!({"role": "user", "content": question})], true).unwrap();
        let prompt = tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        let (eos, sampling) = (info.eos_token_ids.clone(), Sampling::greedy());
        engine.generate(GenerateRequest { prompt, max_tokens: 500, sampling, eos, hold: None }).unwrap()
    };
    let streams: Vec<_> = questions.iter().map(|(question, _)| ask(question)).collect();
    let mut answers = Vec::new();
    for stream in streams {
        answers.push(tokenizer.decode(&read(stream).await, true).unwrap());
    }
    answers
}

fn right(answers: &[String], questions: &[(String, String)]) -> usize {
    answers.iter().zip(questions).filter(|(answer, (_, right))| *answer == right).count()
}

/// The tasks are promised at 98 %.
#[tokio::test]
async fn the_demo_model_keeps_its_answers_in_eight_bits() {
    let questions = questions();
    assert_eq!(questions.len(), QUESTIONS);
    let plain = right(&answers(None, &questions).await, &questions);
    let quantised = right(&answers(Some(Quantization::Q8_0), &questions).await, &questions);
    println!("right of {QUESTIONS}: {plain} in f32, {quantised} in q8_0");
    assert!(plain * 100 >= QUESTIONS * 98, "{plain} in f32");
    assert!(quantised * 100 >= QUESTIONS * 98, "{quantised} in q8_0");
}

/// Wide enough for kernels that take several blocks, or several rows, at once.
#[test]
fn a_quantised_step_gives_the_same_bits_however_prompts_are_cut_and_mixed() {
    let prompt = |length: u32| (0..length).map(|i| (i * 37 + length) % 256).collect::<Vec<u32>>();
    let prompts = [1, 19, 45].map(prompt);
    for quantization in [Quantization::Q8_0, Quantization::Q4K] {
        let loaded = load_as(&ModelSource::Demo, Some(quantization)).unwrap();
        println!("{}", loaded.info.precision());
        assert_same_bits(&loaded.decoder, &prompts, &quantization.to_string());
    }
}
