//! Answers as the scripts write them: the other half of [`super::super::reply`], for its properties.

use redis::Value;
use tidegate_admission::{Action, Granted, Mended, Numbers, Place, Reply, Roll, View};

use crate::ledger::redis::reply::Answer;

/// An answer of a transition.
pub(super) fn answer(answer: &Answer) -> Value {
    let mut became: Vec<Value> = answer.actions.iter().map(|each| text(action(each))).collect();
    became.extend(mended(answer.mended).map(text));
    let told = told(answer);
    if let Some(Reply::Renewed { granted, gone, .. }) = &answer.reply {
        let granted = granted.iter().map(|each| text(grant(each))).collect();
        let gone = gone.iter().map(|id| text(id.as_str().to_owned())).collect();
        became.insert(0, text(""));
        return Value::Array(vec![
            text(told),
            Value::Array(granted),
            Value::Array(gone),
            Value::Array(became),
        ]);
    }
    if became.is_empty() {
        return text(told);
    }
    became.insert(0, text(told));
    Value::Array(became)
}

/// What became of a ticket.
pub(super) fn action(action: &Action) -> Vec<u8> {
    match action {
        Action::Grant(granted) => grant(granted),
        Action::Drop { attempt, router, reason } => {
            words(&["drop", attempt.as_str(), router, reason.as_str()]).into_bytes()
        }
    }
}

fn told(answer: &Answer) -> Vec<u8> {
    match &answer.reply {
        None => b"unknown".to_vec(),
        Some(Reply::Done) => b"done".to_vec(),
        Some(Reply::Granted(granted, numbers)) => [grant(granted), packed(&figures(numbers))].concat(),
        Some(Reply::Queued { position, place: at, numbers }) => {
            let doubles = [vec![f64::from(*position)], place(at), figures(numbers)].concat();
            [b"queued\0".to_vec(), packed(&doubles)].concat()
        }
        Some(Reply::Rejected(refusal, numbers)) => {
            let word = words(&["rejected", refusal.reason.as_str(), ""]).into_bytes();
            let first = [refusal.retry_after, flag(refusal.hopeless)];
            let seen = answer.seen.as_ref().map(view).unwrap_or_default();
            [word, packed(&first), packed(&seen), packed(&figures(numbers))].concat()
        }
        Some(Reply::Renewed { recovering, roll, .. }) => standing("renewed\0", *recovering, roll),
        Some(Reply::Reentered { recovering, roll }) => standing("reentered\0", *recovering, roll),
    }
}

fn grant(granted: &Granted) -> Vec<u8> {
    let Granted { attempt, router, backend, url, epoch, since, place: at } = granted;
    let word = words(&["grant", attempt.as_str(), router, backend, url, epoch, ""]).into_bytes();
    [word, packed(&place(at)), packed(&[since.0 as f64])].concat()
}

fn standing(word: &str, recovering: bool, roll: &Roll) -> Vec<u8> {
    let doubles = [flag(recovering), roll.at.0 as f64, f64::from(roll.routers), f64::from(roll.rank)];
    [word.as_bytes(), &packed(&doubles)].concat()
}

fn place(place: &Place) -> Vec<f64> {
    let Place { priority, arrival, entered, deadline } = *place;
    vec![priority.rank() as f64, arrival as f64, entered.0 as f64, deadline.0 as f64]
}

fn figures(numbers: &Option<Numbers>) -> Vec<f64> {
    let Some(n) = numbers else { return Vec::new() };
    let mut figures = vec![n.slots, n.held, n.ahead, n.queued, n.queue_limit, n.capacity, n.p, n.draw];
    if let Some(m) = n.measured {
        figures.extend([m.mean, m.p90, m.drain, m.wait, m.budget]);
    }
    if let Some(used) = n.allowance {
        figures.extend([used.requests, used.tokens, used.held]);
    }
    figures
}

fn view(view: &View) -> Vec<f64> {
    let e = view.estimate;
    let counts = [view.slots, view.running, view.abandoned, view.queued[0], view.queued[1], view.queued[2]];
    let mut doubles = vec![flag(view.free), view.at.0 as f64];
    doubles.extend(counts.map(f64::from));
    doubles.extend([e.samples, e.mean, e.p90, e.releases, e.busy, e.taken_high, e.taken_normal, e.attempts]);
    doubles.extend([0.0, view.backend_seen.0 as f64, f64::from(view.backend_slots)]);
    doubles
}

fn mended(mended: Mended) -> impl Iterator<Item = String> {
    let Mended { routers, backends, tickets, slots, drift } = mended;
    let all = [
        ("routers", routers),
        ("backends", backends),
        ("tickets", tickets),
        ("slots", slots),
        ("drift", drift),
    ];
    all.into_iter()
        .filter(|(_, many)| *many > 0)
        .map(|(what, many)| words(&["mended", what, &many.to_string()]))
}

fn words(words: &[&str]) -> String {
    words.join("\0")
}

fn packed(doubles: &[f64]) -> Vec<u8> {
    doubles.iter().flat_map(|double| double.to_le_bytes()).collect()
}

fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}

fn text(text: impl Into<Vec<u8>>) -> Value {
    Value::BulkString(text.into())
}
