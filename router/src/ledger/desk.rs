//! One router at the account: what every call does on this side, wherever the account is kept.

use std::{future::Future, sync::Arc, time::Duration};

use tidegate_admission::{
    Admit, AttemptId, Backend, End, Event, HandBack, Reason, Reentry, Refusal, Renewal, Reply, Return, View,
    snapshot::Snapshot,
};

use super::{
    Admission, Ask, Fleet, LedgerError, LedgerMode, LedgerOptions, MOST_TOKENS, holding::Holdings, micros,
};

/// Time between two renewals of a router's lease.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(1);
/// Seconds after which an unknown pool may be asked for again: a backend that starts up registers within a second.
const UNKNOWN_RETRY_AFTER: f64 = 1.0;

/// Where the account is kept.
pub(super) trait Account: Send + Sync + 'static {
    /// The word for it in `/fleet`.
    fn mode(&self) -> LedgerMode;

    /// Applies an event at the present instant, and sees to it that every router learns what follows for its tickets.
    /// `None` where there is no such pool; a backend that registers makes one.
    fn apply(
        &self,
        pool: &str,
        event: &Event,
    ) -> impl Future<Output = Result<Option<Reply>, LedgerError>> + Send;

    /// The account has lost something that this router holds: says again all that it holds.
    fn lost(&self, pool: &str) -> impl Future<Output = ()> + Send;

    /// Counts and estimates of a pool at the present instant.
    fn view(&self, pool: &str) -> impl Future<Output = Result<Option<View>, LedgerError>> + Send;

    /// The whole account of a pool at the present instant.
    fn snapshot(&self, pool: &str) -> impl Future<Output = Result<Option<Snapshot>, LedgerError>> + Send;

    /// Names of all pools, in order.
    fn pools(&self) -> impl Future<Output = Result<Vec<String>, LedgerError>> + Send;
}

/// One router at the account.
#[derive(Debug)]
pub(super) struct Desk<A> {
    pub(super) account: A,
    pub(super) holdings: Arc<Holdings>,
    pub(super) options: LedgerOptions,
}

impl<A: Account> Desk<A> {
    /// See [`super::Ledger::admit`].
    pub(super) async fn admit(&self, pool: &str, ask: Ask) -> Result<Admission, LedgerError> {
        let asking = self.holdings.open(pool, &ask.attempt, ask.caller.clone());
        let event = Event::Admit(Admit {
            attempt: ask.attempt,
            router: self.options.router_id.clone(),
            limits: self.options.limits_in(pool),
            priority: ask.priority,
            remaining: micros(ask.remaining),
            length: ask.length,
            draw: ask.draw,
            jitter: ask.jitter,
            prefer: ask.prefer,
            caller: ask.caller,
        });
        let reply = self.account.apply(pool, &event).await?;
        asking.answered(reply.unwrap_or_else(unknown_pool))
    }

    /// See [`super::Ledger::release`]. Closed on this side first: should the call get lost, the ledger frees an attempt
    /// that its router no longer knows.
    pub(super) async fn release(
        &self,
        pool: &str,
        attempt: &AttemptId,
        end: End,
        tokens: Option<u64>,
    ) -> Result<(), LedgerError> {
        self.holdings.close(attempt);
        self.apply(pool, &Event::Release(attempt.clone(), end, credible(tokens))).await
    }

    /// See [`super::Ledger::cancel`].
    pub(super) async fn cancel(&self, pool: &str, attempt: &AttemptId, end: End) -> Result<(), LedgerError> {
        self.holdings.close(attempt);
        self.apply(pool, &Event::Cancel(attempt.clone(), end)).await
    }

    /// See [`super::Ledger::abandon`].
    pub(super) async fn abandon(
        &self,
        pool: &str,
        attempt: &AttemptId,
        end: End,
        tokens: Option<u64>,
    ) -> Result<(), LedgerError> {
        self.holdings.abandon(attempt);
        let done = self.apply(pool, &Event::Abandon(attempt.clone(), end, credible(tokens))).await;
        if done.is_err() {
            self.holdings.close(attempt);
        }
        done
    }

    /// See [`super::Ledger::confirm`].
    pub(super) async fn confirm(&self, pool: &str, attempt: &AttemptId) -> Result<(), LedgerError> {
        self.holdings.close(attempt);
        self.apply(pool, &Event::Confirm(attempt.clone())).await
    }

    /// See [`super::Ledger::hand_back`].
    pub(super) async fn hand_back(
        &self,
        pool: &str,
        attempt: &AttemptId,
        why: HandBack,
        next: AttemptId,
    ) -> Result<Admission, LedgerError> {
        let returned = Return {
            attempt: attempt.clone(),
            next: next.clone(),
            router: self.options.router_id.clone(),
            limits: self.options.limits_in(pool),
            why,
            place: self.holdings.place(attempt)?,
            caller: self.holdings.caller(attempt),
        };
        let asking = self.holdings.open_next(pool, attempt, why, &next);
        let reply = self.account.apply(pool, &Event::HandBack(returned)).await?;
        asking.answered(reply.unwrap_or_else(unknown_pool))
    }

    /// See [`super::Ledger::put_backend`].
    pub(super) async fn put_backend(&self, pool: &str, backend: Backend) -> Result<(), LedgerError> {
        self.apply(pool, &Event::PutBackend(backend)).await
    }

    /// See [`super::Ledger::remove_backend`].
    pub(super) async fn remove_backend(&self, pool: &str, id: &str) -> Result<(), LedgerError> {
        self.apply(pool, &Event::RemoveBackend(id.to_owned())).await
    }

    /// See [`super::Ledger::reconcile_backend`].
    pub(super) async fn reconcile_backend(
        &self,
        pool: &str,
        id: &str,
        held: &[AttemptId],
    ) -> Result<(), LedgerError> {
        self.apply(pool, &Event::Reconcile(id.to_owned(), held.to_vec())).await
    }

    /// See [`super::Ledger::mode`].
    pub(super) fn mode(&self) -> LedgerMode {
        self.account.mode()
    }

    /// See [`super::Ledger::view`].
    pub(super) async fn view(&self, pool: &str) -> Result<Option<View>, LedgerError> {
        self.account.view(pool).await
    }

    /// See [`super::Ledger::views`].
    pub(super) async fn views(&self) -> Result<Vec<(String, View)>, LedgerError> {
        let mut views = Vec::new();
        for name in self.account.pools().await? {
            if let Some(view) = self.account.view(&name).await? {
                views.push((name, view));
            }
        }
        Ok(views)
    }

    /// See [`super::Ledger::fleet`].
    pub(super) async fn fleet(&self) -> Result<Fleet, LedgerError> {
        let mut pools = Vec::new();
        for name in self.account.pools().await? {
            if let Some(snapshot) = self.account.snapshot(&name).await? {
                pools.push((name, snapshot));
            }
        }
        Ok(Fleet::new(self.account.mode(), pools, &self.options.limits, self.options.reset_interval))
    }

    /// Opens the pools that this router was told of, so that requests can wait there for a first backend.
    pub(super) async fn open_named(&self) -> Result<(), LedgerError> {
        let known = self.account.pools().await?;
        for pool in self.options.pools.iter().filter(|pool| !known.contains(pool)) {
            let reentry = Reentry {
                router: self.options.router_id.clone(),
                number: self.holdings.next_number(),
                flags: self.options.flags(),
                limits: self.options.limits_in(pool),
                routers: 1,
                held: Vec::new(),
            };
            self.account.apply(pool, &Event::Reenter(reentry)).await?;
        }
        Ok(())
    }

    /// Renews this router's lease in every pool, and takes in what the ledger knows better.
    pub(super) async fn renew(&self) -> Result<(), LedgerError> {
        self.open_named().await?;
        for pool in self.account.pools().await? {
            let number = self.holdings.next_number();
            let (known, check) = self.holdings.in_pool(&pool);
            let renewal = Renewal {
                router: self.options.router_id.clone(),
                number,
                flags: self.options.flags(),
                limits: self.options.limits_in(&pool),
                known,
                check,
                reset_interval: micros(self.options.reset_interval),
            };
            if let Some(Reply::Renewed { granted, gone, recovering, .. }) =
                self.account.apply(&pool, &Event::Renew(renewal)).await?
                && (self.holdings.reconcile(granted, &gone) || recovering)
            {
                self.account.lost(&pool).await;
            }
        }
        Ok(())
    }

    async fn apply(&self, pool: &str, event: &Event) -> Result<(), LedgerError> {
        self.account.apply(pool, event).await.map(drop)
    }
}

/// Tokens as they are charged: no backend's word makes the account overflow.
fn credible(tokens: Option<u64>) -> Option<u64> {
    tokens.map(|tokens| tokens.min(MOST_TOKENS))
}

/// The refusal of a request for a pool that no backend ever served.
fn unknown_pool() -> Reply {
    let refusal = Refusal { reason: Reason::UnknownPool, retry_after: UNKNOWN_RETRY_AFTER, hopeless: false };
    Reply::Rejected(refusal, None)
}
