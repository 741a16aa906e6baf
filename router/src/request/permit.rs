//! The guards that hold a place in the ledger: a [`Claim`] until the grant, a [`Permit`] from the grant to the last byte.
//!
//! Dropping a guard gives back what it holds, whatever the reason: a client that left, a deadline, a panic. What the
//! ledger must be told is told without waiting, by a task of its own where need be, so that a drop never blocks and never fails.

use super::lengths::Lengths;
use super::meter::Meter;
use super::retries::Retries;
use crate::balance::Balance;
use crate::confirm::Confirmer;
use crate::ledger::{AttemptId, End, Grant, HandBack, Ledger};
use crate::roster::{OnBackend, Roster};
use crate::tally::Tally;
use http::HeaderValue;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use tidegate_admission::Class;
use tidegate_telemetry::RequestScope;
use tidegate_telemetry::metrics::{BackendError, InFlight, RouterMetrics};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// What the guards of all requests share.
#[derive(Debug)]
pub struct Desk {
    /// The account in which places are held.
    pub ledger: Ledger,
    /// Finds out when given-up work has stopped.
    pub confirmer: Confirmer,
    /// What this router counts.
    pub metrics: Arc<RouterMetrics>,
    /// How long requests take, as far as this router has seen it.
    pub lengths: Lengths,
    /// What this router does in the running second.
    pub tally: Arc<Tally>,
    /// How backends stand with this router.
    pub roster: Roster,
    /// Which backend a request would rather have.
    pub balance: Balance,
    /// How many requests may be sent a second time.
    pub retries: Retries,
    router_id: String,
    next_attempt: AtomicU64,
    /// Tasks that tell the ledger what was given back.
    telling: TaskTracker,
}

impl Desk {
    /// A desk whose attempts are named after the router's life `router_id`.
    pub fn new(
        ledger: Ledger,
        confirmer: Confirmer,
        metrics: Arc<RouterMetrics>,
        router_id: String,
        balance: Balance,
    ) -> Self {
        Self {
            ledger,
            confirmer,
            metrics,
            lengths: Lengths::default(),
            tally: Arc::default(),
            roster: Roster::default(),
            balance,
            retries: Retries::default(),
            router_id,
            next_attempt: AtomicU64::new(1),
            telling: TaskTracker::new(),
        }
    }

    /// The name of this router's life.
    pub fn router_id(&self) -> &str {
        &self.router_id
    }

    /// Waits until all that was given back so far is told to the ledger, at most so long: for a router that ends.
    pub async fn settle(&self, most: Duration) {
        self.telling.close();
        // What is not told by then is found by the leases.
        let _in_time = tokio::time::timeout(most, self.telling.wait()).await;
    }

    /// A name for one try, never used before.
    fn next_attempt(&self) -> AttemptId {
        let number = self.next_attempt.fetch_add(1, Ordering::Relaxed);
        AttemptId::from([&self.router_id, "-", &number.to_string()].concat())
    }

    /// Opens a claim under a new attempt id. It exists before the ledger is asked, so that a call whose answer is never
    /// awaited leaves nothing behind.
    pub fn claim(self: &Arc<Self>, pool: &str, class: Class) -> Claim {
        let place = Place { desk: self.clone(), pool: pool.to_owned(), class, attempt: self.next_attempt() };
        Claim { place: Some(place), end: End::ClientGone }
    }
}

/// One attempt's place in the ledger.
#[derive(Debug)]
struct Place {
    desk: Arc<Desk>,
    pool: String,
    class: Class,
    attempt: AttemptId,
}

impl Place {
    /// Tells the ledger: at once where that is in this process, else in a task of its own; a ledger that is away reconciles by its
    /// leases later.
    fn tell<F, Fut>(self, call: F)
    where
        F: FnOnce(Self) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        // A drop after the runtime has gone has nobody left to tell.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let telling = self.desk.telling.clone();
            let mut told = Box::pin(RequestScope::current().follow(call(self)));
            // Whoever wakes it, a task polls it anew.
            if told.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                telling.spawn_on(told, &runtime);
            }
        }
    }

    /// Tells the ledger that this attempt's work has stopped.
    async fn confirm(&self) {
        if let Err(error) = self.desk.ledger.confirm(&self.pool, &self.attempt).await {
            tracing::warn!(%error, attempt = %self.attempt, "stopped work could not be confirmed; the next reset will");
        }
    }
}

/// A request that asks or waits. Dropped, it gives its ticket up, or the slot that it was granted meanwhile.
#[derive(Debug)]
pub struct Claim {
    place: Option<Place>,
    /// Why it was given up, if it is dropped.
    end: End,
}

impl Claim {
    /// The id under which the ledger knows this claim. A claim that has become a permit has none.
    pub fn attempt(&self) -> Option<&AttemptId> {
        self.place.as_ref().map(|place| &place.attempt)
    }

    /// The claim was granted: from now on the permit holds the slot.
    pub fn granted(mut self, grant: Grant) -> Option<Permit> {
        let place = self.place.take()?;
        let running = place.desk.metrics.running(&place.pool);
        let on = place.desk.roster.occupy(&grant.backend);
        let since = Instant::now();
        let held = Held { place, grant, since, meter: None, on, _running: running };
        Some(Permit { held: Some(Box::new(held)) })
    }

    /// Its time ran out: that, and not a client that left, is why it will be dropped.
    pub fn expired(&mut self) {
        self.end = End::TimedOut;
    }

    /// The ledger refused: there is nothing to give back.
    pub fn refused(mut self) {
        self.place = None;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let end = self.end;
        place.tell(move |place| async move {
            if let Err(error) = place.desk.ledger.cancel(&place.pool, &place.attempt, end).await {
                tracing::warn!(%error, attempt = %place.attempt, "a ticket could not be given back; its lease will");
            }
        });
    }
}

#[derive(Debug)]
struct Held {
    place: Place,
    grant: Grant,
    since: Instant,
    /// What it has cost so far, where it is a tenant's.
    meter: Option<Meter>,
    /// The backend on the roster; none where this router knows it from the ledger alone.
    on: Option<OnBackend>,
    _running: InFlight,
}

impl Held {
    /// As the router was told; of a backend that it knows from the account alone it was told nothing.
    fn http2(&self) -> bool {
        let unknown = || self.place.desk.confirmer.upstream.http2();
        self.on.as_ref().map_or_else(unknown, OnBackend::http2)
    }
}

/// The right to run on one backend. Dropped before [`Permit::finish`], it marks the slot abandoned: the backend may
/// still work, and the slot counts until that is known to have stopped.
#[derive(Debug)]
pub struct Permit {
    held: Option<Box<Held>>,
}

impl Permit {
    /// Where the request may run. `None` only after the permit was used up.
    pub fn grant(&self) -> Option<&Grant> {
        self.held.as_ref().map(|held| &held.grant)
    }

    /// When the slot was granted. `None` only after the permit was used up.
    pub fn since(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.since)
    }

    /// Counts from now on what it costs.
    pub fn meter(&mut self, meter: Option<Meter>) {
        if let Some(held) = self.held.as_deref_mut() {
            held.meter = meter;
        }
    }

    /// The meter of a tenant's request, as long as the permit holds its slot.
    pub fn metered(&mut self) -> Option<&mut Meter> {
        self.held.as_deref_mut()?.meter.as_mut()
    }

    /// Counts what went wrong at the backend of this slot, as long as the permit holds it. A connection that cannot be had, or
    /// breaks, speaks against the backend; that it is full does not, nor does a request that was given too little time.
    pub fn backend_error(&self, error: BackendError) {
        let Some(Held { place, grant, .. }) = self.held.as_deref() else { return };
        place.desk.metrics.backend_error(&place.pool, &grant.backend, error);
        if matches!(error, BackendError::Unreachable | BackendError::BrokenOff) {
            self.backend_failed();
        }
    }

    /// The backend failed this request by its own fault.
    pub fn backend_failed(&self) {
        let Some(Held { place, grant, on: Some(on), .. }) = self.held.as_deref() else { return };
        if let Some(ejection) = place.desk.roster.failed(on) {
            let (backend, pause) = (&grant.backend, ejection.pause.as_secs());
            tracing::warn!(%backend, model = %ejection.pool, pause_s = pause, "a backend fails: it is left out for a while");
            place.desk.metrics.ejected(&ejection.pool, backend);
        }
    }

    /// The backend answered as one that is well.
    pub fn backend_answered(&self) {
        let Some(Held { place, grant, on: Some(on), .. }) = self.held.as_deref() else { return };
        if place.desk.roster.answered(on) {
            tracing::info!(backend = %grant.backend, model = %place.pool, "an ejected backend is well again");
        }
    }

    /// What the backend of this slot is sent as `authorization`, where it has a key of its own.
    pub fn key(&self) -> Option<HeaderValue> {
        self.held.as_deref()?.on.as_ref()?.key()
    }

    /// Whether HTTP/2 is spoken to the backend of this slot.
    pub fn http2(&self) -> bool {
        self.held.as_deref().is_some_and(Held::http2)
    }

    /// The work has ended and the slot is free.
    pub fn finish(mut self, end: End) {
        self.release(end);
    }

    /// The same through a reference, for a body that is being polled.
    pub fn release(&mut self, end: End) {
        let Some(Held { place, since, meter, .. }) = self.held.take().map(|held| *held) else { return };
        // Whoever got no answer pays nothing.
        let tokens = meter.map(|meter| if end == End::Finished { meter.tokens() } else { 0 });
        if end == End::Finished {
            place.desk.lengths.finished(&place.pool, place.class, since);
        }
        place.tell(move |place| async move {
            if let Err(error) = place.desk.ledger.release(&place.pool, &place.attempt, end, tokens).await {
                tracing::warn!(%error, attempt = %place.attempt, "a slot could not be given back; its lease will");
            }
        });
    }

    /// The request is given up while the backend may still work on it.
    pub fn abandon(&mut self, end: End) {
        let Some(held) = self.held.take() else { return };
        let http2 = held.http2();
        let Held { place, grant, since, meter, .. } = *held;
        let tokens = meter.map(|meter| meter.tokens());
        if end == End::TimedOut {
            place.desk.lengths.ran_out(&place.pool, place.class, since);
        }
        place.tell(move |place| async move {
            if let Err(error) = place.desk.ledger.abandon(&place.pool, &place.attempt, end, tokens).await {
                tracing::warn!(%error, attempt = %place.attempt, "an abandoned slot could not be reported; its lease will");
            }
            let confirmer = place.desk.confirmer.clone();
            confirmer.wait_until_stopped(&grant, http2).await;
            place.confirm().await;
        });
    }

    /// A claim for the same request's next attempt, with this attempt's id for the ledger's call. The permit stays
    /// alive until [`Permit::handed_back`], so that a call that is cut off leaves neither attempt behind.
    pub fn successor(&self) -> Option<(AttemptId, Claim)> {
        let Held { place, .. } = self.held.as_deref()?;
        Some((place.attempt.clone(), place.desk.claim(&place.pool, place.class)))
    }

    /// The ledger has moved the ticket to the next attempt: this one holds nothing any more. Where the backend said that it is
    /// full, the slot counts as abandoned until its next report.
    pub fn handed_back(mut self, why: HandBack) {
        let Some(held) = self.held.take() else { return };
        let http2 = held.http2();
        let Held { place, grant, .. } = *held;
        if why == HandBack::Concurrency {
            place.tell(move |place| async move {
                place.desk.confirmer.clone().wait_for_report(&grant, http2).await;
                place.confirm().await;
            });
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.abandon(End::ClientGone);
    }
}
