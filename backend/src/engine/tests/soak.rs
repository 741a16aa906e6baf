//! Random lives of thousands of sequences on one step loop, step by step: the blocks add up after each step, whoever has
//! left holds none, and each answer is what it is alone and without a cache.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::Instant;

use super::paged::{self, Paged, VOCAB};
use super::*;

/// A request in the making, as its reader sees it.
struct Reader {
    prompt: Vec<u32>,
    max_tokens: usize,
    deadline: Option<Instant>,
    events: Receiver<EngineEvent>,
    seen: Vec<u32>,
    ended: Option<EngineEvent>,
    told: Arc<Told>,
}

/// A step loop that is stepped by hand, with a clock of its own.
struct World {
    random: StdRng,
    step_loop: StepLoop,
    readers: Vec<Reader>,
    now: Instant,
    blocks: usize,
    finished: usize,
    seed: u64,
}

impl World {
    fn new(seed: u64, blocks: usize, max_sequences: usize, max_batch_tokens: usize) -> Self {
        let scheduler = Scheduler::new(BlockPool::new(blocks, true), max_sequences, max_batch_tokens);
        let counters = Arc::new(Counters::new(blocks));
        let step_loop = StepLoop { model: Box::new(Paged::new(blocks)), scheduler, counters };
        let random = StdRng::seed_from_u64(seed);
        Self { random, step_loop, readers: Vec::new(), now: Instant::now(), blocks, finished: 0, seed }
    }

    fn stats(&self) -> EngineStats {
        self.step_loop.counters.read()
    }

    /// A prompt that often begins like others.
    fn prompt(&mut self, longest: usize) -> Vec<u32> {
        let mut prompt = Vec::new();
        for _ in 0..self.random.random_range(0..4) {
            let kind = self.random.random_range(0..3);
            prompt.extend((0..BLOCK_TOKENS as u32).map(|i| (i * 5 + kind) % VOCAB as u32));
        }
        let tail = self.random.random_range(1..24);
        prompt.extend((0..tail).map(|_| self.random.random_range(0..VOCAB as u32)));
        prompt.truncate(longest);
        prompt
    }

    fn arrive(&mut self) {
        let room = self.blocks * BLOCK_TOKENS;
        let prompt = self.prompt(room - 1);
        let max_tokens = self.random.random_range(1..40).min(room - prompt.len());
        let priority = [Priority::High, Priority::Normal, Priority::Low][self.random.random_range(0..3)];
        let expires = self.random.random_bool(0.1);
        let deadline = expires.then(|| self.now + Duration::from_secs(self.random.random_range(0..30)));
        let request = GenerateRequest { service: Service { priority, deadline }, ..ask(&prompt, max_tokens) };
        let (sender, events) = channel(max_tokens + 1);
        let told = Arc::<Told>::default();
        let unfinished = Unfinished::new(&self.step_loop.counters);
        let limit = prompt.len() + max_tokens;
        let sequence = Sequence::new(request, limit, sender, Arc::clone(&told), unfinished);
        self.step_loop.scheduler.add(sequence);
        self.readers.push(Reader { prompt, max_tokens, deadline, events, seen: vec![], ended: None, told });
    }

    /// A second passes and a step is made.
    fn step(&mut self) {
        self.now += Duration::from_secs(1);
        assert!(self.step_loop.step(self.now), "the model does not fail");
        let scheduler = &self.step_loop.scheduler;
        let tables: Vec<&[u32]> = scheduler.running().map(Sequence::blocks).collect();
        assert_eq!(scheduler.blocks.broken(&tables), None, "seed {}", self.seed);
        let left = scheduler.running().any(Sequence::cancelled);
        assert!(!left, "seed {}: one is still there whose reader left before the step", self.seed);
        self.read();
    }

    /// Takes in what the readers were sent; those that have ended are checked.
    fn read(&mut self) {
        for reader in &mut self.readers {
            while let Ok(event) = reader.events.try_recv() {
                match event {
                    EngineEvent::Token(token) => reader.seen.push(token),
                    last => reader.ended = Some(last),
                }
            }
            let late = reader.deadline.is_some_and(|deadline| deadline <= self.now);
            assert!(!late || reader.ended.is_some(), "seed {}: it outlives its deadline", self.seed);
        }
        for reader in self.readers.extract_if(.., |reader| reader.ended.is_some()).collect::<Vec<_>>() {
            reader.check(self.seed);
            self.finished += 1;
        }
    }

    /// Some readers leave.
    fn leave(&mut self, share: f64) {
        let (random, seed) = (&mut self.random, self.seed);
        for reader in self.readers.extract_if(.., |_| random.random_bool(share)).collect::<Vec<_>>() {
            reader.check(seed);
        }
    }
}

impl Reader {
    /// What was seen is the beginning of the answer that the prompt has alone; all of it, where it ended by its length.
    fn check(&self, seed: u64) {
        let alone = paged::alone(&self.prompt, self.seen.len());
        assert_eq!(self.seen, alone, "seed {seed}, prompt {:?}", self.prompt);
        match &self.ended {
            Some(EngineEvent::Finished(FinishReason::Length)) => assert_eq!(self.seen.len(), self.max_tokens),
            Some(EngineEvent::TimedOut) => assert!(self.deadline.is_some()),
            Some(other) => panic!("seed {seed}: {other:?}"),
            None => {}
        }
        assert!(self.told.cached() < self.prompt.len());
    }
}

fn live(seed: u64, requests: usize) -> EngineStats {
    let mut random = StdRng::seed_from_u64(seed);
    let blocks = random.random_range(4..40);
    let mut world = World::new(seed, blocks, random.random_range(1..12), random.random_range(1..80));
    let mut arrived = 0;
    while arrived < requests {
        for _ in 0..random.random_range(0..4).min(requests - arrived) {
            world.arrive();
            arrived += 1;
        }
        world.leave(0.03);
        world.step();
    }
    while !world.step_loop.scheduler.is_empty() {
        world.step();
    }
    let stats = world.stats();
    let pool = &world.step_loop.scheduler.blocks;
    assert_eq!((pool.held(), pool.available()), (0, blocks), "seed {seed}");
    assert_eq!((stats.running, stats.waiting, stats.cache_blocks_used), (0, 0, 0), "seed {seed}");
    assert_eq!(stats.finished + stats.cancelled + stats.timed_out, requests as u64, "seed {seed}: {stats:?}");
    assert_eq!(world.finished as u64, stats.finished + stats.timed_out, "seed {seed}: {stats:?}");
    stats
}

#[test]
fn after_ten_thousand_requests_and_cancels_every_block_is_back_and_no_answer_was_wrong() {
    let first: u64 = rand::random();
    let (mut preempted, mut cached, mut timed_out, mut cancelled) = (0, 0, 0, 0);
    for world in 0..20 {
        let seed = first ^ world;
        println!("seed {seed}");
        let stats = live(seed, 500);
        preempted += stats.preemptions;
        cached += stats.cached_tokens;
        timed_out += stats.timed_out;
        cancelled += stats.cancelled;
    }
    println!("{preempted} preempted, {cached} tokens cached, {timed_out} timed out, {cancelled} cancelled");
    assert!(
        preempted > 100 && cached > 1000 && timed_out > 100 && cancelled > 500,
        "hardly anything happened"
    );
}
