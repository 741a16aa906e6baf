//! The account in Redis: one atomic script call per transition, grants pushed to the router that holds the ticket.
//!
//! In the order of reading: [`keys`] is how the account is named, [`scripts`] are the transitions (`../lua`), [`reply`]
//! reads what they answer, [`link`] is the connection with its patience and its subscription.

mod keys;
pub(super) mod link;
pub(super) mod reply;
mod scripts;

use std::sync::{Arc, Weak};

use tidegate_admission::{Action, Event, Reply, View, snapshot::Snapshot};
use tokio::time::{MissedTickBehavior, interval};

use self::{
    link::{Link, Terms},
    reply::Answer,
};
use super::{
    LedgerError, LedgerMode, LedgerOptions,
    desk::{Account, Desk, RENEW_EVERY},
    holding::Holdings,
};

/// The account in Redis, as one router reaches it.
#[derive(Debug)]
pub(super) struct Remote {
    link: Link,
    router_id: String,
    holdings: Arc<Holdings>,
}

/// The account kept in Redis, shared by all routers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RedisLedger {
    pub(super) desk: Arc<Desk<Remote>>,
}

impl RedisLedger {
    /// Connects to Redis 6.2 or later (or Valkey). All that is written lies under `prefix`. The connection and the task
    /// that renews this router's lease end when the last clone is dropped.
    pub async fn connect(
        url: &str,
        prefix: &str,
        options: LedgerOptions,
    ) -> Result<RedisLedger, LedgerError> {
        let holdings = Arc::new(Holdings::default());
        let link =
            Link::open(url, prefix, &options.router_id, Arc::clone(&holdings), Terms::default()).await?;
        let ledger = RedisLedger::at(link, holdings, options);
        ledger.desk.renew().await?;
        tokio::spawn(keep_lease(Arc::downgrade(&ledger.desk)));
        Ok(ledger)
    }

    /// A router at an open link, which renews nothing by itself.
    pub(super) fn at(link: Link, holdings: Arc<Holdings>, options: LedgerOptions) -> RedisLedger {
        let account = Remote { link, router_id: options.router_id.clone(), holdings: Arc::clone(&holdings) };
        RedisLedger { desk: Arc::new(Desk { account, holdings, options }) }
    }
}

impl Remote {
    /// The actions of this router's own tickets are in the answer: its pushed copies come later and change nothing.
    fn deliver(&self, actions: Vec<Action>) {
        for action in actions {
            let router = match &action {
                Action::Grant(granted) => &granted.router,
                Action::Drop { router, .. } => router,
            };
            if *router == self.router_id {
                self.holdings.deliver(action);
            }
        }
    }
}

impl Account for Remote {
    const MODE: LedgerMode = LedgerMode::Redis;

    async fn apply(&self, pool: &str, event: &Event) -> Result<Option<Reply>, LedgerError> {
        if matches!(event, Event::PutBackend(_)) {
            self.link.name_pool(pool).await?;
        }
        let Answer { reply, actions } = self.link.apply(pool, event).await?;
        self.deliver(actions);
        if reply.is_none() && matches!(event, Event::Renew(_)) {
            self.link.forget_pool(pool).await?;
        }
        Ok(reply)
    }

    async fn view(&self, pool: &str) -> Result<Option<View>, LedgerError> {
        self.link.view(pool).await
    }

    async fn snapshot(&self, pool: &str) -> Result<Option<Snapshot>, LedgerError> {
        self.link.snapshot(pool).await
    }

    async fn pools(&self) -> Result<Vec<String>, LedgerError> {
        self.link.pools().await
    }
}

/// Renews one router's lease each second. This is also the slow poll under the pushed grants, and what reaps routers
/// that died.
async fn keep_lease(desk: Weak<Desk<Remote>>) {
    let mut ticks = interval(RENEW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(desk) = desk.upgrade() else { return };
        if let Err(error) = desk.renew().await {
            tracing::warn!(%error, "the router's lease was not renewed");
        }
    }
}
