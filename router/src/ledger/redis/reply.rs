//! Reads what the scripts answer and push. Numbers that need not be whole come as packed doubles: Redis would cut them to
//! integers.

use std::vec::IntoIter;

use redis::Value;
use tidegate_admission::{
    Action, AttemptId, Granted, Measured, Numbers, Place, Priority, Reason, Refusal, Reply, Roll, Time, View,
    estimate::Estimate,
    snapshot::{BackendState, BackendView, RouterView, Snapshot, TicketView, Totals},
};

use super::LedgerError;

/// What a transition answered.
#[derive(Debug, Default, PartialEq)]
pub(in crate::ledger) struct Answer {
    /// For the caller; `None` where there is no such pool.
    pub(in crate::ledger) reply: Option<Reply>,
    /// What became of waiting tickets, of all routers.
    pub(in crate::ledger) actions: Vec<Action>,
}

/// The answer of a transition's script.
pub(super) fn answer(value: Value) -> Result<Answer, LedgerError> {
    let mut parts = Words::of(value)?;
    let mut reply = parts.list()?;
    let actions = parts
        .list()?
        .map(|action| bytes(Some(action)).and_then(|action| read_action(&action)))
        .collect::<Result<_, _>>()?;
    let numbers =
        parts.next().map(|figures| Doubles::of(Some(figures)).and_then(read_numbers)).transpose()?;
    let reply = match reply.word()?.as_str() {
        "unknown" => None,
        "done" | "view" => Some(Reply::Done),
        "granted" => Some(Reply::Granted(read_grant(&bytes(reply.next())?)?, numbers)),
        "queued" => {
            let position = reply.number()?;
            Some(Reply::Queued { position, place: read_place(&mut reply.doubles()?)?, numbers })
        }
        "rejected" => Some(Reply::Rejected(read_refusal(&mut reply)?, numbers)),
        "renewed" => Some(read_renewed(&mut reply)?),
        "reentered" => Some(Reply::Reentered { recovering: reply.flag()?, roll: read_roll(&mut reply)? }),
        other => return Err(nonsense(other)),
    };
    Ok(Answer { reply, actions })
}

/// What was pushed to a router: one action.
pub(super) fn pushed(payload: &[u8]) -> Result<Action, LedgerError> {
    read_action(payload)
}

/// Counts and estimates; `None` where there is no such pool.
pub(super) fn view(value: Value) -> Result<Option<View>, LedgerError> {
    Ok(read_view(Words::of(value)?.list()?)?.map(|(view, _)| view))
}

/// The whole account; `None` where there is no such pool.
pub(super) fn snapshot(value: Value) -> Result<Option<Snapshot>, LedgerError> {
    let mut parts = Words::of(value)?;
    let Some((view, last_reset)) = read_view(parts.list()?)? else { return Ok(None) };
    parts.list()?;
    let mut totals = Totals::default();
    for entry in parts.list()? {
        let mut entry = Words::of(entry)?;
        let (word, count) = (entry.word()?, entry.word()?);
        totals.add(&word, count.parse().map_err(|_| nonsense(&count))?);
    }
    let mut backends: Vec<_> = parts.list()?.map(read_backend).collect::<Result<_, _>>()?;
    backends.sort_by(|a, b| a.id.cmp(&b.id));
    let tickets = parts.list()?.map(read_ticket).collect::<Result<_, _>>()?;
    let mut routers: Vec<_> = parts.list()?.map(read_router).collect::<Result<_, _>>()?;
    routers.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Some(Snapshot { view, totals, backends, tickets, routers, last_reset }))
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

    fn flag(&mut self) -> Result<bool, LedgerError> {
        Ok(self.number::<i64>()? == 1)
    }

    fn priority(&mut self) -> Result<Priority, LedgerError> {
        Priority::from_rank(self.number()?).ok_or_else(|| nonsense("a rank"))
    }

    fn doubles(&mut self) -> Result<Doubles, LedgerError> {
        Doubles::of(self.next())
    }
}

/// Doubles that a script has packed one after another, least byte first.
struct Doubles(IntoIter<f64>);

impl Doubles {
    fn of(value: Option<Value>) -> Result<Doubles, LedgerError> {
        Doubles::read(&bytes(value)?)
    }

    fn read(bytes: &[u8]) -> Result<Doubles, LedgerError> {
        let (doubles, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(nonsense("packed numbers"));
        }
        let doubles: Vec<f64> = doubles.iter().map(|double| f64::from_le_bytes(*double)).collect();
        Ok(Doubles(doubles.into_iter()))
    }

    fn next(&mut self) -> Result<f64, LedgerError> {
        self.0.next().ok_or_else(|| nonsense("too few numbers"))
    }

    /// A count or an instant: never negative, and exact up to 2^53.
    fn whole(&mut self) -> Result<u64, LedgerError> {
        let number = self.next()?;
        if number >= 0.0 && number.fract() == 0.0 {
            Ok(number as u64)
        } else {
            Err(nonsense(&number.to_string()))
        }
    }

    fn count(&mut self) -> Result<u32, LedgerError> {
        let whole = self.whole()?;
        u32::try_from(whole).map_err(|_| nonsense(&whole.to_string()))
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
        "grant" => Ok(Action::Grant(read_grant(action)?)),
        "drop" => {
            let (attempt, router) = (AttemptId(word()?), word()?);
            Ok(Action::Drop { attempt, router, reason: read_reason(&word()?)? })
        }
        other => Err(nonsense(other)),
    }
}

/// `grant`, the attempt, its router, the backend with its URL and epoch, and the packed place.
fn read_grant(grant: &[u8]) -> Result<Granted, LedgerError> {
    let mut parts = grant.splitn(7, |byte| *byte == 0).skip(1);
    let mut word = || text(parts.next().unwrap_or_default());
    let (attempt, router, backend, url, epoch) = (AttemptId(word()?), word()?, word()?, word()?, word()?);
    let mut place = Doubles::read(parts.next().unwrap_or_default())?;
    let (place, since) = (read_place(&mut place)?, Time(place.whole()?));
    Ok(Granted { attempt, router, backend, url, epoch, since, place })
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

fn read_refusal(words: &mut Words) -> Result<Refusal, LedgerError> {
    let reason = read_reason(&words.word()?)?;
    Ok(Refusal { reason, retry_after: words.doubles()?.next()?, hopeless: words.flag()? })
}

fn read_renewed(words: &mut Words) -> Result<Reply, LedgerError> {
    let granted = words.list()?.map(|grant| read_grant(&bytes(Some(grant))?)).collect::<Result<_, _>>()?;
    let gone = words
        .list()?
        .map(|id| Ok(AttemptId(text(&bytes(Some(id))?)?)))
        .collect::<Result<_, LedgerError>>()?;
    Ok(Reply::Renewed { granted, gone, recovering: words.flag()?, roll: read_roll(words)? })
}

fn read_roll(words: &mut Words) -> Result<Roll, LedgerError> {
    let mut figures = words.doubles()?;
    Ok(Roll { at: Time(figures.whole()?), routers: figures.count()?, rank: figures.count()? })
}

fn read_numbers(mut doubles: Doubles) -> Result<Numbers, LedgerError> {
    let mut next = || doubles.next();
    let (slots, held, ahead, queued) = (next()?, next()?, next()?, next()?);
    let (queue_limit, capacity, p, draw) = (next()?, next()?, next()?, next()?);
    let measured = if doubles.0.len() == 0 { None } else { Some(read_measured(&mut doubles)?) };
    Ok(Numbers { slots, held, ahead, queued, queue_limit, capacity, p, draw, measured })
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

/// Counts and estimates in the order of look.lua, and when abandoned work was last reconciled.
fn read_view(mut words: Words) -> Result<Option<(View, Time)>, LedgerError> {
    if words.word()? == "unknown" {
        return Ok(None);
    }
    let free = words.flag()?;
    let mut figures = words.doubles()?;
    let at = Time(figures.whole()?);
    let (slots, running, abandoned) = (figures.count()?, figures.count()?, figures.count()?);
    let queued = [figures.count()?, figures.count()?, figures.count()?];
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
    Ok(Some((view, last_reset)))
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

fn nonsense(what: &str) -> LedgerError {
    LedgerError::Protocol(what.to_owned())
}
