//! The step loop with a model that counts, fails or waits as a test wants.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::forward::{Forward, Outcome};
use super::*;
use crate::model::{Chunk, Draw};

mod paged;
mod soak;

const VOCAB: usize = 50;

/// What a fake model does in its next step.
enum Act {
    Compute,
    Fail,
    Panic,
}

/// A model whose next token is the last one plus one.
struct Fake {
    /// One entry for each step that may be made; without it steps are free.
    acts: Option<Receiver<Act>>,
    /// Per step, the tokens of each chunk.
    steps: Arc<Mutex<Vec<Vec<usize>>>>,
    resets: bool,
}

impl Forward for Fake {
    fn forward(&mut self, chunks: &[Chunk<'_>], _: &[Option<Draw>]) -> candle_core::Result<Outcome> {
        self.steps.lock().unwrap().push(chunks.iter().map(|chunk| chunk.tokens.len()).collect());
        match self.acts.as_ref().map_or(Ok(Act::Compute), Receiver::recv) {
            Ok(Act::Compute) => {}
            Ok(Act::Fail) => candle_core::bail!("the device is on fire"),
            Ok(Act::Panic) => panic!("an index ran out"),
            Err(_) => candle_core::bail!("the test is over"),
        }
        let mut logits = Vec::new();
        for chunk in chunks.iter().filter(|chunk| chunk.logits) {
            let next = (*chunk.tokens.last().unwrap() as usize + 1) % VOCAB;
            logits.extend((0..VOCAB).map(|token| if token == next { 1.0 } else { 0.0 }));
        }
        Ok(Outcome::logits(logits))
    }

    fn vocab_size(&self) -> usize {
        VOCAB
    }

    fn reset(&mut self) -> candle_core::Result<()> {
        if self.resets { Ok(()) } else { candle_core::bail!("beyond repair") }
    }
}

/// An engine on a fake model, the steps it makes, and how to let it make them.
struct Bench {
    engine: Engine,
    steps: Arc<Mutex<Vec<Vec<usize>>>>,
    acts: Sender<Act>,
}

#[expect(clippy::disallowed_methods, reason = "a test sends a handful")]
fn bench(stepwise: bool, blocks: usize, resets: bool) -> Bench {
    let (acts, receiver) = channel();
    let steps = Arc::new(Mutex::new(Vec::new()));
    let model = Fake { acts: stepwise.then_some(receiver), steps: Arc::clone(&steps), resets };
    let options = EngineOptions { max_sequences: 4, max_batch_tokens: 20, ..EngineOptions::default() };
    let engine = Engine::start_model(Box::new(model), &options, blocks, 200).unwrap();
    Bench { engine, steps, acts }
}

fn ask(prompt: &[u32], max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        prompt: prompt.to_vec(),
        max_tokens,
        sampling: Sampling::greedy(),
        eos: vec![],
        service: Service::default(),
        hold: None,
    }
}

async fn all(mut stream: TokenStream) -> Vec<EngineEvent> {
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event);
    }
    events
}

fn counted(from: u32, count: u32) -> Vec<EngineEvent> {
    let tokens = (1..=count).map(|i| EngineEvent::Token((from + i) % VOCAB as u32));
    tokens.chain([EngineEvent::Finished(FinishReason::Length)]).collect()
}

/// Lets other threads run until something is so; a test that waits for ever says for what.
async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..10_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

#[tokio::test]
async fn tokens_come_in_order_and_end_by_length_or_by_the_model() {
    let Bench { engine, .. } = bench(false, 100, true);
    assert_eq!(all(engine.generate(ask(&[3, 7], 4)).unwrap()).await, counted(7, 4));
    let eos = GenerateRequest { eos: vec![9, 10], ..ask(&[7], 100) };
    let expected = [EngineEvent::Token(8), EngineEvent::Finished(FinishReason::Stop)];
    assert_eq!(all(engine.generate(eos).unwrap()).await, expected, "the token that ends it is no part of it");
    let to_the_end = all(engine.generate(ask(&[1; 190], 1000)).unwrap()).await;
    assert_eq!(to_the_end, counted(1, 10), "no further than the context");
}

#[tokio::test]
async fn a_dropped_stream_is_gone_from_the_next_step() {
    let Bench { engine, steps, acts } = bench(true, 100, true);
    let (stays, leaves) = (engine.generate(ask(&[1], 50)).unwrap(), engine.generate(ask(&[2], 50)).unwrap());
    acts.send(Act::Compute).unwrap();
    acts.send(Act::Compute).unwrap();
    until("both run", || steps.lock().unwrap().last().is_some_and(|step| step.len() == 2)).await;
    let (at, blocks) = (steps.lock().unwrap().len(), engine.stats().cache_blocks_used);
    drop(leaves);
    (0..3).for_each(|_| acts.send(Act::Compute).unwrap());
    until("three more steps", || steps.lock().unwrap().len() >= at + 3).await;
    assert!(steps.lock().unwrap()[at..].iter().all(|step| step.len() == 1), "{:?}", steps.lock().unwrap());
    let stats = engine.stats();
    assert_eq!((stats.cancelled, stats.running, stats.cache_blocks_used), (1, 1, blocks / 2));
    drop(stays);
}

#[tokio::test]
async fn what_the_caller_holds_is_let_go_before_the_last_event() {
    let Bench { engine, .. } = bench(false, 100, true);
    for _ in 0..50 {
        let slot: Arc<dyn std::any::Any + Send + Sync> = Arc::new(());
        let held = Arc::downgrade(&slot);
        let mut stream = engine.generate(GenerateRequest { hold: Some(slot), ..ask(&[1], 3) }).unwrap();
        while let Some(EngineEvent::Token(_)) = stream.next().await {}
        assert!(held.upgrade().is_none());
        assert_eq!((engine.stats().running, engine.stats().cache_blocks_used), (0, 0));
    }
}

#[tokio::test]
async fn a_failed_step_tells_its_readers_and_the_engine_goes_on() {
    for (act, why) in [(Act::Fail, "the device is on fire"), (Act::Panic, "an index ran out")] {
        let Bench { engine, acts, .. } = bench(true, 100, true);
        let (first, second) =
            (engine.generate(ask(&[1], 5)).unwrap(), engine.generate(ask(&[2], 5)).unwrap());
        until("both are known", || engine.stats().running + engine.stats().waiting == 2).await;
        acts.send(Act::Compute).unwrap();
        acts.send(act).unwrap();
        for stream in [first, second] {
            let events = all(stream).await;
            assert!(
                matches!(events.last(), Some(EngineEvent::Failed(text)) if text.contains(why)),
                "{events:?}"
            );
        }
        (0..9).for_each(|_| acts.send(Act::Compute).unwrap());
        assert_eq!(all(engine.generate(ask(&[4], 2)).unwrap()).await, counted(4, 2));
        let stats = engine.stats();
        assert_eq!((stats.failed, stats.finished, stats.cache_blocks_used), (2, 1, 0));
    }
}

#[tokio::test]
async fn an_engine_beyond_repair_says_so() {
    let Bench { engine, acts, .. } = bench(true, 3, false);
    let (runs, waits) = (engine.generate(ask(&[1], 30)).unwrap(), engine.generate(ask(&[2], 30)).unwrap());
    acts.send(Act::Fail).unwrap();
    for stream in [runs, waits] {
        assert!(matches!(all(stream).await.as_slice(), [EngineEvent::Failed(_)]));
    }
    until("the thread is gone", || matches!(engine.generate(ask(&[1], 1)), Err(EngineError::Stopped))).await;
    assert_eq!(engine.stats().since_last_step, None, "nothing is left that could be late");
}

#[tokio::test]
async fn sequences_that_outgrow_the_blocks_give_way_and_are_resumed() {
    // Each comes to need two of the three blocks.
    let Bench { engine, steps, .. } = bench(false, 3, true);
    let streams: Vec<_> = (0..5).map(|i| engine.generate(ask(&[i], 30)).unwrap()).collect();
    for (from, stream) in streams.into_iter().enumerate() {
        assert_eq!(all(stream).await, counted(from as u32, 30));
    }
    let preemptions = engine.stats().preemptions;
    assert!(preemptions > 0 && preemptions < 20, "{preemptions}");
    assert!(steps.lock().unwrap().iter().any(|step| step.len() == 2), "two fit as long as they are short");
}

/// Held by a sequence; notes when it leaves.
struct Leaves {
    name: Priority,
    order: Arc<Mutex<Vec<Priority>>>,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        self.order.lock().unwrap().push(self.name);
    }
}

#[tokio::test]
async fn the_urgent_come_first_and_take_the_place_of_others() {
    let Bench { engine, steps, acts } = bench(true, 4, true);
    let order = Arc::new(Mutex::new(Vec::new()));
    let with = |priority, prompt| {
        let leaves = Leaves { name: priority, order: Arc::clone(&order) };
        let (service, hold) = (Service { priority, deadline: None }, Some(Arc::new(leaves) as _));
        engine.generate(GenerateRequest { service, hold, ..ask(&[prompt; 33], 2) }).unwrap()
    };
    let low = with(Priority::Low, 1);
    until("it runs", || steps.lock().unwrap().len() == 1).await;
    let (normal, high) = (with(Priority::Normal, 2), with(Priority::High, 3));
    (0..20).for_each(|_| acts.send(Act::Compute).unwrap());
    assert_eq!(all(low).await, counted(1, 2));
    assert_eq!([all(normal).await, all(high).await], [counted(2, 2), counted(3, 2)]);
    assert_eq!(*order.lock().unwrap(), [Priority::High, Priority::Normal, Priority::Low]);
    assert!(engine.stats().preemptions >= 1, "the one that was there first has given way");
}

#[tokio::test]
async fn a_prompt_that_was_read_is_not_computed_again() {
    let Bench { engine, steps, .. } = bench(false, 10, true);
    let prompt = [7; 40];
    for expected in [0, 32, 32] {
        let mut stream = engine.generate(ask(&prompt, 1)).unwrap();
        assert!(matches!(stream.next().await, Some(EngineEvent::Token(8))));
        assert_eq!(stream.cached_tokens(), expected);
    }
    until("the last has left", || engine.stats().finished == 3).await;
    let stats = engine.stats();
    assert_eq!((stats.prompt_tokens, stats.cached_tokens, stats.cache_blocks_used), (120, 64, 0));
    assert_eq!(steps.lock().unwrap().as_slice(), [[20], [20], [8], [8]]);
}

#[tokio::test]
async fn what_two_ask_for_at_once_is_computed_once() {
    let Bench { engine, steps, acts } = bench(true, 20, true);
    let first = engine.generate(ask(&[1; 2], 9)).unwrap();
    until("it runs", || steps.lock().unwrap().len() == 1).await;
    let both = [engine.generate(ask(&[7; 40], 2)).unwrap(), engine.generate(ask(&[7; 40], 2)).unwrap()];
    until("both wait", || engine.stats().waiting == 2).await;
    (0..9).for_each(|_| acts.send(Act::Compute).unwrap());
    let [one, other] = both;
    assert_eq!([all(one).await, all(other).await], [counted(7, 2), counted(7, 2)]);
    assert_eq!(all(first).await, counted(1, 9));
    let steps = steps.lock().unwrap();
    assert_eq!(
        steps[..4],
        [vec![2], vec![1, 19], vec![1, 19], vec![1, 2, 8]],
        "the second takes over 32 of 40"
    );
}

#[tokio::test]
async fn what_a_failed_step_left_in_the_cache_is_not_used() {
    let Bench { engine, steps, acts } = bench(true, 10, true);
    let first = engine.generate(ask(&[5; 19], 3)).unwrap();
    acts.send(Act::Compute).unwrap();
    acts.send(Act::Fail).unwrap();
    assert!(matches!(all(first).await.last(), Some(EngineEvent::Failed(_))));
    (0..5).for_each(|_| acts.send(Act::Compute).unwrap());
    let again = engine.generate(ask(&[5; 19], 3)).unwrap();
    assert_eq!(all(again).await, counted(5, 3));
    assert_eq!(steps.lock().unwrap()[2], [19], "all of it is computed anew");
}

#[tokio::test]
async fn a_running_stream_never_waits_for_more_than_one_chunk() {
    let Bench { engine, steps, acts } = bench(true, 100, true);
    let running = engine.generate(ask(&[1], 40)).unwrap();
    acts.send(Act::Compute).unwrap();
    until("it decodes", || steps.lock().unwrap().len() == 2).await;
    let long = engine.generate(ask(&[5; 100], 1)).unwrap();
    (0..60).for_each(|_| acts.send(Act::Compute).unwrap());
    assert_eq!(all(long).await, counted(5, 1));
    assert_eq!(all(running).await, counted(1, 40));
    let steps = steps.lock().unwrap();
    let mixed: Vec<_> = steps.iter().filter(|step| step.len() == 2).collect();
    assert_eq!(mixed.len(), 6, "100 tokens in chunks of 19 beside a decode: {mixed:?}");
    assert!(mixed.iter().all(|step| step[0] == 1 && step[1] <= 19), "{mixed:?}");
}

#[tokio::test]
async fn a_stuck_step_can_be_seen_from_outside() {
    let Bench { engine, acts, .. } = bench(true, 100, true);
    assert_eq!(engine.stats().since_last_step, None, "idle");
    let stream = engine.generate(ask(&[1], 1)).unwrap();
    let age = || engine.stats().since_last_step.unwrap();
    let first = age();
    until("the age grows", || age() > first + Duration::from_millis(5)).await;
    acts.send(Act::Compute).unwrap();
    assert_eq!(all(stream).await, counted(1, 1));
    assert_eq!(engine.stats().since_last_step, None, "idle again");
}

#[tokio::test]
async fn sequences_end_after_the_last_handle_is_gone() {
    let Bench { engine, .. } = bench(false, 100, true);
    let stream = engine.generate(ask(&[1], 20)).unwrap();
    drop(engine);
    assert_eq!(all(stream).await, counted(1, 20));
}

#[test]
fn requests_that_cannot_be_served_are_refused() {
    let Bench { engine, .. } = bench(false, 100, true);
    let refused = |request| engine.generate(request).unwrap_err().to_string();
    assert_eq!(refused(ask(&[], 5)), "the prompt holds no token");
    assert!(refused(ask(&[1; 200], 5)).contains("has 200 tokens, but the model's context has room for 200"));
    let small = bench(false, 3, true).engine;
    let error = small.generate(ask(&[1; 48], 5)).unwrap_err().to_string();
    assert!(error.contains("the key/value cache has room for 48 (--kv-cache-memory"), "{error}");
    assert!(refused(ask(&[1], 0)).contains("max_tokens is 0"));
    assert!(refused(ask(&[1, 50], 5)).contains("token 50"));
    let sampled = |sampling| refused(GenerateRequest { sampling, ..ask(&[1], 5) });
    assert!(sampled(Sampling { temperature: -0.1, ..Sampling::default() }).contains("temperature is -0.1"));
    assert!(sampled(Sampling { temperature: f32::NAN, ..Sampling::default() }).contains("temperature"));
    assert!(sampled(Sampling { top_p: 1.5, ..Sampling::default() }).contains("top_p is 1.5"));
    assert!(
        sampled(Sampling { presence_penalty: f32::INFINITY, ..Sampling::default() }).contains("presence")
    );
}
