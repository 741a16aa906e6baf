//! What holds for whatever Redis answers or pushes: it is understood as it was meant, or it is an error.
//!
//! As in [`crate::request::hostile`], each property panics where it does not hold. What is read here is written again in the order in
//! which the scripts write it, so that this also pins what stands where.

mod written;

use std::sync::Arc;

use redis::Value;
use tidegate_admission::{
    Action, Asked, AttemptId, Granted, Limits, Priority, Reply, Verdict, View, decide::RETRY_AFTER,
    decide::decide,
};

use super::reply::{self, Answer};
use crate::ledger::{Admission, LedgerError, holding::Holdings};

/// The longest text of an error, in bytes: an answer can be of any length, a line of the log cannot.
const LONGEST_ERROR: usize = 600;
/// Lists within lists; the client of Redis refuses more.
const DEEPEST: usize = 100;

/// One answer, as [`value`] reads it, taken for each kind that there is; and as what is pushed.
pub fn replies(bytes: &[u8]) {
    let value = value(bytes);
    pushed(bytes);
    for text in texts(&value) {
        pushed(text);
    }
    if let Some(answer) = understood(reply::answer(value.clone())) {
        answered(&value, answer);
    }
    if let Some((Some(view), _)) = understood(reply::view(value.clone())) {
        decided(&view);
    }
    if let Some((Some(snapshot), _)) = understood(reply::snapshot(value)) {
        decided(&snapshot.view);
        assert!(snapshot.backends.is_sorted_by(|one, next| one.id <= next.id));
        assert!(snapshot.routers.is_sorted_by(|one, next| one.id <= next.id));
        let _ = (snapshot.totals.attempts(), snapshot.oldest_wait());
    }
}

/// What is not understood is an error of its own kind, and a short one.
fn understood<T>(read: Result<T, LedgerError>) -> Option<T> {
    read.map_err(|error| {
        assert!(matches!(error, LedgerError::Protocol(_)), "{error}");
        assert!(error.to_string().len() <= LONGEST_ERROR, "{} bytes", error.to_string().len());
    })
    .ok()
}

/// A push says one thing of one attempt of one router.
fn pushed(payload: &[u8]) {
    let Some(action) = understood(reply::pushed(payload)) else { return };
    match &action {
        Action::Grant(granted) => {
            assert!(payload.starts_with(b"grant\0"));
            is_whole(granted);
        }
        Action::Drop { attempt, router, .. } => {
            assert!(payload.starts_with(b"drop\0") && !attempt.as_str().is_empty() && !router.is_empty());
        }
    }
    assert_eq!(reply::pushed(&written::action(&action)), Ok(action));
}

/// An answer reads as it was written; it lets in whom it names, where it says so in so many words.
fn answered(value: &Value, answer: Answer) {
    assert_eq!(reply::answer(written::answer(&answer)).as_ref(), Ok(&answer));
    for action in &answer.actions {
        if let Action::Grant(granted) = action {
            is_whole(granted);
        }
    }
    if let Some(view) = &answer.seen {
        decided(view);
    }
    let Some(reply) = answer.reply else { return };
    let grants = matches!(reply, Reply::Granted(..));
    let told = texts(value).into_iter().next().unwrap_or_default();
    assert_eq!(grants, told.starts_with(b"grant\0"));
    match &reply {
        Reply::Granted(granted, _) => is_whole(granted),
        Reply::Renewed { granted, .. } => granted.iter().for_each(is_whole),
        _ => {}
    }
    let named = matches!(&reply, Reply::Granted(granted, _) if granted.attempt.as_str() == "router-1");
    let asking = Arc::new(Holdings::default()).open("m", &AttemptId::from("router-1"), None);
    match asking.answered(reply) {
        Ok(Admission::Granted(grant)) => {
            assert!(named && grant.attempt.as_str() == "router-1", "a slot of another attempt");
        }
        Ok(Admission::Rejected(rejection)) => assert!(rejection.retry_after.as_secs_f64() <= RETRY_AFTER.1),
        Ok(Admission::Queued(ticket)) => assert_eq!(ticket.attempt.as_str(), "router-1"),
        Err(error) => assert!(matches!(error, LedgerError::Protocol(_))),
    }
}

/// A slot is one of a backend, for an attempt that somebody holds.
fn is_whole(granted: &Granted) {
    let Granted { attempt, router, backend, place, since, .. } = granted;
    assert!(![attempt.as_str(), router, backend].into_iter().any(|word| word.is_empty()), "{granted:?}");
    // What Lua counts in is exact up to here.
    assert!([place.arrival, place.entered.0, place.deadline.0, since.0].into_iter().all(|n| n <= 1 << 53));
}

/// Whatever the account looks like, the rules come to a decision on it.
fn decided(view: &View) {
    for (priority, draw) in Priority::ALL.into_iter().zip([0.0, 0.5, 0.99]) {
        let asked = Asked { priority, remaining: 60.0, length: Some(1.0), draw, jitter: draw };
        let decision = decide(view, &Limits::default(), &asked);
        assert!((0.0..=1.0).contains(&decision.numbers.p), "{decision:?}");
        if let Verdict::Reject(refusal) = decision.verdict {
            assert!((RETRY_AFTER.0..=RETRY_AFTER.1).contains(&refusal.retry_after), "{decision:?}");
        }
    }
}

/// An answer out of bytes, so that any bytes are one and a change of some changes little: 1 begins a list and 2 ends it, 3 begins a text
/// and 4 a whole number in digits, 5 is nothing, and behind a 6 a byte is none of these.
fn value(bytes: &[u8]) -> Value {
    let mut open: Vec<Vec<Value>> = vec![Vec::new()];
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        if byte == 2 && open.len() > 1 {
            let list = open.pop().unwrap_or_default();
            push(&mut open, Value::Array(list));
            continue;
        }
        match byte {
            1 if open.len() < DEEPEST => open.push(Vec::new()),
            3 => push(&mut open, Value::BulkString(Vec::new())),
            4 => push(&mut open, Value::Int(0)),
            5 => push(&mut open, Value::Nil),
            6 => goes_on(&mut open, rest.next().unwrap_or_default()),
            other => goes_on(&mut open, other),
        }
    }
    while open.len() > 1 {
        let list = open.pop().unwrap_or_default();
        push(&mut open, Value::Array(list));
    }
    let mut all = open.pop().unwrap_or_default();
    if all.len() == 1 { all.remove(0) } else { Value::Array(all) }
}

fn push(open: &mut [Vec<Value>], value: Value) {
    if let Some(list) = open.last_mut() {
        list.push(value);
    }
}

/// One more byte of the text or number that is being read.
fn goes_on(open: &mut [Vec<Value>], byte: u8) {
    match open.last_mut().and_then(|list| list.last_mut()) {
        Some(Value::BulkString(text)) => text.push(byte),
        Some(Value::Int(number)) if byte == b'-' => *number = number.wrapping_neg(),
        Some(Value::Int(number)) if byte.is_ascii_digit() => {
            *number = number.wrapping_mul(10).wrapping_add(i64::from(byte - b'0'));
        }
        _ => {}
    }
}

/// All texts of an answer, from left to right.
fn texts(value: &Value) -> Vec<&[u8]> {
    match value {
        Value::BulkString(text) => vec![text],
        Value::Array(list) => list.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_the_fuzzer_found_holds() {
        crate::request::hostile::replay("replies", super::replies);
    }
}
