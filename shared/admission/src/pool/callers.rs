//! Keys and tenants: what they use, and where their tickets stand.
//!
//! A tenant's ticket gets a place number that is its start tag: the tag of the ticket that was served last, or where the tenant's
//! own last request ends, whichever is later; it ends so much later as its tokens are expected to cost by the tenant's weight. Who
//! has had less than its part so comes before whoever had more, nobody saves up while it asks for nothing, and within a
//! tenant the first comes first. When a request's use is known, the difference is made good.
//!
//! The rules of admission see a tenant's request in a fleet that is filled as if all tenants had as much of it, by weight, as this
//! one has; see [`Pool::seen_by`]. Whoever has less than its part so is not refused for what others have.

use super::{Pool, record::Attempt};
use crate::{
    caller::{Allowance, Caller, LAST_PLACE, MICROS_PER_TOKEN, PER_TOKEN, Wait, leaked, waits_for},
    decide::{Asked, Numbers, RETRY_AFTER, Reason, Refusal},
    estimate::MEAN_WEIGHT,
    event::{Admit, Place},
    time::Time,
    view::View,
};

/// What a key uses.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyUse {
    /// When it was last brought up to date.
    pub at: Time,
    /// Requests, leaking.
    pub requests: f64,
    /// Tokens, leaking.
    pub tokens: f64,
    /// Attempts on the account.
    pub held: u64,
}

/// What a tenant has on the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Where its last request ends: its next one starts no sooner.
    pub finish: u64,
    /// The place of its last request.
    pub last: u64,
    /// Its weight, as its last request said.
    pub weight: u64,
    /// Attempts on the account.
    pub held: u64,
    /// Those of them that wait, by rank of the priority.
    pub queued: [u64; 3],
}

impl Pool {
    /// What a key has used by now.
    fn allowance(&self, caller: &Caller) -> Allowance {
        let Some(usage) = self.keys.get(&caller.key) else {
            return Allowance { requests: 0.0, tokens: 0.0, held: 0.0 };
        };
        let elapsed = self.now.since(usage.at);
        Allowance {
            requests: leaked(usage.requests, caller.quota.requests, elapsed),
            tokens: leaked(usage.tokens, caller.quota.tokens, elapsed),
            held: usage.held as f64,
        }
    }

    /// What a key has used, for the numbers of a decision.
    pub(super) fn used_by(&self, caller: Option<&Caller>) -> Option<Allowance> {
        caller.map(|caller| self.allowance(caller))
    }

    /// The refusal of a request that its key's limits do not allow.
    pub(super) fn limited(&self, ask: &Admit) -> Option<Refusal> {
        let caller = ask.caller.as_deref()?;
        let Wait { seconds, never } = waits_for(&self.allowance(caller), &caller.quota, caller.reserved)?;
        Some(Refusal {
            reason: Reason::RateLimit,
            retry_after: seconds.clamp(RETRY_AFTER.0, RETRY_AFTER.1),
            hopeless: never,
        })
    }

    /// Charges an admitted request to its key in advance.
    pub(super) fn charge(&mut self, caller: &Caller) {
        let Allowance { requests, tokens, .. } = self.allowance(caller);
        let now = self.now;
        let usage = self.key_use(&caller.key);
        usage.at = now;
        usage.requests = if caller.quota.requests.is_some() { requests + 1.0 } else { 0.0 };
        usage.tokens = if caller.quota.tokens.is_some() { tokens + caller.reserved as f64 } else { 0.0 };
    }

    /// Charges so many tokens to a key in place of what was reserved.
    fn charge_instead(&mut self, caller: &Caller, tokens: u64) {
        if caller.quota.tokens.is_none() {
            return;
        }
        let used = self.allowance(caller);
        let now = self.now;
        let usage = self.key_use(&caller.key);
        usage.at = now;
        usage.requests = used.requests;
        let used = used.tokens + (tokens as f64 - caller.reserved as f64);
        usage.tokens = if used > 0.0 { used } else { 0.0 };
    }

    fn key_use(&mut self, key: &str) -> &mut KeyUse {
        let fresh = KeyUse { at: self.now, requests: 0.0, tokens: 0.0, held: 0 };
        self.keys.entry(key.to_owned()).or_insert(fresh)
    }

    /// A step is over. Where no tenant has anything after it, all begin anew: nobody is left to be compared with.
    pub(super) fn begin_anew(&mut self) {
        if self.weights == 0 {
            self.tenants.clear();
            self.turn = 0;
        }
    }

    /// The place of a tenant's next request, and what its tenant is charged for it in advance.
    pub(super) fn fair_place(&self, ask: &Admit, caller: &Caller) -> (Place, u64) {
        let tenant = self.tenants.get(&caller.tenant);
        let start = tenant.map_or(0, |tenant| tenant.finish.max(tenant.last + 1)).max(self.turn);
        let place = Place {
            priority: ask.priority,
            arrival: start.min(LAST_PLACE),
            entered: self.now,
            deadline: self.now.plus(ask.remaining),
        };
        let cost = if self.costs > 0.0 { self.cost } else { PER_TOKEN };
        (place, by_weight(cost, caller))
    }

    /// An attempt comes onto the account for its tenant.
    pub(super) fn comes(&mut self, caller: &Caller, place: Place, charged: u64, queued: bool) {
        self.key_use(&caller.key).held += 1;
        let fresh = Tenant { finish: 0, last: 0, weight: caller.weight, held: 0, queued: [0; 3] };
        let tenant = self.tenants.entry(caller.tenant.clone()).or_insert(fresh);
        if tenant.held > 0 {
            self.weights -= tenant.weight;
        }
        self.weights += caller.weight;
        tenant.weight = caller.weight;
        tenant.held += 1;
        tenant.queued[place.priority.rank()] += u64::from(queued);
        tenant.last = tenant.last.max(place.arrival);
        tenant.finish = tenant.finish.max(place.arrival + charged);
    }

    /// A ticket of a tenant no longer waits.
    pub(super) fn waits_no_more(&mut self, caller: &Caller, place: Place) {
        if let Some(tenant) = self.tenants.get_mut(&caller.tenant) {
            tenant.queued[place.priority.rank()] -= 1;
        }
    }

    /// A ticket of a tenant is served.
    pub(super) fn serves(&mut self, place: Place, caller: Option<&Caller>) {
        if caller.is_some() {
            self.turn = self.turn.max(place.arrival);
        }
    }

    /// An attempt leaves the account. Its tenant is forgotten with its last one, unless it still has to wait for others.
    pub(super) fn goes(&mut self, caller: &Caller) {
        if let Some(usage) = self.keys.get_mut(&caller.key) {
            usage.held -= 1;
        }
        let turn = self.turn;
        let Some(tenant) = self.tenants.get_mut(&caller.tenant) else { return };
        tenant.held -= 1;
        if tenant.held > 0 {
            return;
        }
        self.weights -= tenant.weight;
        if tenant.finish <= turn && tenant.last < turn {
            self.tenants.remove(&caller.tenant);
        }
    }

    /// Nothing was done for a ticket: its key and its tenant get back what they were charged in advance, but for the request.
    pub(super) fn refund(&mut self, attempt: &Attempt) {
        if let Some(caller) = &attempt.caller {
            self.refund_to(caller, attempt.charged);
        }
    }

    /// The same for a ticket that is not at hand any more.
    pub(super) fn refund_to(&mut self, caller: &Caller, charged: u64) {
        self.charge_instead(caller, 0);
        self.owes_instead(caller, charged, 0);
    }

    /// The use of an attempt is known, or how long it has had its slot: it is charged in place of what was charged in advance.
    /// `finished`: it says how much a request costs.
    pub(super) fn settle_use(&mut self, attempt: &Attempt, since: Time, tokens: Option<u64>, finished: bool) {
        let Some(caller) = &attempt.caller else { return };
        if let Some(tokens) = tokens {
            self.charge_instead(caller, tokens);
        }
        let took = self.now.since(since) as f64 / MICROS_PER_TOKEN;
        let cost = tokens.map_or(took, |tokens| tokens as f64) * PER_TOKEN;
        self.owes_instead(caller, attempt.charged, by_weight(cost, caller));
        if finished {
            self.costs += 1.0;
            let early = 1.0 / self.costs;
            let weight = if early > MEAN_WEIGHT { early } else { MEAN_WEIGHT };
            self.cost += weight * (cost - self.cost);
        }
    }

    fn owes_instead(&mut self, caller: &Caller, charged: u64, cost: u64) {
        if let Some(tenant) = self.tenants.get_mut(&caller.tenant) {
            tenant.finish = (tenant.finish + cost).saturating_sub(charged);
        }
    }

    /// The pool as a tenant's request sees it: filled as if every tenant had as much of it, by weight, as this one has, where that
    /// is less than it really is.
    pub(super) fn seen_by(&self, caller: Option<&Caller>) -> View {
        let view = self.view();
        let Some(caller) = caller else { return view };
        let tenant = self.tenants.get(&caller.tenant);
        let (held, queued) = tenant.map_or((0, [0; 3]), |tenant| (tenant.held, tenant.queued));
        let others = self.weights - tenant.filter(|tenant| tenant.held > 0).map_or(0, |tenant| tenant.weight);
        let all = (others + caller.weight) as f64 / caller.weight as f64;
        let at_most = |real: u32, own: u64| {
            let fair = (own as f64 * all).floor();
            if fair < f64::from(real) { fair as u32 } else { real }
        };
        let busy = held - queued.iter().sum::<u64>();
        let mut fair = view.queued;
        for (real, own) in fair.iter_mut().zip(queued) {
            *real = at_most(*real, own);
        }
        View { running: at_most(view.running + view.abandoned, busy), abandoned: 0, queued: fair, ..view }
    }

    /// Forgets the keys that hold nothing and have used nothing that still counts.
    pub(super) fn forget_idle_keys(&mut self) {
        let now = self.now;
        self.keys.retain(|_, usage| usage.held > 0 || now.since(usage.at) < KEY_MEMORY);
    }

    /// The numbers of a refusal by a key's limits.
    pub(super) fn limited_numbers(&self, ask: &Admit) -> Numbers {
        let asked: Asked = ask.asked();
        let numbers = crate::decide::numbers(&self.seen_by(ask.caller.as_deref()), &ask.limits, &asked);
        Numbers { allowance: self.used_by(ask.caller.as_deref()), ..numbers }
    }
}

/// Microseconds after which what a key has used no longer counts: a bucket that is not overdrawn is empty after a minute.
pub const KEY_MEMORY: u64 = 600_000_000;

/// What a cost comes to for a tenant of this weight.
fn by_weight(cost: f64, caller: &Caller) -> u64 {
    let cost = (cost / caller.weight as f64).floor();
    if cost > 1.0 { cost as u64 } else { 1 }
}
