//! Messages arrive: calls become events of the account, and what it says becomes messages to routers.

use std::sync::Arc;

use tidegate_admission::{Action, Admit, Backend, End, Event, Granted, Outcome, Renewal, Reply, Return};

use crate::{
    facts::{self, Spot},
    message::{Message, Place, Slot, Verdict, Word},
    names::{TICK, Tries, Try, backend_id, instant, number, router_id},
    setup::Setup,
    state::State,
    step_check::Breach,
};

impl State {
    /// Applies an event to the account; what it pushes gets under way.
    pub fn apply(&mut self, setup: &Setup, event: &Event) -> Outcome {
        let held = self.held_by_renewer(setup, event);
        let ledger = Arc::make_mut(&mut self.ledger);
        let outcome = ledger.apply(setup.breakage, event);
        if held.iter().any(|one| ledger.facts.spot(one) == Spot::Absent) {
            ledger.breach = ledger.breach.or(Some(Breach::TakenAway));
        }
        self.push(setup, &outcome.actions);
        outcome
    }

    /// What must stay on the account where a router renews, however late that comes: all that it waits for or runs by now.
    fn held_by_renewer(&self, setup: &Setup, event: &Event) -> Tries {
        let Event::Renew(renewal) = event else { return Tries::default() };
        let held = self.holds(setup, usize::from(number(&renewal.router)));
        held.iter().filter(|one| self.ledger.facts.spot(*one) != Spot::Absent).collect()
    }

    /// Puts under way what the account tells routers unasked. A dead router hears nothing.
    pub fn push(&mut self, setup: &Setup, actions: &[Action]) {
        for action in actions {
            let (one, message) = match action {
                Action::Grant(granted) => {
                    let one = Try::of(&granted.attempt);
                    (one, Message::Grant(one, slot(granted)))
                }
                Action::Drop { attempt, .. } => (Try::of(attempt), Message::Drop(Try::of(attempt))),
            };
            if self.routers[setup.router(one.request)] {
                self.send(message);
            }
        }
    }

    /// A message arrives. `answered`: whether the caller, where it waits, gets to hear what came of it.
    pub fn arrive(&mut self, setup: &Setup, message: &Message, answered: bool) {
        match message {
            Message::Answer(one, verdict) => self.hear_verdict(*one, *verdict),
            Message::Grant(one, slot) => self.hear_grant(*one, *slot),
            Message::Drop(one) => self.hear_drop(*one),
            Message::Renewed(_, granted, gone) => self.hear_renewed(granted, *gone),
            call => self.called(setup, call, answered),
        }
    }

    fn called(&mut self, setup: &Setup, call: &Message, answered: bool) {
        let Some(event) = self.event(setup, call) else { return };
        let reply = self.apply(setup, &event).reply;
        match call {
            Message::Abandon(one) if answered => self.told(*one, true),
            Message::Renew(word) if answered && self.routers[usize::from(word.router)] => {
                let (granted, gone) = renewed(&reply);
                self.send(Message::Renewed(word.router, granted, gone));
            }
            _ => {}
        }
        let Some(one) = call.verdict_on() else { return };
        if answered && self.routers[setup.router(one.request)] {
            self.send(Message::Answer(one, verdict(&reply)));
        }
    }

    /// What a call asks of the account.
    fn event(&self, setup: &Setup, call: &Message) -> Option<Event> {
        Some(match call {
            Message::Admit(one) => self.admit(setup, *one),
            Message::HandBack(one, why, place) => Event::HandBack(Return {
                attempt: one.id(),
                next: one.next().id(),
                router: router_id(setup.router(one.request)),
                limits: setup.limits(setup.router(one.request)),
                why: why.word(),
                place: whole(setup, *one, *place),
                caller: setup.key(one.request).map(|(number, key)| key.caller(number).into()),
            }),
            Message::Cancel(one) => Event::Cancel(one.id(), End::ClientGone),
            // Nothing is ever measured: what the estimates decide is tested elsewhere, and would make time endless.
            // But for what answers take, where nobody's time is ever over.
            Message::Release(one) => match setup.key(one.request) {
                Some((_, key)) => Event::Release(one.id(), End::Finished, Some(key.taken)),
                None => Event::Release(one.id(), End::Failed, None),
            },
            Message::Abandon(one) => {
                let taken = setup.key(one.request).map(|(_, key)| key.taken);
                Event::Abandon(one.id(), End::TimedOut, taken)
            }
            Message::Confirm(one) => Event::Confirm(one.id()),
            Message::Renew(word) => renew(setup, *word),
            Message::Answer(..) | Message::Renewed(..) | Message::Grant(..) | Message::Drop(_) => {
                return None;
            }
        })
    }

    fn admit(&self, setup: &Setup, one: Try) -> Event {
        let wish = setup.wishes[usize::from(one.request)];
        Event::Admit(Admit {
            attempt: one.id(),
            router: router_id(wish.router),
            limits: setup.limits(wish.router),
            priority: wish.priority,
            remaining: u64::from(wish.patience) * TICK,
            length: None,
            draw: 0.999,
            jitter: 0.0,
            prefer: None,
            caller: setup.key(one.request).map(|(number, key)| key.caller(number).into()),
        })
    }
}

/// A router's renewal.
pub fn renew(setup: &Setup, word: Word) -> Event {
    let router = usize::from(word.router);
    Event::Renew(Renewal {
        router: router_id(router),
        number: word.number,
        flags: String::new(),
        limits: setup.limits(router),
        known: word.known.ids(),
        check: word.check.ids(),
        reset_interval: u64::from(setup.reset_interval) * TICK,
    })
}

/// A backend's registration in one of its lives.
pub fn registration(backend: usize, epoch: u8) -> Event {
    let (id, epoch) = (backend_id(backend), format!("e{epoch}"));
    Event::PutBackend(Backend { url: id.clone(), id, epoch, slots: 1, draining: false })
}

/// What a renewal's answer says: what runs, and what is not on the account.
pub fn renewed(reply: &Reply) -> (Vec<(Try, Slot)>, Tries) {
    let Reply::Renewed { granted, gone, .. } = reply else { return (Vec::new(), Tries::default()) };
    let granted = granted.iter().map(|granted| (Try::of(&granted.attempt), slot(granted))).collect();
    (granted, gone.iter().map(Try::of).collect())
}

fn verdict(reply: &Reply) -> Verdict {
    match reply {
        Reply::Granted(granted, _) => Verdict::Granted(slot(granted)),
        Reply::Queued { .. } => Verdict::Queued,
        Reply::Rejected(..) => Verdict::Refused,
        Reply::Done | Reply::Renewed { .. } | Reply::Reentered { .. } => Verdict::Unclear,
    }
}

fn slot(granted: &Granted) -> Slot {
    Slot { backend: number(&granted.backend), place: facts::place(&granted.place) }
}

fn whole(setup: &Setup, one: Try, place: Place) -> tidegate_admission::Place {
    tidegate_admission::Place {
        priority: setup.priority(one.request),
        arrival: place.arrival,
        entered: instant(0),
        deadline: instant(place.deadline),
    }
}
