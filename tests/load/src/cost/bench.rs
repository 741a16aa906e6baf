//! One router at an account of a given size.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use futures_util::future::join_all;
use tidegate_router::ledger::{
    Admission, Ask, AttemptId, Backend, Ledger, LedgerOptions, Limits, OnLoss, Priority, RedisLedger, Ticket,
    Waited,
};
use tidegate_serve::workers::Workers;
use tidegate_tests::redis::RedisServer;
use tokio::time::Instant;

use super::{ENDED, Size, meter::Meter};

const POOL: &str = "cost";
const SLOTS_EACH: u32 = 2;
/// Calls under way at once while nothing is measured.
pub(super) const AT_ONCE: usize = 50;

/// A router, its Redis, and what it holds.
pub(super) struct Bench {
    pub(super) meter: Meter,
    ledger: Arc<Ledger>,
    size: Size,
    made: u64,
    running: VecDeque<AttemptId>,
    waiting: VecDeque<Ticket>,
    _redis: RedisServer,
}

impl Bench {
    /// Starts Redis and registers the backends.
    pub(super) async fn start(size: Size) -> Result<Bench> {
        let redis = RedisServer::start().await;
        let limits = Limits {
            max_queue_size: u32::MAX,
            queue_rejection_threshold: 1.0,
            rejection_start: 1.0,
            wait_share: 1.0,
            ..Limits::default()
        };
        let options = LedgerOptions {
            router_id: "router-0123456789abcdef".to_owned(),
            limits,
            reset_interval: Duration::from_secs(300),
            on_loss: OnLoss::Share,
            pools: Vec::new(),
            metrics: Default::default(),
        };
        let ledger =
            RedisLedger::connect(&redis.url, "tidegate", Duration::from_secs(2), options, &Workers::here())
                .await?;
        let meter = Meter::new(&redis.url).await?;
        let bench = Bench {
            meter,
            ledger: Arc::new(Ledger::Redis(ledger)),
            size,
            made: 0,
            running: VecDeque::new(),
            waiting: VecDeque::new(),
            _redis: redis,
        };
        bench.renew_backends().await?;
        Ok(bench)
    }

    pub(super) fn slots(&self) -> usize {
        (self.size.backends * SLOTS_EACH) as usize
    }

    /// What discovery does each second.
    pub(super) async fn renew_backends(&self) -> Result<()> {
        for first in (0..self.size.backends).step_by(AT_ONCE) {
            let some = first..self.size.backends.min(first + AT_ONCE as u32);
            for put in join_all(some.map(|number| self.ledger.put_backend(POOL, backend(number)))).await {
                put?;
            }
        }
        Ok(())
    }

    /// Takes every slot, and so many tickets.
    pub(super) async fn fill(&mut self, tickets: u32) -> Result<()> {
        self.renew_backends().await?;
        let slots = self.slots();
        self.admit(slots, AT_ONCE).await?;
        ensure!(
            self.running.len() == slots && self.waiting.is_empty(),
            "{} of {slots} slots run",
            self.running.len()
        );
        self.admit(tickets as usize, AT_ONCE).await?;
        ensure!(self.waiting.len() == tickets as usize, "{} of {tickets} tickets wait", self.waiting.len());
        Ok(())
    }

    /// So many requests come, `at_once` calls under way at a time.
    pub(super) async fn admit(&mut self, many: usize, at_once: usize) -> Result<()> {
        for some in chunks(many, at_once) {
            let first = self.made + 1;
            self.made += some as u64;
            let ledger = &self.ledger;
            let coming = (first..=self.made).map(|number| ledger.admit(POOL, ask(number)));
            for admission in join_all(coming).await {
                self.take(admission?)?;
            }
        }
        Ok(())
    }

    /// So many requests end, the oldest first; their slots go to the tickets that wait.
    pub(super) async fn release(&mut self, many: usize, at_once: usize) -> Result<()> {
        ensure!(many <= self.running.len(), "{} run, {many} are to end", self.running.len());
        for some in chunks(many, at_once) {
            let ending: Vec<AttemptId> = self.running.drain(..some).collect();
            let ledger = &self.ledger;
            let calls = ending.iter().map(|attempt| ledger.release(POOL, attempt, ENDED, None));
            join_all(calls).await.into_iter().collect::<Result<(), _>>()?;
            self.take_grants(some)?;
        }
        Ok(())
    }

    /// So many tickets are given up, the last first.
    pub(super) async fn cancel(&mut self, many: usize, at_once: usize) -> Result<()> {
        ensure!(many <= self.waiting.len(), "{} wait, {many} are to go", self.waiting.len());
        for some in chunks(many, at_once) {
            let going = self.waiting.split_off(self.waiting.len() - some);
            let ledger = &self.ledger;
            let calls = going.iter().map(|ticket| ledger.cancel(POOL, &ticket.attempt, ENDED));
            join_all(calls).await.into_iter().collect::<Result<(), _>>()?;
        }
        Ok(())
    }

    /// Everything ends; then the account is zero.
    pub(super) async fn end_all(&mut self) -> Result<()> {
        let waiting = self.waiting.len();
        self.cancel(waiting, AT_ONCE).await?;
        let running = self.running.len();
        self.release(running, AT_ONCE).await?;
        let Some(view) = self.ledger.view(POOL).await? else { bail!("the pool is gone") };
        ensure!(view.running == 0 && view.abandoned == 0 && view.queued_total() == 0, "not zero: {view:?}");
        Ok(())
    }

    /// Requests come and end for so many seconds, `at_once` calls under way at a time, on slots that stay full and a queue that
    /// stays as long. Gives how many.
    pub(super) async fn churn(&mut self, seconds: u64, at_once: usize) -> Result<usize> {
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut done = 0;
        let mut renewed = Instant::now();
        while Instant::now() < end {
            if renewed.elapsed() > Duration::from_secs(1) {
                self.renew_backends().await?;
                renewed = Instant::now();
            }
            done += self.round(at_once).await?;
        }
        Ok(done)
    }

    /// So many requests end while as many come; their slots go to the first tickets.
    async fn round(&mut self, at_once: usize) -> Result<usize> {
        let ending: Vec<AttemptId> = self.running.drain(..at_once.min(self.running.len())).collect();
        let first = self.made + 1;
        self.made += ending.len() as u64;
        let (ledger, coming) = (&self.ledger, first..=self.made);
        let (comes, ends) = tokio::join!(
            join_all(coming.map(|number| ledger.admit(POOL, ask(number)))),
            join_all(ending.iter().map(|attempt| ledger.release(POOL, attempt, ENDED, None))),
        );
        ends.into_iter().collect::<Result<Vec<()>, _>>()?;
        for came in comes {
            self.take(came?)?;
        }
        self.take_grants(ending.len())?;
        Ok(ending.len())
    }

    /// So many tickets, or all that wait, were granted: a grant to the router that called comes with the answer. They are not
    /// quite the first here, since calls under way at once overtake each other.
    fn take_grants(&mut self, many: usize) -> Result<()> {
        for _ in 0..many.min(self.waiting.len()) {
            let granted = self
                .waiting
                .iter_mut()
                .enumerate()
                .find_map(|(index, ticket)| ticket.grant.try_recv().ok().map(|waited| (index, waited)));
            let Some((index, waited)) = granted else { bail!("a free slot went to nobody") };
            self.waiting.remove(index);
            match waited {
                Waited::Granted(grant) => self.running.push_back(grant.attempt),
                Waited::Dropped(reason) => bail!("dropped: {reason}"),
            }
        }
        Ok(())
    }

    /// What became of a request that came.
    fn take(&mut self, admission: Admission) -> Result<()> {
        match admission {
            Admission::Granted(grant) => self.running.push_back(grant.attempt),
            Admission::Queued(ticket) => self.waiting.push_back(ticket),
            Admission::Rejected(rejection) => bail!("rejected: {}", rejection.reason),
        }
        Ok(())
    }
}

/// `many` in parts of at most `at_once`.
fn chunks(many: usize, at_once: usize) -> impl Iterator<Item = usize> {
    (0..many).step_by(at_once).map(move |done| at_once.min(many - done))
}

fn backend(number: u32) -> Backend {
    Backend {
        id: format!("backend-{number:04}"),
        // As long as a real one: Redis searches a hash of few and short values from its start.
        epoch: format!("0194c2f0-7d31-7cc0-9a3b-{number:012}"),
        url: format!("http://backend-{number:04}.models.svc:8100"),
        slots: SLOTS_EACH,
        draining: false,
    }
}

fn ask(number: u64) -> Ask {
    Ask {
        attempt: AttemptId::from(format!("router-0123456789abcdef-{number}")),
        priority: Priority::Normal,
        remaining: Duration::from_secs(3600),
        length: None,
        draw: 0.999,
        jitter: 0.5,
        prefer: None,
        caller: None,
    }
}
