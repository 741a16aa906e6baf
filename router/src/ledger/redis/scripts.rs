//! The transitions as Lua scripts: which one an event calls, and with which arguments.

use redis::{Script, ScriptInvocation};
use tidegate_admission::{
    Admit, AttemptId, Backend, Caller, End, Event, Held, Limits, Reentry, Renewal, Return, Seat, Stage,
};

use super::source;

/// Stands for a limit that there is not; none is below 0.
const NO_LIMIT: f64 = -1.0;
/// Stands for a length that nobody knows; no known one is below 0.
const NO_LENGTH: f64 = -1.0;

/// All scripts. They are loaded once and called by hash.
#[derive(Debug)]
pub(super) struct Scripts {
    admit: Script,
    finish: Script,
    hand_back: Script,
    backend: Script,
    renew: Script,
    reenter: Script,
    look: Script,
}

impl Scripts {
    pub(super) fn new() -> Scripts {
        Scripts {
            admit: Script::new(&source::admit()),
            finish: Script::new(&source::finish()),
            hand_back: Script::new(&source::hand_back()),
            backend: Script::new(&source::backend()),
            renew: Script::new(&source::renew()),
            reenter: Script::new(&source::reenter()),
            look: Script::new(&source::look()),
        }
    }

    /// All of them, to be loaded.
    pub(super) fn all(&self) -> [&Script; 7] {
        [&self.admit, &self.finish, &self.hand_back, &self.backend, &self.renew, &self.reenter, &self.look]
    }

    /// The call for an event. `now`: empty for Redis's own time. `channel`: what routers' ids are appended to.
    pub(super) fn call(
        &self,
        event: &Event,
        keys: &[String],
        now: &str,
        channel: &str,
    ) -> ScriptInvocation<'_> {
        let script = match event {
            Event::Admit(_) => &self.admit,
            Event::Release(..) | Event::Cancel(..) | Event::Abandon(..) | Event::Confirm(_) => &self.finish,
            Event::HandBack(_) => &self.hand_back,
            Event::PutBackend(_) | Event::RemoveBackend(_) | Event::Reconcile(..) => &self.backend,
            Event::Renew(_) => &self.renew,
            Event::Reenter(_) => &self.reenter,
            Event::Refused(_) | Event::Tick => &self.look,
        };
        let mut call = begin(script, keys, now, channel);
        arguments(&mut call, event);
        call
    }

    /// The call that reads the whole account.
    pub(super) fn look(&self, keys: &[String], now: &str, channel: &str) -> ScriptInvocation<'_> {
        let mut call = begin(&self.look, keys, now, channel);
        call.arg("all");
        call
    }
}

/// The word for the kind of call that an event is, in metrics.
pub(super) fn operation(event: &Event) -> &'static str {
    match event {
        Event::Admit(_) => "admit",
        Event::Release(..) | Event::Cancel(..) | Event::Abandon(..) | Event::Confirm(_) => "finish",
        Event::HandBack(_) => "hand_back",
        Event::PutBackend(_) | Event::RemoveBackend(_) | Event::Reconcile(..) => "backend",
        Event::Renew(_) => "renew",
        Event::Reenter(_) => "reenter",
        Event::Refused(_) | Event::Tick => "look",
    }
}

fn begin<'a>(script: &'a Script, keys: &[String], now: &str, channel: &str) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    for key in keys {
        call.key(key);
    }
    call.arg(now).arg(channel);
    call
}

fn arguments(call: &mut ScriptInvocation<'_>, event: &Event) {
    match event {
        Event::Admit(ask) => admit(call, ask),
        Event::Release(attempt, end, tokens) => finish(call, "release", attempt, Some(*end), *tokens),
        Event::Cancel(attempt, end) => finish(call, "cancel", attempt, Some(*end), None),
        Event::Abandon(attempt, end, tokens) => finish(call, "abandon", attempt, Some(*end), *tokens),
        Event::Confirm(attempt) => finish(call, "confirm", attempt, None, None),
        Event::HandBack(returned) => hand_back(call, returned),
        Event::PutBackend(backend) => put_backend(call, backend),
        Event::RemoveBackend(id) => {
            call.arg("remove").arg(id);
        }
        Event::Reconcile(id, held) => {
            call.arg("reconcile").arg(id);
            for attempt in held {
                call.arg(attempt.as_str());
            }
        }
        Event::Renew(renewal) => renew(call, renewal),
        Event::Reenter(reentry) => reenter(call, reentry),
        Event::Refused(refused) => {
            call.arg("view");
            for (reason, many) in refused {
                call.arg(reason.as_str()).arg(*many);
            }
        }
        Event::Tick => {
            call.arg("view");
        }
    }
}

fn finish(
    call: &mut ScriptInvocation<'_>,
    what: &str,
    attempt: &AttemptId,
    end: Option<End>,
    tokens: Option<u64>,
) {
    let tokens = tokens.map(|tokens| tokens.to_string()).unwrap_or_default();
    call.arg(what).arg(attempt.as_str()).arg(end.map_or("", End::as_str)).arg(tokens);
}

/// A caller as the scripts keep it: the names, each with a NUL behind it, and the packed limits. Nothing where there is none.
fn caller(caller: Option<&Caller>) -> Vec<u8> {
    let Some(Caller { key, tenant, weight, quota, reserved }) = caller else { return Vec::new() };
    let limit = |limit: Option<u64>| limit.map_or(NO_LIMIT, |limit| limit as f64);
    let limits = [limit(quota.requests), limit(quota.tokens), limit(quota.concurrency)];
    let mut text = format!("{key}\0{tenant}\0").into_bytes();
    for figure in limits.into_iter().chain([*weight as f64, *reserved as f64]) {
        text.extend(figure.to_le_bytes());
    }
    text
}

fn admit(call: &mut ScriptInvocation<'_>, ask: &Admit) {
    let limits = &ask.limits;
    let figures = [
        ask.priority.rank() as f64,
        ask.remaining as f64,
        ask.length.unwrap_or(NO_LENGTH),
        ask.draw,
        ask.jitter,
        f64::from(limits.max_queue_size),
        limits.queue_rejection_threshold,
        limits.rejection_start,
        limits.wait_share,
        limits.pool_memory as f64,
    ];
    // One packed argument costs what a single number does.
    let packed: Vec<u8> = figures.iter().flat_map(|figure| figure.to_le_bytes()).collect();
    call.arg(ask.attempt.as_str())
        .arg(&ask.router)
        .arg(packed)
        .arg(ask.prefer.as_deref().unwrap_or_default());
    call.arg(caller(ask.caller.as_deref()));
}

fn hand_back(call: &mut ScriptInvocation<'_>, returned: &Return) {
    let why = returned.why.as_str();
    let place = &returned.place;
    call.arg(returned.attempt.as_str()).arg(returned.next.as_str()).arg(&returned.router);
    remembered(call, &returned.limits);
    call.arg(why).arg(place.priority.rank()).arg(place.arrival).arg(place.entered.0).arg(place.deadline.0);
    call.arg(caller(returned.caller.as_deref()));
}

fn put_backend(call: &mut ScriptInvocation<'_>, backend: &Backend) {
    call.arg("put").arg(&backend.id).arg(&backend.epoch).arg(&backend.url).arg(backend.slots);
    call.arg(u8::from(backend.draining));
}

fn renew(call: &mut ScriptInvocation<'_>, renewal: &Renewal) {
    call.arg(&renewal.router).arg(renewal.number).arg(&renewal.flags);
    remembered(call, &renewal.limits);
    call.arg(renewal.reset_interval).arg(renewal.known.len());
    for attempt in renewal.known.iter().chain(&renewal.check) {
        call.arg(attempt.as_str());
    }
}

fn reenter(call: &mut ScriptInvocation<'_>, reentry: &Reentry) {
    call.arg(&reentry.router).arg(reentry.number).arg(&reentry.flags);
    remembered(call, &reentry.limits);
    call.arg(reentry.routers);
    for Held { attempt, place, avoid, stage, caller: whose } in &reentry.held {
        call.arg(attempt.as_str())
            .arg(lives(avoid))
            .arg(place.priority.rank())
            .arg(place.arrival)
            .arg(place.entered.0)
            .arg(place.deadline.0);
        match stage {
            Stage::Waiting => call.arg("q").arg("").arg("").arg(0),
            Stage::Running(seat) => seated(call, "r", seat),
            Stage::Abandoned(seat) => seated(call, "a", seat),
        };
        call.arg(caller(whose.as_deref()));
    }
}

/// Lives of backends as the account keeps them: NUL life NUL life NUL, or nothing.
fn lives(avoid: &[String]) -> String {
    avoid.iter().fold(String::new(), |lives, life| {
        let first = if lives.is_empty() { "\0" } else { "" };
        lives + first + life + "\0"
    })
}

fn seated<'a, 'b>(
    call: &'a mut ScriptInvocation<'b>,
    phase: &str,
    seat: &Seat,
) -> &'a mut ScriptInvocation<'b> {
    call.arg(phase).arg(&seat.backend).arg(&seat.epoch).arg(seat.since.0)
}

/// The limits that a router's lease remembers.
fn remembered(call: &mut ScriptInvocation<'_>, limits: &Limits) {
    call.arg(limits.max_queue_size).arg(limits.pool_memory);
}
