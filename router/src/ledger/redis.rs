//! The account in Redis: one atomic script call per transition, grants pushed to the router that holds the ticket.
//!
//! In the order of reading: [`keys`] is how the account is named, [`scripts`] are the transitions (`../lua`), [`reply`]
//! reads what they answer, [`link`] is the connections with their patience and the subscription, [`glance`] refuses without asking
//! under pressure, [`keeper`] keeps a pool's account while Redis is out of reach.

mod glance;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod keeper;
mod keys;
pub(super) mod link;
pub(super) mod reply;
mod scripts;
mod source;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::future::join_all;
use tidegate_admission::{Action, Event, Reply, View, snapshot::Snapshot};
use tidegate_serve::workers::Workers;
use tidegate_store::IntoAddress;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::{
    glance::Turn,
    keeper::Keeper,
    link::{Link, Terms},
    reply::Answer,
};
use super::{
    LedgerError, LedgerMode, LedgerOptions, OnLoss,
    desk::{Account, Desk, RENEW_EVERY},
    holding::Holdings,
};

/// Time between two attempts to come back to Redis, and between two looks at what is due meanwhile.
const RETURN_EVERY: Duration = Duration::from_millis(100);

/// How often one call is tried, where Redis is found lost and back again meanwhile.
const MOST_TRIES: u32 = 3;

/// The account in Redis, as one router reaches it.
#[derive(Debug)]
pub(super) struct Remote {
    link: Link,
    options: LedgerOptions,
    holdings: Arc<Holdings>,
    /// Who keeps each pool's account.
    keepers: Mutex<BTreeMap<String, Arc<Keeper>>>,
}

/// The account kept in Redis, shared by all routers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RedisLedger {
    pub(super) desk: Arc<Desk<Remote>>,
}

impl RedisLedger {
    /// Connects to Redis 6.2 or later (or Valkey), each of `workers` over a connection of its own too. All that is written lies under
    /// `prefix`. The connections and the task that renews this router's lease end when the last clone is dropped.
    pub async fn connect(
        address: impl IntoAddress,
        prefix: &str,
        patience: Duration,
        options: LedgerOptions,
        workers: &Workers,
    ) -> Result<RedisLedger, LedgerError> {
        let holdings = Arc::new(Holdings::default());
        let terms = Terms { patience, metrics: options.metrics.clone(), ..Terms::default() };
        let (id, ears) = (&options.router_id, Arc::clone(&holdings));
        let link = Link::open(address, prefix, id, ears, terms, workers).await?;
        let ledger = RedisLedger::at(link, holdings, options);
        ledger.desk.renew().await?;
        tokio::spawn(keep_lease(Arc::downgrade(&ledger.desk)));
        Ok(ledger)
    }

    /// A router at an open link, which renews nothing by itself.
    pub(super) fn at(link: Link, holdings: Arc<Holdings>, options: LedgerOptions) -> RedisLedger {
        let account = Remote {
            link,
            options: options.clone(),
            holdings: Arc::clone(&holdings),
            keepers: Mutex::default(),
        };
        RedisLedger { desk: Arc::new(Desk { account, holdings, options }) }
    }
}

/// Key of a pool's counts and estimates, for tests that look for it.
#[cfg(test)]
pub(super) fn pool_key(prefix: &str, pool: &str) -> String {
    keys::of_pool(prefix, pool).swap_remove(0)
}

impl Remote {
    fn keeper(&self, pool: &str) -> Arc<Keeper> {
        let mut keepers = self.keepers();
        Arc::clone(
            keepers
                .entry(pool.to_owned())
                .or_insert_with(|| Arc::new(Keeper::new(pool, self.options.limits_in(pool)))),
        )
    }

    /// Whether there is a pool with backends of which Redis has told nothing yet.
    fn has_met_a_pool(&self) -> bool {
        self.keepers().values().any(|keeper| keeper.has_backends() && !keeper.is_known())
    }

    fn pools_where(&self, holds: impl Fn(&Keeper) -> bool) -> Vec<String> {
        self.keepers().iter().filter(|(_, keeper)| holds(keeper)).map(|(pool, _)| pool.clone()).collect()
    }

    fn keepers(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Keeper>>> {
        self.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The actions of this router's own tickets are in the answer: its pushed copies come later and change nothing.
    fn deliver(&self, actions: Vec<Action>) {
        for action in actions {
            let router = match &action {
                Action::Grant(granted) => &granted.router,
                Action::Drop { router, .. } => router,
            };
            if *router == self.options.router_id {
                self.holdings.deliver(action);
            }
        }
    }

    /// Applies an event in Redis.
    async fn apply_shared(&self, pool: &str, event: &Event) -> Result<Option<Reply>, LedgerError> {
        if event.opens() {
            self.link.name_pool(pool).await?;
        }
        let asked_at = Instant::now();
        let Answer { reply, actions, seen, .. } = self.link.apply(pool, event).await?;
        self.deliver(actions);
        if let Some(view) = seen {
            self.keeper(pool).glance(event.caller()).pressed(view, asked_at);
        }
        if reply.is_none() && matches!(event, Event::Renew(_)) {
            self.link.forget_pool(pool).await?;
        }
        Ok(reply)
    }

    /// Applies an event to the account that this router keeps itself.
    fn apply_alone(&self, keeper: &Keeper, event: &Event) -> Result<Option<Reply>, LedgerError> {
        if self.options.on_loss == OnLoss::Closed && matches!(event, Event::Admit(_)) {
            return Err(LedgerError::Unavailable("nothing is admitted before it is back".to_owned()));
        }
        let Some(step) = keeper.step(&self.options, event) else { return Ok(None) };
        self.deliver(step.actions);
        Ok(Some(step.reply))
    }

    /// Redis does not answer, or has lost something: says again all that this router holds, and where that does not help goes
    /// on alone.
    async fn lose(&self, pool: &str, keeper: &Keeper) {
        keeper.set_lost(true);
        let _change = keeper.change().await;
        if keeper.is_alone() {
            return;
        }
        if self.link.answers(pool).await && self.reenter(pool, keeper).await {
            keeper.set_lost(false);
            return;
        }
        self.holdings.listen(pool, false);
        if let Some((share, actions)) = keeper.go_alone(&self.options, self.holdings.held(pool)) {
            self.deliver(actions);
            self.options.metrics.lost(pool);
            tracing::warn!(
                %pool, share = %format_args!("1/{}", share.routers), policy = self.options.on_loss.as_str(),
                "the shared ledger is out of reach: this router goes on alone"
            );
        } else {
            // Nothing is known of this pool, so there is nothing to go on with.
            self.holdings.listen(pool, true);
            keeper.set_lost(false);
        }
    }

    /// Redis may be back: hands the account that this router keeps over to it.
    async fn come_back(&self, pool: &str, keeper: &Keeper) -> bool {
        let _change = keeper.change().await;
        self.holdings.listen(pool, true);
        if self.reenter(pool, keeper).await {
            keeper.come_back();
            tracing::info!(%pool, "the shared ledger is back: what this router holds is on its account");
            return true;
        }
        // Whatever Redis may have granted meanwhile is held from now on.
        self.holdings.listen(pool, false);
        let held = keeper.reentry(&self.options, self.holdings.held(pool));
        if let Some(step) = keeper.step(&self.options, &held) {
            self.deliver(step.actions);
        }
        false
    }

    /// Says all that this router holds. False where Redis does not answer, or waits for other routers.
    async fn reenter(&self, pool: &str, keeper: &Keeper) -> bool {
        let reentry = keeper.reentry(&self.options, self.holdings.held(pool));
        match self.apply_shared(pool, &reentry).await {
            Ok(Some(reply @ Reply::Reentered { recovering: false, .. })) => {
                keeper.learn(&reply);
                true
            }
            _ => false,
        }
    }

    /// Sees to every pool: to what this router holds where the connection broke, to the way back where it is alone.
    async fn see_to_all(&self) {
        let broken = self.link.take_broken();
        let keepers = self.keepers().clone();
        join_all(keepers.iter().map(|(pool, keeper)| self.see_to(pool, keeper, broken))).await;
    }

    /// Tells Redis of what was refused from views, so that the fleet's counts are whole. What does not arrive is not told again.
    async fn tell_refused(&self) {
        let keepers = self.keepers().clone();
        let told = keepers.iter().filter(|(_, keeper)| !keeper.is_alone()).map(async |(pool, keeper)| {
            let refused = keeper.take_untold();
            if !refused.is_empty() && self.link.view(pool, refused).await.is_err() {
                tracing::debug!(pool, "refusals were not told of");
            }
        });
        join_all(told).await;
    }

    async fn see_to(&self, pool: &str, keeper: &Keeper, broken: bool) {
        if broken && keeper.is_known() {
            self.lose(pool, keeper).await;
        }
        if !keeper.is_alone() || self.link.answers(pool).await && self.come_back(pool, keeper).await {
            return;
        }
        if let Some(step) = keeper.step(&self.options, &Event::Tick) {
            self.deliver(step.actions);
        }
    }
}

impl Account for Remote {
    fn mode(&self) -> LedgerMode {
        let alone = self.keepers().values().any(|keeper| keeper.is_alone());
        if alone { LedgerMode::Degraded } else { LedgerMode::Redis }
    }

    async fn apply(&self, pool: &str, event: &Event) -> Result<Option<Reply>, LedgerError> {
        let keeper = self.keeper(pool);
        keeper.note(event);
        let glance = keeper.glance(event.caller());
        let _turn = match event {
            Event::Admit(ask) if !keeper.is_alone() => match glance.turn(&ask.limits, &ask.asked()).await {
                Turn::Refused(refusal, numbers) => {
                    self.options.metrics.refused_from_view(pool);
                    return Ok(Some(Reply::Rejected(refusal, Some(numbers))));
                }
                turn @ Turn::Ask { .. } => Some(turn),
            },
            _ => None,
        };
        for _ in 0..MOST_TRIES {
            let stay = keeper.stay().await;
            if keeper.is_alone() {
                return self.apply_alone(&keeper, event);
            }
            match keeper.unless_lost(self.apply_shared(pool, event)).await {
                Some(Ok(Some(reply))) => {
                    keeper.learn(&reply);
                    return Ok(Some(reply));
                }
                Some(Ok(None)) if !(keeper.is_known() && keeper.has_backends()) => return Ok(None),
                Some(Err(error)) if !matches!(error, LedgerError::Unavailable(_)) || !keeper.is_known() => {
                    return Err(error);
                }
                Some(Ok(None) | Err(_)) | None => {}
            }
            drop(stay);
            self.lose(pool, &keeper).await;
        }
        Err(LedgerError::Unavailable("it answers some calls, and not this one".to_owned()))
    }

    async fn lost(&self, pool: &str) {
        self.lose(pool, &self.keeper(pool)).await;
    }

    async fn view(&self, pool: &str) -> Result<Option<View>, LedgerError> {
        let keeper = self.keeper(pool);
        match keeper.look(&self.options, tidegate_admission::Pool::view) {
            Some(view) => Ok(Some(view)),
            None => self.link.view(pool, Vec::new()).await,
        }
    }

    async fn snapshot(&self, pool: &str) -> Result<Option<Snapshot>, LedgerError> {
        let keeper = self.keeper(pool);
        match keeper.look(&self.options, tidegate_admission::Pool::snapshot) {
            Some(snapshot) => Ok(Some(snapshot)),
            None => self.link.snapshot(pool).await,
        }
    }

    async fn pools(&self) -> Result<Vec<String>, LedgerError> {
        // Where this router keeps all that it knows, waiting for Redis would only make `/fleet` and `/health` late.
        let known = self.pools_where(Keeper::is_known);
        if !known.is_empty() && known == self.pools_where(Keeper::is_alone) {
            return Ok(known);
        }
        match self.link.pools().await {
            Ok(mut pools) => {
                pools.extend(self.pools_where(Keeper::is_alone));
                pools.sort_unstable();
                pools.dedup();
                Ok(pools)
            }
            Err(error) if known.is_empty() => Err(error),
            Err(_) => Ok(known),
        }
    }
}

/// Renews one router's lease each second; this is also the slow poll under the pushed grants, and what reaps routers that
/// died. While Redis is out of reach, tries to come back.
async fn keep_lease(desk: Weak<Desk<Remote>>) {
    let mut ticks = interval(RETURN_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut renewed, mut in_reach) = (Instant::now(), true);
    loop {
        ticks.tick().await;
        let Some(desk) = desk.upgrade() else { return };
        desk.account.see_to_all().await;
        // A renewal tells this router's share. Who has just met a pool must not wait for it: Redis may be gone by then.
        let hurried = in_reach && desk.account.has_met_a_pool();
        if renewed.elapsed() < RENEW_EVERY && !hurried {
            continue;
        }
        renewed = Instant::now();
        desk.account.tell_refused().await;
        let answered = desk.renew().await;
        in_reach = answered.is_ok();
        if let Err(error) = answered {
            tracing::warn!(%error, "the router's lease was not renewed");
        }
    }
}
