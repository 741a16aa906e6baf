//! What an onlooker counts of keys and tenants, from what happens and not from the account: what each key may still have, and
//! whose turn it is, as docs/keys.md says it.
//!
//! A ticket stands where all that its tenant was let in with before it ends, by weight: what is known of it counts as what it took,
//! the rest as what its answers take on average. Nobody stands before the place that is served: what was not asked for is not
//! saved up. Of two tenants that wait, whoever has less by that count goes first; within a tenant the first comes first.

use tidegate_admission::{Admit, Event, Granted, Outcome, Reason, Reply, Return, caller::PER_TOKEN};

use crate::{
    facts::{Facts, Spot},
    names::{ATTEMPTS, KEYS, LEASE, REQUESTS, Try},
    setup::{Key, Setup},
    step_check::Breach,
};

/// Places that differ by no more are the same: the account rounds down, and keeps a tenant's tickets apart by ones.
const ROUNDED: u64 = 8;
/// Tokens of a minute that leak in a tick are the limit by this.
const TICKS_OF_A_MINUTE: u64 = 12 * LEASE as u64;

/// All that the onlooker counts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Books {
    keys: [Key; KEYS],
    key_of: [Option<u8>; REQUESTS],
    /// By key, which is by tenant.
    pub tenants: [Counted; KEYS],
    /// The place that is served: the furthest of those that were.
    pub turn: u64,
    /// By attempt.
    pub notes: [Note; ATTEMPTS],
}

/// What is counted of a key, and of its tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Counted {
    /// Where all that it was let in with ends.
    pub ends: u64,
    /// Tokens used, leaking.
    pub level: u64,
    /// Answers that have ended.
    pub answers: u64,
    /// Tokens that they took.
    pub took: u64,
}

/// What is noted of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Note {
    /// Where it stands among all tenants' tickets.
    pub place: u64,
    /// Counts the tickets of its tenant, as far as they have not ended, from 1; 0 for one that is compared with nobody.
    pub number: u32,
    /// What it counts for until its use is known.
    pub charge: u64,
}

impl Books {
    /// Empty ones.
    pub fn new(setup: &Setup) -> Books {
        let mut key_of = [None; REQUESTS];
        for (key, wish) in key_of.iter_mut().zip(&setup.wishes) {
            *key = wish.key;
        }
        Books {
            keys: setup.keys,
            key_of,
            tenants: [Counted::default(); KEYS],
            turn: 0,
            notes: [Note::default(); ATTEMPTS],
        }
    }

    /// Whether there is anything to count.
    pub fn keyed(&self) -> bool {
        self.key_of.iter().any(Option::is_some)
    }

    /// The keys that there are, by their numbers.
    pub fn key(&self, number: u8) -> &Key {
        &self.keys[usize::from(number)]
    }

    /// Takes a step in, but for its grants; what was wrong with it.
    pub fn enter(&mut self, before: &Facts, event: &Event, outcome: &Outcome) -> Option<Breach> {
        let breach = match event {
            Event::Admit(ask) => self.asked(before, ask, &outcome.reply),
            _ => None,
        };
        match event {
            Event::Tick => self.leak(),
            Event::HandBack(back) => self.handed_back(before, back, &outcome.reply),
            Event::Release(id, end, tokens) => {
                self.ended(before, Try::of(id), *tokens, *end == tidegate_admission::End::Finished);
            }
            Event::Abandon(id, _, tokens) => self.ended(before, Try::of(id), *tokens, false),
            Event::Cancel(id, _) => self.ended(before, Try::of(id), None, false),
            _ => {}
        }
        for action in &outcome.actions {
            if let tidegate_admission::Action::Drop { attempt, .. } = action {
                self.settle(Try::of(attempt), 0);
            }
        }
        breach
    }

    /// A ticket is served.
    pub fn granted(&mut self, one: Try) {
        if self.key_of(one).is_some() {
            self.turn = self.turn.max(self.notes[one.index()].place);
        }
    }

    /// Where no tenant has anything, all begin anew.
    pub fn close(&mut self, after: &Facts) {
        if !after.present().any(|one| after.entry(one).keyed) {
            self.turn = 0;
            self.tenants.iter_mut().for_each(|tenant| tenant.ends = 0);
        }
    }

    /// The promise that is broken where `granted` is served while `other` waits, both of one priority.
    pub fn out_of_turn(&self, granted: Try, other: Try) -> Option<Breach> {
        let (served, waits) = (self.notes[granted.index()], self.notes[other.index()]);
        if served.number == 0 || waits.number == 0 {
            return None;
        }
        if self.key_of(granted) == self.key_of(other) {
            return (waits.number < served.number).then_some(Breach::Overtaken);
        }
        (waits.place + ROUNDED < served.place).then_some(Breach::OutOfTurn)
    }

    fn key_of(&self, one: Try) -> Option<u8> {
        self.key_of[usize::from(one.request)]
    }

    fn asked(&mut self, before: &Facts, ask: &Admit, reply: &Reply) -> Option<Breach> {
        let one = Try::of(&ask.attempt);
        let number = self.key_of(one)?;
        if before.spot(one) != Spot::Absent {
            return None;
        }
        let fits = self.fits(before, number);
        let place = match reply {
            Reply::Granted(Granted { place, .. }, _) | Reply::Queued { place, .. } => place.arrival,
            Reply::Rejected(refusal, _) => {
                return (fits && refusal.reason == Reason::RateLimit).then_some(Breach::Withheld);
            }
            Reply::Done | Reply::Renewed { .. } | Reply::Reentered { .. } => return None,
        };
        let due = self.let_in(one, number);
        match place.abs_diff(due) {
            _ if !fits => Some(Breach::OverLimit),
            ..=ROUNDED => None,
            _ => Some(Breach::Misplaced),
        }
    }

    /// Whether a key may have one more request.
    fn fits(&self, before: &Facts, number: u8) -> bool {
        let key = self.key(number);
        let holds = |one: &Try| match before.spot(*one) {
            Spot::Absent => false,
            Spot::Queued(_) | Spot::Running(..) => true,
            // What a backend refused holds a slot, but nobody's.
            Spot::Abandoned(..) => before.entry(*one).keyed,
        };
        let held = Try::all().filter(|one| self.key_of(*one) == Some(number)).filter(holds).count() as u64;
        let level = self.tenants[usize::from(number)].level;
        key.concurrency.is_none_or(|limit| held < limit)
            && key.tokens.is_none_or(|limit| level + key.declared.max(1) <= limit)
    }

    /// Notes what was let in; gives its place.
    fn let_in(&mut self, one: Try, number: u8) -> u64 {
        let charge = self.by_weight(self.expected(number), number);
        let same = |other: &Try| self.key_of(*other) == Some(number);
        let latest = Try::all().filter(same).map(|other| self.notes[other.index()].number).max();
        let declared = self.key(number).declared;
        let tenant = &mut self.tenants[usize::from(number)];
        let place = tenant.ends.max(self.turn);
        tenant.ends = place + charge;
        tenant.level += declared;
        self.notes[one.index()] = Note { place, number: latest.unwrap_or(0) + 1, charge };
        place
    }

    /// What an answer is expected to cost.
    fn expected(&self, _: u8) -> u64 {
        let (answers, took) = self
            .tenants
            .iter()
            .fold((0, 0), |(answers, took), tenant| (answers + tenant.answers, took + tenant.took));
        cost(took).checked_div(answers).unwrap_or(cost(1))
    }

    fn by_weight(&self, cost: u64, number: u8) -> u64 {
        (cost / self.key(number).weight).max(1)
    }

    fn leak(&mut self) {
        for (tenant, key) in self.tenants.iter_mut().zip(&self.keys) {
            tenant.level = tenant.level.saturating_sub(key.tokens.unwrap_or(0) / TICKS_OF_A_MINUTE);
        }
    }

    /// A ticket keeps its place, and what it counts for; one that may not wait again counts for nothing.
    fn handed_back(&mut self, before: &Facts, back: &Return, reply: &Reply) {
        let (old, next) = (Try::of(&back.attempt), Try::of(&back.next));
        if before.spot(next) != Spot::Absent {
            return;
        }
        if matches!(reply, Reply::Rejected(..)) {
            if before.entry(old).keyed {
                self.settle(old, 0);
            }
            return;
        }
        let note = std::mem::take(&mut self.notes[old.index()]);
        self.notes[next.index()] = note;
        if let (Spot::Absent, Some(number)) = (before.spot(old), self.key_of(next)) {
            // What the account lost stays charged, and its place may be of a time before all began anew: the ticket takes it, and
            // is compared with nobody.
            let place = back.place.arrival;
            let tenant = &mut self.tenants[usize::from(number)];
            tenant.ends = tenant.ends.max(place);
            self.notes[next.index()] = Note { place, number: 0, charge: 0 };
        }
    }

    /// An attempt that holds something ends; what it took counts from now on.
    fn ended(&mut self, before: &Facts, one: Try, tokens: Option<u64>, finished: bool) {
        let Some(number) = self.key_of(one).filter(|_| before.entry(one).keyed) else { return };
        let took = match before.spot(one) {
            Spot::Absent | Spot::Abandoned(..) => return,
            Spot::Queued(_) => 0,
            Spot::Running(..) => tokens.unwrap_or(0),
        };
        self.settle(one, took);
        if finished && took > 0 {
            let tenant = &mut self.tenants[usize::from(number)];
            tenant.answers += 1;
            tenant.took += took;
        }
    }

    /// So many tokens count in place of what was expected, and of what was declared.
    fn settle(&mut self, one: Try, took: u64) {
        let Some(number) = self.key_of(one) else { return };
        let Note { charge, .. } = std::mem::take(&mut self.notes[one.index()]);
        let (owed, key) =
            (if took > 0 { self.by_weight(cost(took), number) } else { 0 }, self.keys[usize::from(number)]);
        let tenant = &mut self.tenants[usize::from(number)];
        tenant.ends = (tenant.ends + owed).saturating_sub(charge);
        tenant.level = (tenant.level + took).saturating_sub(key.declared);
        if key.tokens.is_none() {
            tenant.level = 0;
        }
    }
}

/// What so many tokens cost at weight 1, in the account's unit.
fn cost(tokens: u64) -> u64 {
    tokens * PER_TOKEN as u64
}
