//! Requests come in, and tickets come back.

use std::sync::Arc;

use super::{Actions, Attempt, Pool, record::Phase};
use crate::{
    caller::Caller,
    decide::{Decision, Numbers, Reason, Refusal, Verdict, decide},
    event::{Admit, AttemptId, End, Granted, HandBack, Place, Reply, Return},
    limits::Limits,
    priority::Priority,
    snapshot::Counted,
    view::View,
};

/// Where a ticket would rather run, and where not.
#[derive(Debug, Default)]
pub(super) struct Wish {
    /// Lives of backends that could not be reached for it.
    pub(super) avoid: Vec<String>,
    /// The backend that it would rather have.
    pub(super) prefer: Option<String>,
    /// Whose it is, where keys are in use.
    pub(super) caller: Option<Arc<Caller>>,
    /// What its tenant was charged in advance.
    pub(super) charged: u64,
}

impl Wish {
    /// A ticket of this router in this place.
    fn ticket(self, router: &str, place: Place) -> Attempt {
        let Wish { avoid, prefer, caller, charged } = self;
        let router = router.to_owned();
        Attempt { router, place, phase: Phase::Queued, avoid, prefer, suspect: false, caller, charged }
    }
}

impl Pool {
    /// Decides on a request. An attempt that is on the account already gets its present state as the answer.
    pub(super) fn admit(&mut self, ask: &Admit, actions: &mut Actions) -> Reply {
        if let Some(reply) = self.standing(&ask.attempt, None) {
            return reply;
        }
        self.open_lease(&ask.router, &ask.limits);
        if let Some(refusal) = self.limited(ask) {
            self.count(Counted::Rejected(refusal.reason));
            return Reply::Rejected(refusal, Some(self.limited_numbers(ask)));
        }
        self.estimate.attempts += 1.0;
        let caller = ask.caller.as_deref();
        let Decision { verdict, mut numbers } = decide(&self.seen_by(caller), &ask.limits, &ask.asked());
        numbers.allowance = self.used_by(caller);
        if let Verdict::Reject(refusal) = verdict {
            self.count(Counted::Rejected(refusal.reason));
            return Reply::Rejected(refusal, Some(numbers));
        }
        self.count(Counted::Admitted);
        if verdict == Verdict::Queue {
            self.count_taken(ask.priority);
        }
        let granted = self.come_in(ask);
        numbers.allowance = self.used_by(caller);
        if let Some(granted) = granted {
            return Reply::Granted(granted, Some(numbers));
        }
        let reply = self.answer(&ask.attempt, Some(numbers), actions);
        // A tenant that has less than its part comes in although the queue is full; the last ticket makes room for it.
        if caller.is_some() && self.queue.len() > ask.limits.max_queue_size as usize {
            self.make_room(1, actions);
        }
        reply
    }

    /// Charges a request that was admitted, and gives it a slot or a place in the queue. The grant, where it has a slot.
    fn come_in(&mut self, ask: &Admit) -> Option<Granted> {
        let (place, charged) = self.next_place(ask);
        if let Some(caller) = &ask.caller {
            self.charge(caller);
        }
        let wish =
            Wish { avoid: Vec::new(), prefer: ask.prefer.clone(), caller: ask.caller.clone(), charged };
        let mut attempt = wish.ticket(&ask.router, place);
        if let Some(backend) = self.free_at_once(&attempt) {
            attempt.phase = self.occupy(backend);
        }
        let granted = self.grant_of(&ask.attempt, &attempt);
        self.take_in(&ask.attempt, attempt);
        granted
    }

    /// How a pool looks to whoever asks: to a tenant's request by its part of it.
    pub fn view_of(&self, ask: &Admit) -> View {
        self.seen_by(ask.caller.as_deref())
    }

    /// Requests that a router refused without asking: they asked to come in, and were refused.
    pub(super) fn refused(&mut self, refused: &[(Reason, u32)]) {
        for (reason, many) in refused {
            self.estimate.attempts += f64::from(*many);
            self.count_many(Counted::Rejected(*reason), u64::from(*many));
        }
    }

    /// A granted slot comes back unused; its ticket waits again in its old place, even where the account has lost the
    /// attempt meanwhile.
    pub(super) fn hand_back(&mut self, returned: &Return, actions: &mut Actions) -> Reply {
        let Return { attempt, next, router, limits, why, place, .. } = returned;
        if let Some(reply) = self.standing(next, None) {
            return reply;
        }
        self.open_lease(router, limits);
        let lost = Wish { caller: returned.caller.clone(), ..Wish::default() };
        let known = self.give_back(attempt, *why);
        let charged = known.is_some();
        let wish = known.unwrap_or(lost);
        if let Some(reason) = self.no_way_back(*place, &wish.avoid, limits) {
            // Once: a second copy of the call finds nothing that it could give back.
            if let Some(caller) = wish.caller.as_ref().filter(|_| charged) {
                self.refund_to(caller, wish.charged);
            }
            self.dispatch(None, actions);
            return Reply::Rejected(Refusal { reason, retry_after: 1.0, hopeless: false }, None);
        }
        self.enqueue(next, router, *place, wish);
        let reply = self.answer(next, None, actions);
        self.make_room(1, actions);
        reply
    }

    /// Frees (or marks) the slot of an attempt that ran nothing; gives what its ticket wishes from now on. Nothing where the
    /// account has lost the attempt.
    fn give_back(&mut self, id: &AttemptId, why: HandBack) -> Option<Wish> {
        let attempt = self.attempts.get(id)?;
        let Attempt { mut avoid, prefer, caller, charged, .. } = attempt.clone();
        let life = attempt.backend().and_then(|backend| Some(self.nodes.get(backend)?.life(backend)));
        match why {
            HandBack::Concurrency if life.is_some() => {
                self.mark_abandoned(id);
                self.part_with_caller(id);
            }
            HandBack::Concurrency => drop(self.remove(id)),
            HandBack::Unreachable => {
                avoid.extend(life);
                self.remove(id);
            }
        }
        Some(Wish { avoid, prefer, caller, charged })
    }

    /// A slot that no work is done on any more is nobody's.
    fn part_with_caller(&mut self, id: &AttemptId) {
        if let Some(caller) = self.attempts.get_mut(id).and_then(|attempt| attempt.caller.take()) {
            self.goes(&caller);
        }
    }

    /// Why a ticket that comes back cannot wait again.
    fn no_way_back(&mut self, place: Place, avoid: &[String], limits: &Limits) -> Option<Reason> {
        if place.deadline <= self.now {
            self.count(Counted::Ended(End::TimedOut));
            return Some(Reason::Deadline);
        }
        // A cold pool holds its tickets; where backends are live and none of them can be reached, waiting helps nobody.
        let held = self.slots == 0 && self.view().holds(limits.pool_memory);
        if !held && !self.some_live(avoid) {
            self.count(Counted::Ended(End::Failed));
            return Some(Reason::NoBackend);
        }
        None
    }

    /// A ticket that came back may make the queue longer than any router allows, and so may the death of the router that
    /// allowed most. Then so many of the last tickets go, at most: had the account been right, they would have been
    /// refused at the door. What re-entered beyond the limit stays.
    pub(super) fn make_room(&mut self, most: u32, actions: &mut Actions) {
        let largest = self.largest_limit();
        for _ in 0..most {
            if self.queue.len() <= largest as usize {
                return;
            }
            let Some((_, _, last)) = self.queue.last().cloned() else { return };
            self.drop_ticket(&last, Reason::QueueFull, actions);
            self.count(Counted::Ended(End::Failed));
        }
    }

    /// Tickets that the most generous router allows.
    pub(super) fn largest_limit(&self) -> u32 {
        self.routers.values().map(|lease| lease.max_queue_size).max().unwrap_or(0)
    }

    /// Grants what can be granted, then tells how an attempt stands.
    fn answer(&mut self, id: &AttemptId, numbers: Option<Numbers>, actions: &mut Actions) -> Reply {
        self.dispatch(Some(id), actions);
        self.standing(id, numbers).unwrap_or(Reply::Done)
    }

    /// How an attempt stands that is on the account.
    fn standing(&self, id: &AttemptId, numbers: Option<Numbers>) -> Option<Reply> {
        let attempt = self.attempts.get(id)?;
        match &attempt.phase {
            Phase::Queued => {
                let key = (attempt.place.priority.rank(), attempt.place.arrival, id.clone());
                let position = self.queue.range(..=key).count() as u32;
                Some(Reply::Queued { position, place: attempt.place, numbers })
            }
            Phase::Running { .. } => {
                self.grant_of(id, attempt).map(|granted| Reply::Granted(granted, numbers))
            }
            Phase::Abandoned { .. } => Some(Reply::Done),
        }
    }

    /// The place of a request that was admitted, and what its tenant is charged for it in advance.
    fn next_place(&self, ask: &Admit) -> (Place, u64) {
        if let Some(caller) = &ask.caller {
            return self.fair_place(ask, caller);
        }
        let place = Place {
            priority: ask.priority,
            arrival: self.now.0.max(self.arrivals + 1),
            entered: self.now,
            deadline: self.now.plus(ask.remaining),
        };
        (place, 0)
    }

    /// A ticket waits in its place.
    pub(super) fn enqueue(&mut self, id: &AttemptId, router: &str, place: Place, wish: Wish) {
        self.take_in(id, wish.ticket(router, place));
    }

    /// Takes an attempt on the account, and puts it in the queue where it has no slot yet.
    fn take_in(&mut self, id: &AttemptId, attempt: Attempt) {
        let (place, waits) = (attempt.place, attempt.phase == Phase::Queued);
        if let Some(caller) = &attempt.caller {
            self.comes(caller, place, attempt.charged, waits);
        } else {
            // A place of an account that was lost, whose clock was ahead, is before whoever comes from now on.
            self.arrivals = self.arrivals.max(place.arrival);
        }
        self.falls_due(place.deadline);
        self.attempts.insert(id.clone(), attempt);
        if waits {
            self.queue.insert((place.priority.rank(), place.arrival, id.clone()));
            self.deadlines.insert((place.deadline, id.clone()));
            self.queued[place.priority.rank()] += 1;
        }
    }

    /// Takes a ticket out of the queue.
    pub(super) fn leave_queue(&mut self, id: &AttemptId, place: Place, caller: Option<&Caller>) {
        self.queue.remove(&(place.priority.rank(), place.arrival, id.clone()));
        self.deadlines.remove(&(place.deadline, id.clone()));
        self.queued[place.priority.rank()] -= 1;
        if let Some(caller) = caller {
            self.waits_no_more(caller, place);
        }
    }

    /// A router that holds something must have a lease, so that its death is noticed.
    fn open_lease(&mut self, router: &str, limits: &Limits) {
        if !self.routers.contains_key(router) {
            self.put_lease(router, 0, "", limits);
        }
    }

    fn count_taken(&mut self, priority: Priority) {
        match priority {
            Priority::High => self.estimate.taken_high += 1.0,
            Priority::Normal => self.estimate.taken_normal += 1.0,
            Priority::Low => {}
        }
    }
}
