//! Holds what happened against what was promised.

use super::account::Watched;
use super::answer::Judged;
use super::ask::{Asked, Outcome, token};
use super::history::{Change, History, Micros, SECOND, seconds};
use super::plan::{MAX_QUEUE_SIZE, NODE_SLOTS, Question, REQUEST_TIMEOUT};
use super::runs::Runs;
use super::settle::Settled;
use super::verdict::Promise;
use std::collections::BTreeMap;
use std::time::Duration;

/// All that a run left behind.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// The run's seed.
    pub seed: u64,
    /// What became of every request.
    pub asked: &'a [Asked],
    /// What happened to the processes.
    pub history: &'a History,
    /// What the nodes did.
    pub runs: &'a Runs,
    /// What the account's watch saw.
    pub watched: &'a Watched,
    /// How it ended.
    pub settled: &'a Settled,
}

/// After an outage: so long may a queue be above its limit, and a pool without a backend.
const AFTERMATH: Micros = 10 * SECOND;
/// An end that is seen at its far side a little before it is noted here, or after.
const NOTICE: Micros = SECOND / 2;
/// What a busy machine may add to a deadline.
const LATE: Micros = SECOND;
/// Answers below which a run of so few seconds says nothing.
const RIGHT_PER_SECOND: usize = 3;

impl Evidence<'_> {
    /// The promises, each with its evidence.
    pub fn promises(&self, length: f64) -> Vec<Promise> {
        let mut promises = vec![self.one_answer(), self.in_time(), self.right(), self.errors(), self.once()];
        promises.extend([self.bounded(), self.account(), self.slots(), self.rest(), self.whole()]);
        promises.push(self.enough(length));
        promises
    }

    /// A request whose router lived has its answer; one whose router died may have none.
    fn one_answer(&self) -> Promise {
        let excused = |asked: &&Asked| self.router_died(asked) || self.broken_by_its_backend(asked);
        let without = self.asked.iter().filter(|asked| match asked.outcome {
            Outcome::Cut(_) => !excused(asked),
            Outcome::Silent => true,
            Outcome::Unsent => {
                !self.history.died("router-", asked.sent.saturating_sub(AFTERMATH), asked.ended)
            }
            _ => false,
        });
        let of =
            |wanted: fn(&Outcome) -> bool| self.asked.iter().filter(|asked| wanted(&asked.outcome)).count();
        let figures = format!(
            "{} requests: {} answered, {} cut off, {} hung up, {} found no router",
            self.asked.len(),
            of(|outcome| matches!(outcome, Outcome::Answered(_))),
            of(|outcome| matches!(outcome, Outcome::Cut(_))),
            of(|outcome| matches!(outcome, Outcome::HungUp)),
            of(|outcome| matches!(outcome, Outcome::Unsent)),
        );
        Promise {
            what: "exactly one answer",
            figures,
            evidence: without.map(|asked| self.told(asked)).collect(),
        }
    }

    /// An answer has its last byte before the deadline, unless its router stood still meanwhile.
    fn in_time(&self) -> Promise {
        let steady = self.asked.iter().filter(|asked| {
            let name = format!("router-{}", asked.router);
            !self.history.disturbed(&name, asked.sent.saturating_sub(NOTICE), asked.ended)
        });
        let took = |asked: &Asked| asked.ended - asked.sent;
        let deadline = u64::try_from(REQUEST_TIMEOUT.as_micros()).unwrap_or(Micros::MAX) + LATE;
        let late =
            steady.clone().filter(|asked| took(asked) > deadline).map(|asked| self.told(asked)).collect();
        let slowest = steady.map(took).max().unwrap_or_default();
        let figures = format!("slowest {:.2} s of {} s", slowest as f64 / 1e6, REQUEST_TIMEOUT.as_secs());
        Promise { what: "over by the deadline", figures, evidence: late }
    }

    fn right(&self) -> Promise {
        let right = |question: fn(&Question) -> bool| {
            let right = self.asked.iter().filter(|asked| asked.outcome == Outcome::Answered(Judged::Right));
            right.filter(|asked| question(&asked.request.question)).count()
        };
        let (echoes, facts) =
            (right(|question| *question == Question::Echo), right(|question| *question != Question::Echo));
        let wrong =
            self.asked.iter().filter(|asked| matches!(asked.outcome, Outcome::Answered(Judged::Wrong(_))));
        let evidence = wrong.map(|asked| self.told(asked)).collect();
        Promise { what: "every answer right", figures: format!("{echoes} echoes, {facts} facts"), evidence }
    }

    /// Refusals are the fleet's to give; any other error needs something that happened.
    fn errors(&self) -> Promise {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut evidence = Vec::new();
        for asked in self.asked {
            let Outcome::Answered(Judged::Error { code, begun }) = &asked.outcome else { continue };
            let word = if *begun { format!("{code} in mid-stream") } else { code.clone() };
            *counts.entry(word).or_default() += 1;
            if !self.has_cause(asked, code) {
                evidence.push(self.told(asked));
            }
        }
        let figures: Vec<String> = counts.iter().map(|(code, count)| format!("{count} {code}")).collect();
        Promise { what: "errors have a cause", figures: figures.join(", "), evidence }
    }

    fn has_cause(&self, asked: &Asked, code: &str) -> bool {
        let from = asked.sent.saturating_sub(AFTERMATH);
        match code {
            "capacity" | "queue_full" | "deadline" => true,
            "backend_error" => self.history.died("backend-", asked.sent.saturating_sub(SECOND), asked.ended),
            "no_backend" => {
                ["backend-", "redis"].iter().any(|names| self.history.disturbed(names, from, asked.ended))
            }
            "timeout" => self.history.disturbed("", asked.sent, asked.ended),
            "ledger_unavailable" => self.history.disturbed("redis", from, asked.ended),
            _ => false,
        }
    }

    /// After its first piece went to the client, a request is not run again.
    fn once(&self) -> Promise {
        let (mut again, mut evidence) = (0, Vec::new());
        for asked in self.asked {
            let runs = self.runs.of(&token(self.seed, asked.request.number));
            again += usize::from(runs.len() > 1);
            let late = runs.iter().filter(|run| asked.first.is_some_and(|first| run.began > first));
            evidence.extend(late.map(|run| format!("{run:?} of {}", self.told(asked))));
        }
        let runs: usize = self.runs.by_token.values().map(Vec::len).sum();
        let figures =
            format!("{runs} runs on the nodes, {again} requests ran again before their first piece");
        Promise { what: "run once", figures, evidence }
    }

    fn bounded(&self) -> Promise {
        let watched = self.watched;
        let uncaused = watched.above.iter().filter(|(first, ..)| {
            let from = first.saturating_sub(AFTERMATH);
            !["redis", "router-"].iter().any(|names| self.history.disturbed(names, from, *first))
        });
        let evidence = uncaused.map(|(first, last, longest)| {
            let (first, last) = (seconds(*first), seconds(*last));
            format!("{longest} tickets from {first} to {last}, and nothing had happened")
        });
        let figures = format!(
            "longest {} of {MAX_QUEUE_SIZE}; {} of {} looks at the limit; {} times above it after an outage",
            watched.longest,
            watched.at_limit,
            watched.looks,
            watched.above.len(),
        );
        Promise { what: "queue within its limit", figures, evidence: evidence.collect() }
    }

    fn account(&self) -> Promise {
        let watched = self.watched;
        let told = |at: Micros, what: &str| format!("{}: {what}", seconds(at));
        let mut evidence: Vec<String> =
            watched.breaches.iter().map(|breach| told(breach.at, &breach.what)).collect();
        if watched.looks == 0 {
            evidence.push("the account was never seen".to_owned());
        }
        let figures = format!("{} looks, {} broken", watched.looks, watched.broken);
        Promise { what: "no count wrong or negative", figures, evidence }
    }

    fn slots(&self) -> Promise {
        let (most, slots) = (self.runs.most_at_once, NODE_SLOTS as usize);
        let evidence = (most > slots).then(|| format!("{most} pieces of work at once on one node"));
        let figures = format!("most at once {most} of {slots}; nodes refused {}", self.runs.refused);
        Promise { what: "running within the slots", figures, evidence: evidence.into_iter().collect() }
    }

    fn rest(&self) -> Promise {
        ended("every count zero in 10 s", &self.settled.rest)
    }

    fn whole(&self) -> Promise {
        let mut promise = ended("whole again", &self.settled.whole);
        let last = &self.settled.last;
        let bad = last.iter().filter(|asked| asked.outcome != Outcome::Answered(Judged::Right));
        promise.evidence.extend(bad.map(|asked| self.told(asked)));
        promise.figures += &format!("; {} last requests", last.len());
        promise
    }

    /// A run in which little happened proves little; and no process may end by itself, but for a router that finds no Redis
    /// when it starts.
    fn enough(&self, length: f64) -> Promise {
        let count = |names: &str, change| self.history.count(names, change);
        let (killed, stopped) = (count("", Change::Killed), count("", Change::Stopped));
        let right =
            self.asked.iter().filter(|asked| asked.outcome == Outcome::Answered(Judged::Right)).count();
        let least = (RIGHT_PER_SECOND as f64 * length) as usize;
        let mut evidence = Vec::new();
        if killed == 0 || stopped == 0 || right < least {
            evidence.push(format!(
                "{killed} killed, {stopped} stopped, {right} right answers of {least} at least"
            ));
        }
        let exits = self.history.exits("");
        let odd = exits.iter().filter(|(name, at)| {
            !(name.starts_with("router-")
                && self.history.disturbed("redis", at.saturating_sub(5 * SECOND), *at))
        });
        evidence.extend(odd.map(|(name, at)| format!("{name} ended by itself at {}", seconds(*at))));
        let figures = format!("{killed} killed, {stopped} stopped, {} routers found no Redis", exits.len());
        Promise { what: "faults, and no other", figures, evidence }
    }

    fn router_died(&self, asked: &Asked) -> bool {
        let name = format!("router-{}", asked.router);
        self.history.died(&name, asked.sent.saturating_sub(NOTICE), asked.ended + NOTICE)
    }

    /// An answer that is no stream cannot say that it broke off: its connection breaks.
    fn broken_by_its_backend(&self, asked: &Asked) -> bool {
        asked.outcome == Outcome::Cut(true)
            && !asked.request.stream
            && self.history.died("backend-", asked.sent, asked.ended + NOTICE)
    }

    fn told(&self, asked: &Asked) -> String {
        format!(
            "{} at router-{} from {} to {}: {:?} ({:?}, stream {}, {})",
            token(self.seed, asked.request.number),
            asked.router,
            seconds(asked.sent),
            seconds(asked.ended),
            asked.outcome,
            asked.request.question,
            asked.request.stream,
            asked.request.priority,
        )
    }
}

fn ended(what: &'static str, end: &Result<Duration, Vec<String>>) -> Promise {
    match end {
        Ok(after) => {
            Promise { what, figures: format!("after {:.1} s", after.as_secs_f64()), evidence: Vec::new() }
        }
        Err(left) => Promise { what, figures: "not in time".to_owned(), evidence: left.clone() },
    }
}
