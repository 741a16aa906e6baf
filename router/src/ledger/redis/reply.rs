//! Reads what the scripts answer and push.
//!
//! What the caller is told is one string: a word, a NUL, and what belongs to the word, numbers as packed doubles (Redis
//! would cut them to integers). Where something became of tickets it is the first of a list, and the actions follow. Only
//! what is asked for once a second and less has lists of its own behind it.

mod doubles;
#[cfg(test)]
mod tests;

use std::vec::IntoIter;

use redis::Value;
use tidegate_admission::{
    Action, Allowance, AttemptId, Granted, Measured, Mended, Numbers, Place, Priority, Reason, Refusal,
    Reply, Roll, Time, View,
    decide::RETRY_AFTER,
    estimate::Estimate,
    snapshot::{BackendState, BackendView, RouterView, Snapshot, TicketView, Totals},
};

use self::doubles::{Doubles, MOST};
use super::LedgerError;

/// The longest text that an error repeats, in letters: a line of a log is short, an answer need not be.
const REPEATED: usize = 100;
/// Numbers that measurements are.
const MEASURED: usize = 5;

/// What a transition answered.
#[derive(Debug, Default, PartialEq)]
pub(in crate::ledger) struct Answer {
    /// For the caller; `None` where there is no such pool.
    pub(in crate::ledger) reply: Option<Reply>,
    /// What became of waiting tickets, of all routers.
    pub(in crate::ledger) actions: Vec<Action>,
    /// What the step put right.
    pub(in crate::ledger) mended: Mended,
    /// The account as it stood when it refused.
    pub(in crate::ledger) seen: Option<View>,
}

/// The answer of a transition's script.
pub(super) fn answer(value: Value) -> Result<Answer, LedgerError> {
    let mut rest = match value {
        Value::BulkString(told) => return read_told(&told),
        list => Words::of(list)?,
    };
    let told = bytes(rest.next())?;
    if let Some(roll) = told.strip_prefix(b"renewed\0") {
        let reply = Some(read_renewed(roll, &mut rest)?);
        // The first place is that of what the caller is told, which stands elsewhere here.
        let (actions, mended) = read_became(rest.list()?.skip(1))?;
        return Ok(Answer { reply, actions, mended, seen: None });
    }
    let (actions, mended) = read_became(rest)?;
    Ok(Answer { actions, mended, ..read_told(&told)? })
}

/// What became of tickets, and what was put right: the script says both in the order in which they happened.
fn read_became(became: impl Iterator<Item = Value>) -> Result<(Vec<Action>, Mended), LedgerError> {
    let (mut actions, mut mended) = (Vec::new(), Mended::default());
    for each in became {
        let each = bytes(Some(each))?;
        match each.strip_prefix(b"mended\0") {
            Some(what) => mended.add(read_mended(what)?),
            None => actions.push(read_action(&each)?),
        }
    }
    Ok((actions, mended))
}

fn read_mended(mended: &[u8]) -> Result<Mended, LedgerError> {
    let (what, many) = word_of(mended);
    let many = text(many)?.parse().map_err(|_| nonsense("how many were put right"))?;
    let nothing = Mended::default();
    Ok(match what {
        b"routers" => Mended { routers: many, ..nothing },
        b"backends" => Mended { backends: many, ..nothing },
        b"tickets" => Mended { tickets: many, ..nothing },
        b"slots" => Mended { slots: many, ..nothing },
        b"drift" => Mended { drift: many, ..nothing },
        other => return Err(nonsense(&String::from_utf8_lossy(other))),
    })
}

/// The word and what belongs to it.
fn word_of(told: &[u8]) -> (&[u8], &[u8]) {
    let end = told.iter().position(|byte| *byte == 0).unwrap_or(told.len());
    (&told[..end], told.get(end + 1..).unwrap_or_default())
}

/// What the caller is told.
fn read_told(told: &[u8]) -> Result<Answer, LedgerError> {
    let (word, rest) = word_of(told);
    let reply = match word {
        b"rejected" => return read_rejected(rest),
        b"unknown" => None,
        b"done" | b"view" => Some(Reply::Done),
        b"grant" => {
            let (granted, numbers) = read_grant(told)?;
            Some(Reply::Granted(granted, read_numbers(numbers)?))
        }
        b"queued" => {
            let mut doubles = Doubles::read(rest)?;
            let (position, place) = (doubles.count()?, read_place(&mut doubles)?);
            Some(Reply::Queued { position, place, numbers: read_numbers(doubles)? })
        }
        b"reentered" => {
            let mut doubles = Doubles::read(rest)?;
            Some(Reply::Reentered { recovering: doubles.flag()?, roll: read_roll(&mut doubles)? })
        }
        other => return Err(nonsense(&String::from_utf8_lossy(other))),
    };
    Ok(Answer { reply, ..Answer::default() })
}

/// The reason, the packed refusal, and where a request was refused that came for the first time, the view and the numbers.
fn read_rejected(rest: &[u8]) -> Result<Answer, LedgerError> {
    let (reason, rest) = word_of(rest);
    let mut doubles = Doubles::read(rest)?;
    let reason = read_reason(&text(reason)?)?;
    let retry_after = doubles.next()?;
    if !(0.0..=RETRY_AFTER.1).contains(&retry_after) {
        return Err(nonsense(&retry_after.to_string()));
    }
    let refusal = Refusal { reason, retry_after, hopeless: doubles.flag()? };
    // What a key's limits refuse says nothing of the pool.
    let seen = if doubles.left() == 0 || reason == Reason::RateLimit {
        None
    } else {
        Some(read_view(&mut doubles)?.0)
    };
    Ok(Answer { reply: Some(Reply::Rejected(refusal, read_numbers(doubles)?)), seen, ..Answer::default() })
}

/// What was pushed to a router: one action.
pub(super) fn pushed(payload: &[u8]) -> Result<Action, LedgerError> {
    read_action(payload)
}

/// Counts and estimates, `None` where there is no such pool; and what the look put right.
pub(super) fn view(value: Value) -> Result<(Option<View>, Mended), LedgerError> {
    let mut parts = match value {
        Value::Array(parts) => parts.into_iter(),
        told => vec![told].into_iter(),
    };
    let told = bytes(parts.next())?;
    Ok((read_look(&told)?.map(|(view, _)| view), read_became(parts)?.1))
}

/// The whole account, `None` where there is no such pool; and what the look put right.
pub(super) fn snapshot(value: Value) -> Result<(Option<Snapshot>, Mended), LedgerError> {
    let mut parts = match value {
        Value::Array(parts) => Words(parts.into_iter()),
        // Nothing but a word is told of a pool that is unknown.
        told => Words(vec![told].into_iter()),
    };
    let Some((view, last_reset)) = read_look(&bytes(parts.next())?)? else {
        return Ok((None, Mended::default()));
    };
    let mut totals = Totals::default();
    for entry in parts.list()? {
        let mut entry = Words::of(entry)?;
        let (word, count) = (entry.word()?, entry.word()?);
        let many = count.parse().ok().filter(|many| *many <= MOST);
        totals.add(&word, many.ok_or_else(|| nonsense(&count))?);
    }
    let mut backends: Vec<_> = parts.list()?.map(read_backend).collect::<Result<_, _>>()?;
    backends.sort_by(|a, b| a.id.cmp(&b.id));
    let tickets = parts.list()?.map(read_ticket).collect::<Result<_, _>>()?;
    let mut routers: Vec<_> = parts.list()?.map(read_router).collect::<Result<_, _>>()?;
    routers.sort_by(|a, b| a.id.cmp(&b.id));
    // The first place is that of what a caller is told.
    let (_, mended) = read_became(parts.list()?.skip(1))?;
    Ok((Some(Snapshot { view, totals, backends, tickets, routers, last_reset }), mended))
}

/// A script's answer, read from left to right.
struct Words(IntoIter<Value>);

impl Iterator for Words {
    type Item = Value;

    fn next(&mut self) -> Option<Value> {
        self.0.next()
    }
}

impl Words {
    fn of(value: Value) -> Result<Words, LedgerError> {
        match value {
            Value::Array(values) => Ok(Words(values.into_iter())),
            other => Err(nonsense(&format!("{other:?}"))),
        }
    }

    fn list(&mut self) -> Result<Words, LedgerError> {
        Words::of(self.next().unwrap_or_default())
    }

    fn word(&mut self) -> Result<String, LedgerError> {
        text(&bytes(self.next())?)
    }

    fn number<N: TryFrom<i64>>(&mut self) -> Result<N, LedgerError> {
        match self.next() {
            Some(Value::Int(number)) => N::try_from(number).map_err(|_| nonsense(&number.to_string())),
            other => Err(nonsense(&format!("{other:?}"))),
        }
    }

    fn priority(&mut self) -> Result<Priority, LedgerError> {
        Priority::from_rank(self.number()?).ok_or_else(|| nonsense("a rank"))
    }
}

fn bytes(value: Option<Value>) -> Result<Vec<u8>, LedgerError> {
    match value {
        Some(Value::BulkString(bytes)) => Ok(bytes),
        other => Err(nonsense(&format!("{other:?}"))),
    }
}

fn text(bytes: &[u8]) -> Result<String, LedgerError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| nonsense(&error.to_string()))
}

/// An action is its words, each ended by a NUL but the last.
fn read_action(action: &[u8]) -> Result<Action, LedgerError> {
    let mut words = action.splitn(4, |byte| *byte == 0);
    let mut word = || text(words.next().unwrap_or_default());
    match word()?.as_str() {
        "grant" => Ok(Action::Grant(read_grant(action)?.0)),
        "drop" => {
            let (attempt, router) = (AttemptId::from(named(word()?)?), named(word()?)?);
            Ok(Action::Drop { attempt, router, reason: read_reason(&word()?)? })
        }
        other => Err(nonsense(other)),
    }
}

/// `grant`, the attempt, its router, the backend with its URL and epoch, and the packed place; and the numbers behind it.
fn read_grant(grant: &[u8]) -> Result<(Granted, Doubles), LedgerError> {
    let mut parts = grant.splitn(7, |byte| *byte == 0).skip(1);
    let mut word = || text(parts.next().unwrap_or_default());
    let (attempt, router) = (AttemptId::from(named(word()?)?), named(word()?)?);
    // The account may know no more of a backend than that an attempt runs on it: its router has said so after a loss.
    let (backend, url, epoch) = (named(word()?)?, word()?, word()?);
    let mut doubles = Doubles::read(parts.next().unwrap_or_default())?;
    let (place, since) = (read_place(&mut doubles)?, Time(doubles.whole()?));
    Ok((Granted { attempt, router, backend, url, epoch, since, place }, doubles))
}

fn read_place(doubles: &mut Doubles) -> Result<Place, LedgerError> {
    let rank = doubles.whole()?;
    let priority =
        usize::try_from(rank).ok().and_then(Priority::from_rank).ok_or_else(|| nonsense("a rank"))?;
    let (arrival, entered, deadline) = (doubles.whole()?, Time(doubles.whole()?), Time(doubles.whole()?));
    Ok(Place { priority, arrival, entered, deadline })
}

fn read_reason(word: &str) -> Result<Reason, LedgerError> {
    Reason::from_word(word).ok_or_else(|| nonsense(word))
}

fn read_renewed(roll: &[u8], words: &mut Words) -> Result<Reply, LedgerError> {
    let granted =
        words.list()?.map(|grant| Ok(read_grant(&bytes(Some(grant))?)?.0)).collect::<Result<_, _>>()?;
    let gone = words
        .list()?
        .map(|id| Ok(AttemptId::from(text(&bytes(Some(id))?)?)))
        .collect::<Result<_, LedgerError>>()?;
    let mut doubles = Doubles::read(roll)?;
    Ok(Reply::Renewed { granted, gone, recovering: doubles.flag()?, roll: read_roll(&mut doubles)? })
}

fn read_roll(figures: &mut Doubles) -> Result<Roll, LedgerError> {
    Ok(Roll { at: Time(figures.whole()?), routers: figures.count()?, rank: figures.count()? })
}

/// What was decided on, where it was: an answer to a call that comes twice has no numbers.
fn read_numbers(mut doubles: Doubles) -> Result<Option<Numbers>, LedgerError> {
    if doubles.left() == 0 {
        return Ok(None);
    }
    let mut next = || doubles.next();
    let (slots, held, ahead, queued) = (next()?, next()?, next()?, next()?);
    let (queue_limit, capacity, p, draw) = (next()?, next()?, next()?, next()?);
    let measured = if doubles.left() >= MEASURED { Some(read_measured(&mut doubles)?) } else { None };
    let allowance = if doubles.left() == 0 { None } else { Some(read_allowance(&mut doubles)?) };
    Ok(Some(Numbers { slots, held, ahead, queued, queue_limit, capacity, p, draw, measured, allowance }))
}

/// What a key has used; less than [`MEASURED`] numbers.
fn read_allowance(doubles: &mut Doubles) -> Result<Allowance, LedgerError> {
    Ok(Allowance { requests: doubles.next()?, tokens: doubles.next()?, held: doubles.next()? })
}

fn read_measured(doubles: &mut Doubles) -> Result<Measured, LedgerError> {
    Ok(Measured {
        mean: doubles.next()?,
        p90: doubles.next()?,
        drain: doubles.next()?,
        wait: doubles.next()?,
        budget: doubles.next()?,
    })
}

/// What a look is told; `None` where there is no such pool.
fn read_look(told: &[u8]) -> Result<Option<(View, Time)>, LedgerError> {
    let (word, figures) = word_of(told);
    if word == b"unknown" {
        return Ok(None);
    }
    read_view(&mut Doubles::read(figures)?).map(Some)
}

/// Counts and estimates in the order of view.lua, and when abandoned work was last reconciled.
fn read_view(figures: &mut Doubles) -> Result<(View, Time), LedgerError> {
    let free = figures.flag()?;
    let at = Time(figures.whole()?);
    let (slots, running, abandoned) = (figures.count()?, figures.count()?, figures.count()?);
    let queued = [figures.count()?, figures.count()?, figures.count()?];
    if queued.iter().try_fold(0_u32, |all, some| all.checked_add(*some)).is_none() {
        return Err(nonsense("more tickets than there can be"));
    }
    let estimate = Estimate {
        samples: figures.next()?,
        mean: figures.next()?,
        p90: figures.next()?,
        releases: figures.next()?,
        busy: figures.next()?,
        taken_high: figures.next()?,
        taken_normal: figures.next()?,
        attempts: figures.next()?,
    };
    let (last_reset, backend_seen) = (Time(figures.whole()?), Time(figures.whole()?));
    let backend_slots = figures.count()?;
    let view = View { at, slots, free, running, abandoned, queued, estimate, backend_seen, backend_slots };
    Ok((view, last_reset))
}

fn read_backend(value: Value) -> Result<BackendView, LedgerError> {
    let mut words = Words::of(value)?;
    Ok(BackendView {
        id: words.word()?,
        url: words.word()?,
        epoch: words.word()?,
        slots: words.number()?,
        running: words.number()?,
        abandoned: words.number()?,
        state: match words.word()?.as_str() {
            "live" => BackendState::Live,
            "draining" => BackendState::Draining,
            "gone" => BackendState::Gone,
            other => return Err(nonsense(other)),
        },
    })
}

fn read_ticket(value: Value) -> Result<TicketView, LedgerError> {
    let mut words = Words::of(value)?;
    Ok(TicketView {
        id: words.word()?,
        router: words.word()?,
        priority: words.priority()?,
        age: words.number()?,
    })
}

fn read_router(value: Value) -> Result<RouterView, LedgerError> {
    let mut words = Words::of(value)?;
    Ok(RouterView { id: words.word()?, age: words.number()?, flags: words.word()? })
}

/// A name of somebody or something: without it nobody is meant.
fn named(name: String) -> Result<String, LedgerError> {
    if name.is_empty() { Err(nonsense("a name is missing")) } else { Ok(name) }
}

fn nonsense(what: &str) -> LedgerError {
    LedgerError::Protocol(what.chars().take(REPEATED).collect())
}
