//! Questions that have one right answer, which the demo model gives.

use super::answer::{Judged, judge};
use super::exchange::{Exchange, connect};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The demo model's name.
pub const DEMO_MODEL: &str = "tidegate-demo";
/// Questions that are tried out where nothing else is said.
pub const TRIED: usize = 60;

/// Questions with their answers.
#[derive(Debug)]
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// Takes so many held-out questions of all tasks and asks a quiet backend each of them, alone; keeps those that it answers rightly,
    /// which are nearly all. What it then says under load must be the same.
    pub async fn learn(backend: SocketAddr, tried: usize) -> anyhow::Result<Facts> {
        let mut facts = Vec::new();
        for (question, answer) in held_out(tried)? {
            if answers(backend, &question, &answer).await? {
                facts.push((question, answer));
            }
        }
        ensure!(facts.len() > tried * 9 / 10, "the demo model knows {} of {tried} answers", facts.len());
        Ok(Facts(facts))
    }

    /// One of them, by any number.
    pub fn get(&self, number: usize) -> (&str, &str) {
        self.0.get(number % self.0.len().max(1)).map_or(("", ""), |(question, answer)| (question, answer))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Questions of all tasks in turn.
fn held_out(count: usize) -> anyhow::Result<Vec<(String, String)>> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../backend/demo-model/held-out.jsonl");
    let text = std::fs::read_to_string(file).context(file)?;
    let cases = text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    let promised: Vec<_> = cases.iter().filter(|case| case["task"] != "tidegate-unseen").collect();
    let text_of = |case: &Value, field: &str| case[field].as_str().unwrap_or_default().to_owned();
    let spread = promised.iter().step_by((promised.len() / count).max(1)).take(count);
    Ok(spread.map(|case| (text_of(case, "prompt"), text_of(case, "answer"))).collect())
}

async fn answers(backend: SocketAddr, question: &str, answer: &str) -> anyhow::Result<bool> {
    let messages = json!([{"role": "user", "content": question}]);
    let body = json!({"model": DEMO_MODEL, "temperature": 0, "messages": messages}).to_string();
    let text = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: chaos\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let connection = connect(backend).await.context("the demo backend takes no connection")?;
    let mut exchange = Exchange::default();
    Exchange::run(connection, text.as_bytes(), &mut exchange).await;
    let whole =
        exchange.answer().map_err(|defect| anyhow::anyhow!("no answer of the demo backend: {defect:?}"))?;
    Ok(judge(&whole, answer) == Judged::Right)
}
