//! When two states are the same: times count from now, arrivals only by their order, and what decides nothing not at all.

use std::hash::{Hash, Hasher};

use tidegate_admission::caller::MINUTE;

use crate::{
    facts::Spot,
    ledger::Ledger,
    message::{Message, Place, Slot, Verdict, Word},
    names::{ATTEMPTS, LEASE, instant, number},
    state::{Early, Request, State, Task},
};

/// Ticks beyond which it does not matter how far away a deadline is.
const FAR: u32 = 3;

/// Places, and what routers said, by what matters of them.
struct Order {
    now: u32,
    /// Tenants' places are compared with more than one another.
    keyed: bool,
    arrivals: Vec<u64>,
    /// Router and number of what is late and will be news.
    late: Vec<(u8, u64)>,
}

impl Order {
    fn of(state: &State) -> Order {
        let mut arrivals = Vec::with_capacity(2 * ATTEMPTS);
        let on_account = state.ledger.facts.entries.iter().filter_map(|entry| match entry.spot {
            Spot::Queued(place) | Spot::Running(_, place) => Some(place),
            Spot::Absent | Spot::Abandoned(..) => None,
        });
        arrivals.extend(on_account.map(|place| place.arrival));
        arrivals.extend(state.requests.iter().filter_map(held_place).map(|place| place.arrival));
        arrivals.extend(
            state.fresh.iter().chain(&state.late).flat_map(Message::places).map(|place| place.arrival),
        );
        arrivals.sort_unstable();
        arrivals.dedup();
        let late = state.late.iter().filter_map(|message| match message {
            Message::Renew(word) => Some((word.router, word.number)),
            _ => None,
        });
        let news = |(router, number): &(u8, u64)| *number > state.ledger.heard[usize::from(*router)];
        Order {
            now: state.ledger.now,
            keyed: state.ledger.books.keyed(),
            arrivals,
            late: late.filter(news).collect(),
        }
    }

    /// 0 for what is no news, else its place among what will be.
    fn news(&self, word: &Word) -> usize {
        self.late.iter().filter(|(router, number)| *router == word.router && *number <= word.number).count()
    }

    fn place(&self, place: Place) -> (u64, u8) {
        let rank = self.arrivals.partition_point(|arrival| *arrival < place.arrival) as u64;
        let number = if self.keyed { place.arrival } else { rank };
        (number, place.deadline.saturating_sub(self.now).min(FAR) as u8)
    }

    fn slot(&self, slot: Slot) -> (u8, (u64, u8)) {
        (slot.backend, self.place(slot.place))
    }

    fn spot(&self, spot: Spot) -> (u8, u8, (u64, u8)) {
        match spot {
            Spot::Absent => (0, 0, (0, 0)),
            Spot::Queued(place) => (1, 0, self.place(place)),
            Spot::Running(backend, place) => (2, backend, self.place(place)),
            Spot::Abandoned(backend, unproved) => (3, backend, (unproved.into(), 0)),
        }
    }

    fn task(&self, task: Task) -> (u8, u8, (u8, (u64, u8))) {
        let nothing = (0, (0, 0));
        match task {
            Task::Idle => (0, 0, nothing),
            Task::Asking(number, None) => (1, number, nothing),
            Task::Asking(number, Some(Early::Granted(slot))) => (2, number, self.slot(slot)),
            Task::Asking(number, Some(Early::Dropped)) => (3, number, nothing),
            Task::Waiting(number) => (4, number, nothing),
            Task::Sent(number, slot) => (5, number, self.slot(slot)),
            Task::Streaming(number, backend) => (6, number, (backend, (0, 0))),
            Task::Over => (7, 0, nothing),
            Task::Lost => (8, 0, nothing),
        }
    }

    fn message<H: Hasher>(&self, message: &Message, hasher: &mut H) {
        match message {
            Message::Admit(one) => (0, one).hash(hasher),
            Message::HandBack(one, why, place) => (1, one, why, self.place(*place)).hash(hasher),
            Message::Cancel(one) => (2, one).hash(hasher),
            Message::Release(one) => (3, one).hash(hasher),
            Message::Abandon(one) => (4, one).hash(hasher),
            Message::Confirm(one) => (5, one).hash(hasher),
            Message::Renew(word) => {
                (6, word.router, self.news(word), word.known, word.check, word.again).hash(hasher);
            }
            Message::Answer(one, Verdict::Granted(slot)) => (7, one, self.slot(*slot)).hash(hasher),
            Message::Answer(one, Verdict::Queued) => (8, one).hash(hasher),
            Message::Answer(one, Verdict::Refused) => (9, one).hash(hasher),
            Message::Answer(one, Verdict::Unclear) => (10, one).hash(hasher),
            Message::Renewed(router, granted, gone) => {
                (11, router, gone).hash(hasher);
                granted.iter().for_each(|(one, slot)| (one, self.slot(*slot)).hash(hasher));
            }
            Message::Grant(one, slot) => (12, one, self.slot(*slot)).hash(hasher),
            Message::Drop(one) => (13, one).hash(hasher),
        }
    }
}

/// The place that a router keeps for a hand-back.
fn held_place(request: &Request) -> Option<Place> {
    match request.task {
        Task::Sent(_, slot) | Task::Asking(_, Some(Early::Granted(slot))) => Some(slot.place),
        _ => None,
    }
}

impl Ledger {
    /// What keys have used and where tenants stand, on the account and in the books.
    fn hash_turns<H: Hasher>(&self, hasher: &mut H) {
        let now = instant(self.now);
        for (name, used) in self.pool.keys() {
            let limit = self.books.key(number(name)).tokens.unwrap_or(0) as f64;
            let leaked = now.since(used.at) as f64 * limit / MINUTE;
            (name, (used.tokens - leaked).max(0.0).to_bits()).hash(hasher);
        }
        for (name, tenant) in self.pool.tenants() {
            (name, tenant.finish, tenant.last, tenant.weight).hash(hasher);
        }
        let (requests, cost) = self.pool.costs();
        (self.pool.turn(), requests.to_bits(), cost.to_bits()).hash(hasher);
        (self.books.tenants, self.books.turn, self.books.notes).hash(hasher);
        for entry in self.facts.entries {
            entry.keyed.hash(hasher);
        }
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let order = Order::of(self);
        let facts = &self.ledger.facts;
        for entry in &facts.entries {
            (order.spot(entry.spot), entry.suspect, entry.avoids).hash(hasher);
        }
        for (at, known) in facts.backends.iter().enumerate() {
            (known, known.map(|known| if known.live { self.ledger.backend_age(at) } else { LEASE }))
                .hash(hasher);
        }
        (facts.leases, facts.since_reset.min(LEASE), facts.violated, self.ledger.breach).hash(hasher);
        for request in &self.requests {
            (order.task(request.task), request.past, request.answers).hash(hasher);
        }
        (self.machines, self.routers, self.faults, self.leaves, self.ticks, self.begun, self.breach)
            .hash(hasher);
        if order.keyed {
            self.ledger.hash_turns(hasher);
        }
        (self.fresh.len(), self.late.len()).hash(hasher);
        self.fresh.iter().chain(&self.late).for_each(|message| order.message(message, hasher));
    }
}
