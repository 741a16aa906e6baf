//! The router's side: what `router/src/ledger/holding.rs`, `desk.rs` and the guards of `router/src/request` do, in small.

use crate::{
    message::{Message, Slot, Verdict, Why},
    names::{ROUTERS, TRIES, Tries, Try},
    setup::Setup,
    state::{Chore, Early, Past, State, Task},
};

impl State {
    /// The client makes its request.
    pub fn ask(&mut self, one: Try) {
        self.request(one).task = Task::Asking(one.number, None);
        self.send(Message::Admit(one));
    }

    /// The ledger's verdict arrives.
    pub fn hear_verdict(&mut self, one: Try, verdict: Verdict) {
        let Task::Asking(number, early) = self.request(one).task else { return };
        if number != one.number {
            return;
        }
        match (verdict, early) {
            (Verdict::Granted(slot), _) | (Verdict::Queued, Some(Early::Granted(slot))) => {
                self.request(one).task = Task::Sent(number, slot);
            }
            (Verdict::Queued, None) => self.request(one).task = Task::Waiting(number),
            (Verdict::Queued, Some(Early::Dropped)) | (Verdict::Refused, _) => self.answer(one),
            (Verdict::Unclear, _) => self.fail_to_ask(one),
        }
    }

    /// A grant arrives: pushed, or told at a renewal.
    pub fn hear_grant(&mut self, one: Try, slot: Slot) {
        let request = self.request(one);
        match request.task {
            Task::Asking(number, None) if number == one.number => {
                request.task = Task::Asking(number, Some(Early::Granted(slot)));
            }
            Task::Waiting(number) if number == one.number => request.task = Task::Sent(number, slot),
            _ => {}
        }
    }

    /// A ticket is gone.
    pub fn hear_drop(&mut self, one: Try) {
        match self.request(one).task {
            Task::Asking(number, None) if number == one.number => {
                self.request(one).task = Task::Asking(number, Some(Early::Dropped));
            }
            Task::Waiting(number) if number == one.number => self.answer(one),
            _ => {}
        }
    }

    /// The answer to a renewal arrives.
    pub fn hear_renewed(&mut self, granted: &[(Try, Slot)], gone: Tries) {
        for (one, slot) in granted {
            if self.past(*one).held {
                self.past(*one).held = false;
            } else {
                self.hear_grant(*one, *slot);
            }
        }
        for one in gone.iter() {
            self.past(one).held = false;
            if self.request(one).task == Task::Waiting(one.number) {
                self.send(Message::Cancel(one));
                self.answer(one);
            }
        }
    }

    /// No verdict came in time, or none that makes sense: the request fails, and gives back whatever it may have got.
    pub fn fail_to_ask(&mut self, one: Try) {
        self.send(Message::Cancel(one));
        if one.number > 0 {
            self.abandon(Try { number: one.number - 1, ..one });
        }
        self.answer(one);
    }

    /// The client leaves, or the request's time is over.
    pub fn give_up(&mut self, one: Try) {
        match self.request(one).task {
            Task::Asking(..) => self.fail_to_ask(one),
            Task::Waiting(_) => {
                self.send(Message::Cancel(one));
                self.answer(one);
            }
            Task::Sent(..) | Task::Streaming(..) => self.fail_running(one),
            Task::Idle | Task::Over | Task::Lost => {}
        }
    }

    /// A request that has a slot ends with an error: the connection is closed, and the slot counts until that is known.
    pub fn fail_running(&mut self, one: Try) {
        self.past(one).held = true;
        self.abandon(one);
        self.hang_up(one);
        self.answer(one);
    }

    fn abandon(&mut self, one: Try) {
        self.past(one).chore = Chore::Telling;
        self.send(Message::Abandon(one));
    }

    /// The backend did not take the work: its ticket goes back, as long as there are attempts left.
    pub fn hand_back(&mut self, one: Try, slot: Slot, why: Why) {
        if usize::from(one.number) + 1 >= TRIES {
            self.fail_running(one);
            return;
        }
        self.past(one).held = why == Why::Full;
        self.request(one).task = Task::Asking(one.number + 1, None);
        self.send(Message::HandBack(one, why, slot.place));
    }

    /// The last byte has gone to the client.
    pub fn finish(&mut self, one: Try) {
        self.send(Message::Release(one));
        self.answer(one);
    }

    /// The ledger knows that the attempt is abandoned, or could not be told.
    pub fn told(&mut self, one: Try, heard: bool) {
        let past = self.past(one);
        if past.chore == Chore::Telling {
            past.chore = Chore::Polling;
            past.held &= heard;
        }
    }

    /// The backend no longer works on an attempt that was given up.
    pub fn confirm(&mut self, one: Try) {
        *self.past(one) = Past::default();
        self.send(Message::Confirm(one));
    }

    /// kill -9.
    pub fn kill_router(&mut self, setup: &Setup, router: usize) {
        self.routers[router] = false;
        for one in Try::all().filter(|one| State::is_of(setup, router, *one)) {
            self.hang_up(one);
            let request = self.request(one);
            request.past = [Past::default(); TRIES];
            request.task = Task::Lost;
            request.answers = 0;
            self.begun.0 &= !Tries::of_request(one.request).0;
        }
        self.late.retain(|message| !message.is_to(setup, router));
    }

    fn hang_up(&mut self, one: Try) {
        for machine in &mut self.machines {
            if let Some(work) = machine.work.as_mut().filter(|work| work.attempt == one) {
                work.wanted = false;
            }
        }
    }
}

impl Message {
    /// Whether a router is the one to hear it.
    pub fn is_to(&self, setup: &Setup, router: usize) -> bool {
        match self {
            Message::Renewed(to, ..) => usize::from(*to) == router % ROUTERS,
            Message::Answer(one, _) | Message::Grant(one, _) | Message::Drop(one) => {
                State::is_of(setup, router, *one)
            }
            _ => false,
        }
    }
}
