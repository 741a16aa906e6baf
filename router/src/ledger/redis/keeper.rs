//! Who keeps a pool's account: Redis for all routers or, while Redis is out of reach, this router for itself.
//!
//! Alone, a router runs the same state machine on its share of the limits and of each backend's slots, beginning with all that
//! it holds. Calls take `phase` for reading; the change from one keeper to the other takes it for writing, so that no call is
//! under way while it happens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tidegate_admission::{
    Action, Backend, Caller, Event, Held, Limits, Mended, Pool, Reason, Reentry, Reply, Return, Roll, Share,
    Time,
    event::{Admit, Renewal},
};
use tokio::{
    sync::{RwLock, RwLockReadGuard, RwLockWriteGuard, watch},
    time::Instant,
};

use super::glance::Glance;
use crate::ledger::{LedgerOptions, OnLoss, micros, sample};

/// The keeping of one pool's account.
#[derive(Debug)]
pub(super) struct Keeper {
    /// What this router last saw of the pool, as each tenant's requests see it, and as those without a key do.
    glances: Mutex<BTreeMap<String, Arc<Glance>>>,
    pool: String,
    /// The limits that this router decides by in this pool.
    limits: Limits,
    phase: RwLock<()>,
    state: Mutex<State>,
    /// True from the first call that fails until this router has come back: ends all calls that are under way.
    lost: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// The account while this router keeps it.
    alone: Option<Pool>,
    /// Who else there is, as Redis last said, and when it did.
    roll: Option<(Roll, Instant)>,
    /// The backends as they were last entered: alone, nobody else tells of them.
    backends: BTreeMap<String, Backend>,
}

/// What a step came to.
pub(super) struct Step {
    pub(super) reply: Reply,
    pub(super) actions: Vec<Action>,
}

impl Keeper {
    pub(super) fn new(pool: &str, limits: Limits) -> Keeper {
        Keeper {
            glances: Mutex::default(),
            pool: pool.to_owned(),
            limits,
            phase: RwLock::new(()),
            state: Mutex::default(),
            lost: watch::Sender::new(false),
        }
    }

    /// What this router last saw of the pool, as a request of this caller sees it.
    pub(super) fn glance(&self, caller: Option<&Caller>) -> Arc<Glance> {
        let tenant = caller.map(|caller| caller.tenant.as_str()).unwrap_or_default();
        let mut glances = self.glances.lock().unwrap_or_else(PoisonError::into_inner);
        match glances.get(tenant) {
            Some(glance) => Arc::clone(glance),
            None => Arc::clone(glances.entry(tenant.to_owned()).or_default()),
        }
    }

    /// What was refused from views since this was last asked.
    pub(super) fn take_untold(&self) -> Vec<(Reason, u32)> {
        let glances = self.glances.lock().unwrap_or_else(PoisonError::into_inner);
        let mut untold = BTreeMap::new();
        for (reason, many) in glances.values().flat_map(|glance| glance.take_untold()) {
            *untold.entry(reason).or_default() += many;
        }
        untold.into_iter().collect()
    }

    /// For one call.
    pub(super) async fn stay(&self) -> RwLockReadGuard<'_, ()> {
        self.phase.read().await
    }

    /// For the change from one keeper to the other: waits until no call is under way.
    pub(super) async fn change(&self) -> RwLockWriteGuard<'_, ()> {
        self.phase.write().await
    }

    /// Whether this router keeps the account.
    pub(super) fn is_alone(&self) -> bool {
        self.lock().alone.is_some()
    }

    /// Whether Redis ever told of this pool.
    pub(super) fn is_known(&self) -> bool {
        self.lock().roll.is_some()
    }

    /// Whether backends are known that have not gone.
    pub(super) fn has_backends(&self) -> bool {
        !self.lock().backends.is_empty()
    }

    /// A call's outcome; `None` where Redis is found lost meanwhile.
    pub(super) async fn unless_lost<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let mut lost = self.lost.subscribe();
        tokio::select! {
            biased;
            outcome = call => Some(outcome),
            _ = lost.wait_for(|lost| *lost) => None,
        }
    }

    /// Ends all calls that are under way, or lets calls be made again.
    pub(super) fn set_lost(&self, lost: bool) {
        self.lost.send_replace(lost);
    }

    /// Takes in what passes through, whoever keeps the account.
    pub(super) fn note(&self, event: &Event) {
        match event {
            Event::PutBackend(backend) => {
                self.lock().backends.insert(backend.id.clone(), backend.clone());
            }
            Event::RemoveBackend(id) => {
                self.lock().backends.remove(id);
            }
            _ => {}
        }
    }

    /// Takes in who else there is, as Redis says.
    pub(super) fn learn(&self, reply: &Reply) {
        if let Reply::Renewed { roll, recovering: false, .. } | Reply::Reentered { roll, recovering: false } =
            reply
        {
            self.lock().roll = Some((*roll, Instant::now()));
        }
    }

    /// This router keeps the account from now on: with its share, and all that it holds. `None` where it knows too little of
    /// the pool to go on.
    pub(super) fn go_alone(
        &self,
        options: &LedgerOptions,
        held: (u64, Vec<Held>),
    ) -> Option<(Share, Vec<Action>)> {
        let mut state = self.lock();
        let now = state.now()?;
        let share = state.share(options.on_loss);
        let mut pool = Pool::new(now);
        for backend in state.shared_backends(share) {
            pool.apply(now, &Event::PutBackend(backend));
        }
        state.alone = Some(pool);
        drop(state);
        let step = self.step(options, &Event::Reenter(self.reentry_of(options, 1, held)))?;
        Some((share, step.actions))
    }

    /// Redis keeps the account again.
    pub(super) fn come_back(&self) {
        self.lock().alone = None;
        self.set_lost(false);
    }

    /// What this router says when it comes back.
    pub(super) fn reentry(&self, options: &LedgerOptions, held: (u64, Vec<Held>)) -> Event {
        let routers = self.lock().roll.map_or(1, |(roll, _)| roll.routers);
        Event::Reenter(self.reentry_of(options, routers, held))
    }

    fn reentry_of(&self, options: &LedgerOptions, routers: u32, (number, held): (u64, Vec<Held>)) -> Reentry {
        Reentry {
            router: options.router_id.clone(),
            number,
            flags: options.flags(),
            limits: self.limits,
            routers,
            held,
        }
    }

    /// Applies an event to the account that this router keeps; `None` where it keeps none.
    pub(super) fn step(&self, options: &LedgerOptions, event: &Event) -> Option<Step> {
        let mut state = self.lock();
        let (now, share) = (state.now()?, state.share(options.on_loss));
        let backends = match event {
            Event::PutBackend(_) | Event::Tick => state.shared_backends(share),
            _ => Vec::new(),
        };
        let pool = state.alone.as_mut()?;
        let (mut actions, mut mended) = (Vec::new(), Mended::default());
        for backend in backends {
            let outcome = pool.apply(now, &Event::PutBackend(backend));
            actions.extend(outcome.actions);
            mended.add(outcome.mended);
        }
        let event = match event {
            Event::PutBackend(_) => &Event::Tick,
            other => &within(share, other),
        };
        let outcome = pool.apply(now, event);
        actions.extend(outcome.actions);
        mended.add(outcome.mended);
        options.metrics.mended(&self.pool, sample(mended));
        Some(Step { reply: outcome.reply, actions })
    }

    /// What `look` sees of the account that this router keeps.
    pub(super) fn look<T>(&self, options: &LedgerOptions, look: impl FnOnce(&Pool) -> T) -> Option<T> {
        self.step(options, &Event::Tick)?;
        self.lock().alone.as_ref().map(look)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Redis's clock, as far as this router can tell.
    fn now(&self) -> Option<Time> {
        self.roll.map(|(roll, seen)| roll.at.plus(micros(seen.elapsed())))
    }

    fn share(&self, on_loss: OnLoss) -> Share {
        match (on_loss, self.roll) {
            (OnLoss::Share, Some((roll, _))) => Share { routers: roll.routers, rank: roll.rank },
            _ => Share::WHOLE,
        }
    }

    fn shared_backends(&self, share: Share) -> Vec<Backend> {
        let slots = share.of_backends(self.backends.values().map(|backend| backend.slots));
        self.backends
            .values()
            .zip(slots)
            .map(|(backend, slots)| Backend { slots, ..backend.clone() })
            .collect()
    }
}

/// An event with the router's share of its limits.
fn within(share: Share, event: &Event) -> Event {
    let part = |limits: &Limits| share.of_limits(limits);
    let part_of = |caller: &Option<Arc<Caller>>| Some(Arc::new(share.of_caller(caller.as_ref()?)));
    match event {
        Event::Admit(ask) => {
            let caller = part_of(&ask.caller);
            Event::Admit(Admit { limits: part(&ask.limits), caller, ..ask.clone() })
        }
        Event::HandBack(back) => {
            let caller = part_of(&back.caller);
            Event::HandBack(Return { limits: part(&back.limits), caller, ..back.clone() })
        }
        Event::Renew(renewal) => Event::Renew(Renewal { limits: part(&renewal.limits), ..renewal.clone() }),
        other => other.clone(),
    }
}
