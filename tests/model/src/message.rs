//! What travels between routers and the ledger.

use tidegate_admission::HandBack;

use crate::names::{Tries, Try};

/// A ticket's place, as far as it matters: its priority is its request's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its number among all arrivals.
    pub arrival: u64,
    /// The tick at which its time is over.
    pub deadline: u32,
}

/// A granted slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The backend that it is on.
    pub backend: u8,
    /// The place that the ticket had.
    pub place: Place,
}

/// Why a slot is handed back, in an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The backend said that it is full.
    Full,
    /// The backend could not be reached.
    Unreachable,
}

impl Why {
    /// As the ledger says it.
    pub fn word(self) -> HandBack {
        match self {
            Why::Full => HandBack::Concurrency,
            Why::Unreachable => HandBack::Unreachable,
        }
    }
}

/// What the ledger decided on a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It runs.
    Granted(Slot),
    /// It waits.
    Queued,
    /// It holds nothing.
    Refused,
    /// None: the attempt is known, and neither runs nor waits.
    Unclear,
}

/// What a router says when it renews.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word {
    /// The router.
    pub router: u8,
    /// Its number among all that this router said.
    pub number: u64,
    /// What it knows.
    pub known: Tries,
    /// What it asks for.
    pub check: Tries,
    /// It is late, and will come once more.
    pub again: bool,
}

/// A message under way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Message {
    /// A request asks to come in.
    Admit(Try),
    /// An attempt's slot comes back, and its ticket waits again under the next attempt.
    HandBack(Try, Why, Place),
    /// A ticket is given up.
    Cancel(Try),
    /// An attempt's work has ended.
    Release(Try),
    /// A running attempt is given up.
    Abandon(Try),
    /// Given-up work has stopped.
    Confirm(Try),
    /// A router renews.
    Renew(Word),
    /// The answer to [`Message::Admit`] and [`Message::HandBack`].
    Answer(Try, Verdict),
    /// The answer to a renewal: of what was asked for, what runs, and what the account does not have.
    Renewed(u8, Vec<(Try, Slot)>, Tries),
    /// Pushed: a ticket got a slot.
    Grant(Try, Slot),
    /// Pushed: a ticket is gone.
    Drop(Try),
}

impl Message {
    /// The attempt that a verdict is asked or given on by this message.
    pub fn verdict_on(&self) -> Option<Try> {
        match self {
            Message::Admit(one) | Message::Answer(one, _) => Some(*one),
            Message::HandBack(one, ..) => Some(one.next()),
            _ => None,
        }
    }

    /// The places that it carries.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let (one, more): (Option<Place>, &[(Try, Slot)]) = match self {
            Message::HandBack(_, _, place) => (Some(*place), &[]),
            Message::Grant(_, slot) | Message::Answer(_, Verdict::Granted(slot)) => (Some(slot.place), &[]),
            Message::Renewed(_, granted, _) => (None, granted),
            _ => (None, &[]),
        };
        one.into_iter().chain(more.iter().map(|(_, slot)| slot.place))
    }
}
