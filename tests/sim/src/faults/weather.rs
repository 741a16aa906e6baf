//! What goes wrong: how messages fare, who cannot reach whom, who dies when, and how the ledger's clock jumps.

use tidegate_admission::{Time, time::SECOND};

use super::{CALM, Happening};
use crate::chance::Chance;

/// Microseconds that a message takes in the calm.
const HOP: u64 = 500;
/// What the ledger's clock shows in the beginning: it may be put back by minutes.
const BEGINS: u64 = 3_600 * SECOND;
/// Microseconds by which a step of the ledger's clock is a small one, and by which a large one is larger at most.
const STEPS: (u64, u64) = (3 * SECOND, 300 * SECOND);

/// One who may be cut off from the ledger, or be slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Party {
    Router(usize),
    Node(usize),
}

/// Somebody is cut off from the ledger for a while.
#[derive(Debug)]
struct Cut {
    party: Party,
    from: Time,
    to: Time,
}

/// How bad this run is.
#[derive(Debug)]
pub(super) struct Weather {
    /// Whether messages fare badly; in fair weather only routers and backends die.
    foul: bool,
    loss: f64,
    doubled: f64,
    late: f64,
    cuts: Vec<Cut>,
    slow: Option<Party>,
    /// The ledger's clock is put at those instants, by so many microseconds, and stays there.
    clock: Vec<(Time, i64)>,
}

impl Weather {
    pub(super) fn new(chance: &mut Chance) -> Weather {
        let some =
            |chance: &mut Chance, most: f64| if chance.happens(0.5) { most * chance.unit() } else { 0.0 };
        let foul = chance.happens(0.75);
        let some = |chance: &mut Chance, most: f64| if foul { some(chance, most) } else { 0.0 };
        let (loss, doubled, late) = (some(chance, 0.1), some(chance, 0.1), some(chance, 0.2));
        let steps = if foul && chance.happens(0.5) { 1 + chance.index(3) } else { 0 };
        let clock = (0..steps).map(|_| step(chance)).collect();
        Weather { foul, loss, doubled, late, cuts: Vec::new(), slow: None, clock }
    }

    /// Cuts, slow nodes and deaths of this run.
    pub(super) fn disasters(
        &mut self,
        chance: &mut Chance,
        routers: usize,
        nodes: usize,
    ) -> Vec<(Time, Happening)> {
        let mut disasters = Vec::new();
        for _ in 0..chance.index(5) {
            let at = Time(chance.between(SECOND / 2, CALM.0 - SECOND / 2));
            let lasts = chance.between(SECOND / 10, 7 * SECOND);
            let back = at.plus(lasts).min(CALM).since(at);
            match chance.index(if self.foul { 5 } else { 2 }) {
                0 => disasters.push((at, Happening::RouterDies(chance.index(routers), back))),
                1 => disasters.push((at, Happening::NodeDies(chance.index(nodes), back))),
                2 => self.cut(Party::Router(chance.index(routers)), at, back),
                3 => self.cut(Party::Node(chance.index(nodes)), at, back),
                _ => self.slow = Some(Party::Node(chance.index(nodes))),
            }
        }
        disasters
    }

    /// Whether every message arrives, once and soon.
    pub(super) fn fair(&self) -> bool {
        !self.foul
    }

    fn cut(&mut self, party: Party, from: Time, lasts: u64) {
        self.cuts.push(Cut { party, from, to: from.plus(lasts) });
    }

    /// When the copies of a message between a party and the ledger arrive: none, one or two.
    pub(super) fn with_ledger(&self, chance: &mut Chance, party: Party, now: Time) -> Vec<u64> {
        let away = self.cuts.iter().any(|cut| cut.party == party && cut.from <= now && now < cut.to);
        if away { Vec::new() } else { self.copies(chance, party, now) }
    }

    /// When a message between a router and a backend arrives. Their connection loses and doubles nothing: it is late, or
    /// it breaks, which [`Happening::NodeDies`] is.
    pub(super) fn with_node(&self, chance: &mut Chance, node: usize, now: Time) -> u64 {
        self.delay(chance, Party::Node(node), now)
    }

    fn copies(&self, chance: &mut Chance, party: Party, now: Time) -> Vec<u64> {
        if now >= CALM {
            return vec![HOP];
        }
        if chance.happens(self.loss) {
            return Vec::new();
        }
        let count = 1 + usize::from(chance.happens(self.doubled));
        (0..count).map(|_| self.delay(chance, party, now)).collect()
    }

    fn delay(&self, chance: &mut Chance, party: Party, now: Time) -> u64 {
        if now >= CALM {
            return HOP;
        }
        let slow = if self.slow == Some(party) { chance.between(0, SECOND / 2) } else { 0 };
        let late = if chance.happens(self.late) { chance.between(0, SECOND / 2) } else { 0 };
        // Even in fair weather one message may overtake another.
        HOP / 5 + chance.between(0, 40 * HOP) + slow + late
    }

    /// What the ledger's clock shows.
    pub(super) fn clock(&self, now: Time) -> Time {
        let steps = self.clock.iter().filter(|(at, _)| *at <= now);
        Time((BEGINS + now.0).saturating_add_signed(steps.map(|(_, by)| by).sum()))
    }

    /// Whether the ledger's clock was ever put forward: leases may have ended before their time.
    pub(super) fn leapt(&self, now: Time) -> bool {
        self.clock.iter().any(|(at, by)| *at <= now && *by > 0)
    }

    /// How much slower this backend works.
    pub(super) fn slowness(&self, node: usize) -> u64 {
        if self.slow == Some(Party::Node(node)) { 3 } else { 1 }
    }
}

/// A step of the ledger's clock: small or of minutes, back or forth.
fn step(chance: &mut Chance) -> (Time, i64) {
    let at = Time(chance.between(SECOND, CALM.0));
    let most = if chance.happens(0.5) { STEPS.0 } else { STEPS.1 };
    let by = chance.between(1, most).cast_signed();
    (at, if chance.happens(0.5) { by } else { -by })
}
