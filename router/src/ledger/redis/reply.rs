//! Reads what the scripts answer and push. All numbers come as text: Redis would cut them to integers.

use std::{str::FromStr, vec::IntoIter};

use redis::Value;
use tidegate_admission::{
    Action, AttemptId, Granted, Measured, Numbers, Place, Priority, Reason, Refusal, Reply, Time, View,
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
    let actions =
        parts.list()?.map(|action| Words::of(action).and_then(read_action)).collect::<Result<_, _>>()?;
    let numbers = parts.0.next().map(|figures| Words::of(figures).and_then(read_numbers)).transpose()?;
    let reply = match reply.word()?.as_str() {
        "unknown" => None,
        "done" | "view" => Some(Reply::Done),
        "grant" => Some(Reply::Granted(read_grant(&mut reply)?, numbers)),
        "queued" => {
            let position = reply.number()?;
            Some(Reply::Queued { position, place: read_place(&mut reply)?, numbers })
        }
        "rejected" => Some(Reply::Rejected(read_refusal(&mut reply)?, numbers)),
        "renewed" => Some(read_renewed(&mut reply)?),
        other => return Err(nonsense(other)),
    };
    Ok(Answer { reply, actions })
}

/// What was pushed to a router: one action as a JSON array of words.
pub(super) fn pushed(payload: &str) -> Result<Action, LedgerError> {
    let words: Vec<String> = serde_json::from_str(payload).map_err(|_| nonsense(payload))?;
    let words: Vec<Value> = words.into_iter().map(|word| Value::BulkString(word.into_bytes())).collect();
    read_action(Words(words.into_iter()))
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
        totals.add(&entry.word()?, entry.number()?);
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
        match self.next() {
            Some(Value::BulkString(bytes)) => {
                String::from_utf8(bytes).map_err(|error| nonsense(&error.to_string()))
            }
            other => Err(nonsense(&format!("{other:?}"))),
        }
    }

    fn number<N: FromStr>(&mut self) -> Result<N, LedgerError> {
        let word = self.word()?;
        word.parse().map_err(|_| nonsense(&word))
    }

    fn priority(&mut self) -> Result<Priority, LedgerError> {
        Priority::from_rank(self.number()?).ok_or_else(|| nonsense("a rank"))
    }
}

fn read_action(mut words: Words) -> Result<Action, LedgerError> {
    match words.word()?.as_str() {
        "grant" => Ok(Action::Grant(read_grant(&mut words)?)),
        "drop" => {
            let attempt = AttemptId(words.word()?);
            Ok(Action::Drop { attempt, router: words.word()?, reason: read_reason(&mut words)? })
        }
        other => Err(nonsense(other)),
    }
}

fn read_grant(words: &mut Words) -> Result<Granted, LedgerError> {
    Ok(Granted {
        attempt: AttemptId(words.word()?),
        router: words.word()?,
        backend: words.word()?,
        url: words.word()?,
        place: read_place(words)?,
    })
}

fn read_place(words: &mut Words) -> Result<Place, LedgerError> {
    Ok(Place {
        priority: words.priority()?,
        arrival: words.number()?,
        entered: Time(words.number()?),
        deadline: Time(words.number()?),
    })
}

fn read_reason(words: &mut Words) -> Result<Reason, LedgerError> {
    let word = words.word()?;
    Reason::from_word(&word).ok_or_else(|| nonsense(&word))
}

fn read_refusal(words: &mut Words) -> Result<Refusal, LedgerError> {
    Ok(Refusal { reason: read_reason(words)?, retry_after: words.number()?, hopeless: words.word()? == "1" })
}

fn read_renewed(words: &mut Words) -> Result<Reply, LedgerError> {
    let mut granted = Vec::new();
    for grant in words.list()? {
        let mut grant = Words::of(grant)?;
        grant.word()?;
        granted.push(read_grant(&mut grant)?);
    }
    let mut list = words.list()?;
    let mut gone = Vec::new();
    while list.0.len() > 0 {
        gone.push(AttemptId(list.word()?));
    }
    Ok(Reply::Renewed { granted, gone })
}

fn read_numbers(mut words: Words) -> Result<Numbers, LedgerError> {
    let mut next = || words.number::<f64>();
    let (slots, held, ahead, queued) = (next()?, next()?, next()?, next()?);
    let (queue_limit, capacity, p, draw) = (next()?, next()?, next()?, next()?);
    let measured = if words.0.len() == 0 { None } else { Some(read_measured(&mut words)?) };
    Ok(Numbers { slots, held, ahead, queued, queue_limit, capacity, p, draw, measured })
}

fn read_measured(words: &mut Words) -> Result<Measured, LedgerError> {
    Ok(Measured {
        mean: words.number()?,
        p90: words.number()?,
        drain: words.number()?,
        wait: words.number()?,
        budget: words.number()?,
    })
}

/// Counts and estimates in the order of look.lua, and when abandoned work was last reconciled.
fn read_view(mut words: Words) -> Result<Option<(View, Time)>, LedgerError> {
    if words.word()? == "unknown" {
        return Ok(None);
    }
    let free = words.word()? == "1";
    let mut figures = words.list()?;
    let at = Time(figures.number()?);
    let (slots, running, abandoned) = (figures.number()?, figures.number()?, figures.number()?);
    let queued = [figures.number()?, figures.number()?, figures.number()?];
    let estimate = Estimate {
        samples: figures.number()?,
        mean: figures.number()?,
        p90: figures.number()?,
        releases: figures.number()?,
        busy: figures.number()?,
        taken_high: figures.number()?,
        taken_normal: figures.number()?,
        attempts: figures.number()?,
    };
    let last_reset = Time(figures.number()?);
    Ok(Some((View { at, slots, free, running, abandoned, queued, estimate }, last_reset)))
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
