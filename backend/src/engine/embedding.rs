//! The other kind of engine: one thread that makes embeddings of texts. Texts of all requests share its forward passes.
//!
//! Requests take turns, text by text, so that one of a thousand texts does not keep one of a single text waiting.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::stats::{Counters, Departure, StepTokens, Unfinished};
use super::step_loop::panic_text;
use crate::model::Embedder;

/// Texts to embed.
pub struct EmbedRequest {
    /// Token ids of each, special tokens included.
    pub texts: Vec<Vec<u32>>,
    /// Dropped by the engine once it has left the request, before the answer is sent: carries the slot.
    pub hold: Option<Arc<dyn Any + Send + Sync>>,
}

impl std::fmt::Debug for EmbedRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tokens: Vec<usize> = self.texts.iter().map(Vec::len).collect();
        f.debug_struct("EmbedRequest").field("tokens", &tokens).finish_non_exhaustive()
    }
}

/// One embedding for each text of a request, or why there are none.
pub type Embedded = Result<Vec<Vec<f32>>, String>;

/// The embeddings of a request while they are being made. Dropping it cancels: the request is gone within one step.
#[derive(Debug)]
pub struct Embeddings(oneshot::Receiver<Embedded>);

impl Embeddings {
    /// Waits for all of them. An engine that died without a word gives an error, never silence.
    ///
    /// # Errors
    /// Says what failed in the step.
    pub async fn all(self) -> Embedded {
        self.0.await.unwrap_or_else(|_| Err("the engine has stopped".into()))
    }
}

/// A request at work.
#[derive(Debug)]
pub(super) struct Job {
    texts: Vec<Vec<u32>>,
    /// Of the first texts; the others are still to be made.
    done: Vec<Vec<f32>>,
    answer: oneshot::Sender<Embedded>,
    hold: Hold,
    unfinished: Unfinished,
}

/// The caller's, which need not be printable.
struct Hold(
    #[expect(dead_code, reason = "what counts is when it is dropped")] Option<Arc<dyn Any + Send + Sync>>,
);

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hold")
    }
}

impl Job {
    /// A request that was checked, and where its answer will come.
    pub(super) fn new(request: EmbedRequest, unfinished: Unfinished) -> (Self, Embeddings) {
        let (answer, receiver) = oneshot::channel();
        let EmbedRequest { texts, hold } = request;
        let done = Vec::with_capacity(texts.len());
        let job = Self { texts, done, answer, hold: Hold(hold), unfinished };
        (job, Embeddings(receiver))
    }

    /// Slot and everything else go before the answer is sent: who reads it may rely on that.
    fn end(self, failed: Option<&str>) {
        let Self { done, answer, hold, unfinished, .. } = self;
        drop((hold, unfinished));
        // A reader that has left needs no answer.
        let _ = answer.send(failed.map_or(Ok(done), |why| Err(why.to_owned())));
    }
}

/// Everything that the thread owns.
pub(super) struct EmbedLoop {
    pub(super) model: Embedder,
    /// Tokens of one forward pass; a single text may have more.
    pub(super) max_batch_tokens: usize,
    pub(super) jobs: VecDeque<Job>,
    pub(super) counters: Arc<Counters>,
}

impl EmbedLoop {
    /// Runs until all handles are gone and no request is left.
    pub(super) fn run(mut self, arrivals: &Receiver<Job>) {
        while self.take_arrivals(arrivals) {
            self.step();
        }
    }

    /// Takes in what has arrived, and waits where there is nothing to do. False when nothing can come any more.
    fn take_arrivals(&mut self, arrivals: &Receiver<Job>) -> bool {
        if self.jobs.is_empty() {
            let Ok(first) = arrivals.recv() else { return false };
            self.jobs.push_back(first);
        }
        loop {
            match arrivals.try_recv() {
                Ok(job) => self.jobs.push_back(job),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => return true,
            }
        }
    }

    fn step(&mut self) {
        for job in take(&mut self.jobs, |job| job.answer.is_closed()) {
            self.let_go(job, Departure::Cancelled, None);
        }
        let counts = plan(&self.jobs, self.max_batch_tokens);
        self.counters.publish(counts.iter().filter(|count| **count > 0).count(), 0, 0);
        if self.jobs.is_empty() {
            return;
        }
        let chosen: Vec<&[u32]> =
            self.jobs.iter().zip(&counts).flat_map(|(job, n)| next_of(job, *n)).collect();
        let tokens =
            StepTokens { prompt: chosen.iter().map(|text| text.len()).sum(), ..StepTokens::default() };
        let (begun, computed) = (Instant::now(), tokens.prompt);
        let texts = chosen.len();
        // A panic in a kernel must reach the readers as an error, not as silence.
        let made = catch_unwind(AssertUnwindSafe(|| self.model.embed(&chosen)));
        match made {
            Ok(Ok(embeddings)) => {
                self.counters.count_tokens(tokens);
                self.hand_out(embeddings, &counts);
            }
            Ok(Err(error)) => self.fail(&counts, &error.to_string()),
            Err(panic) => self.fail(&counts, panic_text(&*panic)),
        }
        self.counters.metrics.step(begun.elapsed(), texts, computed);
        self.counters.step_done();
        self.counters.publish(0, 0, 0);
    }

    fn hand_out(&mut self, embeddings: Vec<Vec<f32>>, counts: &[usize]) {
        let mut embeddings = embeddings.into_iter();
        for (job, count) in self.jobs.iter_mut().zip(counts) {
            job.done.extend(embeddings.by_ref().take(*count));
        }
        let finished = take(&mut self.jobs, |job| job.done.len() == job.texts.len());
        // Those that were served stand first, and go on behind those that were not.
        let served = counts.iter().filter(|count| **count > 0).count() - finished.len();
        self.jobs.rotate_left(served);
        for job in finished {
            self.let_go(job, Departure::Finished, None);
        }
    }

    /// Ends the requests whose texts were in the step; the others are tried next.
    fn fail(&mut self, counts: &[usize], why: &str) {
        tracing::error!(error = why, "a step failed");
        let mut counts = counts.iter();
        for job in take(&mut self.jobs, |_| counts.next().is_some_and(|count| *count > 0)) {
            self.let_go(job, Departure::Failed, Some(why));
        }
    }

    fn let_go(&self, job: Job, departure: Departure, failed: Option<&str>) {
        self.counters.departed(departure);
        job.end(failed);
    }
}

/// How many texts of each request the next step takes: one of each in turn, as long as `budget` tokens last. At least one
/// text of the first request that has any.
fn plan(jobs: &VecDeque<Job>, budget: usize) -> Vec<usize> {
    let mut counts = vec![0; jobs.len()];
    let (mut left, mut any) = (budget, false);
    loop {
        let before: usize = counts.iter().sum();
        for (job, count) in jobs.iter().zip(&mut counts) {
            let Some(text) = job.texts.get(job.done.len() + *count) else { continue };
            if any && text.len() > left {
                return counts;
            }
            left = left.saturating_sub(text.len());
            any = true;
            *count += 1;
        }
        if counts.iter().sum::<usize>() == before {
            return counts;
        }
    }
}

/// The next `count` texts of a request.
fn next_of(job: &Job, count: usize) -> impl Iterator<Item = &[u32]> {
    job.texts[job.done.len()..][..count].iter().map(Vec::as_slice)
}

/// Takes out what is `wanted`; the rest stays in order.
fn take(jobs: &mut VecDeque<Job>, mut wanted: impl FnMut(&Job) -> bool) -> Vec<Job> {
    let (out, stay) = std::mem::take(jobs).into_iter().partition(|job| wanted(job));
    *jobs = stay;
    Vec::from(out)
}
