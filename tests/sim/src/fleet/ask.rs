//! People come, and their requests ask to be let in.

use tidegate_admission::{
    Admit, Asked, Event, Refusal, Reply, Verdict, decide::decide, stale, time::seconds,
};

use super::{Fleet, Happening, Job, Phase, instant};
use crate::{client::User, scenario::Asking};

impl Fleet<'_> {
    /// A user comes (open loop: nobody waits for others).
    pub(super) fn arrival(&mut self) {
        self.user_comes();
        self.next_arrival();
    }

    /// The next user is due after an exponential time; where a stage ends before, it is drawn anew then, since the
    /// exponential has no memory.
    pub(super) fn next_arrival(&mut self) {
        let (stage, next_stage) = self.stage();
        let gap = self.arrivals.exponential(1.0 / (stage.load * self.scenario.capacity()).max(1e-9));
        let (next, next_stage) = (self.now().plus(instant(gap).0), instant(next_stage));
        let (at, what) =
            if next < next_stage { (next, Happening::Arrival) } else { (next_stage, Happening::NextStage) };
        if at < self.horizon {
            self.agenda.at(at, what);
        }
    }

    /// One more user, with a wish.
    pub(super) fn user_comes(&mut self) {
        let (stage, _) = self.stage();
        let scenario = self.scenario;
        let impatient = self.clients.happens(scenario.impatient);
        let priority = scenario.mix.draw(&mut self.wishes);
        let service = scenario.service.draw(&mut self.wishes);
        let user = User {
            arrived: self.now(),
            priority,
            service: service * stage.service,
            bound: scenario.bounds.draw(service, &mut self.bounds),
            pool: self.wishes.index(scenario.pools),
            retries: scenario.retries.most,
            patience: if impatient { self.clients.unit() * scenario.timeout } else { f64::INFINITY },
        };
        self.tally.came(user.arrived, user.priority);
        self.tally.said.came(user.bound, self.tally.measures(user.arrived));
        self.users.push(user);
        self.ask(self.users.len() - 1);
    }

    /// A user asks, for the first time or again.
    pub(super) fn ask(&mut self, user: usize) {
        let job = self.open(user);
        let priority = self.users[user].priority;
        let asked = Asked {
            priority,
            remaining: self.scenario.timeout,
            length: self.length(job),
            draw: self.draws.unit(),
            jitter: self.draws.unit(),
        };
        let reply = match self.refuse_from_view(job, &asked) {
            Some(refusal) => Reply::Rejected(refusal, None),
            None => self.admit(job, &asked),
        };
        match reply {
            Reply::Rejected(refusal, _) => self.refused(job, &refusal),
            Reply::Granted(granted, _) => {
                self.let_in(job);
                self.start(job, super::backend_of(&granted.backend));
            }
            Reply::Queued { .. } | Reply::Done | Reply::Renewed { .. } | Reply::Reentered { .. } => {
                self.let_in(job);
            }
        }
    }

    /// How long a job will take, as far as its router can say.
    fn length(&self, job: usize) -> Option<f64> {
        let Job { pool, router, .. } = self.jobs[job];
        let length = self.histories[router][pool].length(self.now(), self.class_of(job));
        length.filter(|_| self.scenario.learns)
    }

    fn open(&mut self, user: usize) -> usize {
        let now = self.now();
        let deadline = now.plus(instant(self.scenario.timeout).0);
        let job = self.jobs.len();
        let router = job % self.scenario.routers;
        let pool = self.users[user].pool;
        let phase = Phase::Waiting;
        self.jobs.push(Job {
            user,
            pool,
            router,
            asked: now,
            granted: now,
            deadline,
            phase,
            backend: 0,
            end: 0,
        });
        job
    }

    fn admit(&mut self, job: usize, asked: &Asked) -> Reply {
        let Job { pool, router, .. } = self.jobs[job];
        let admit = Admit {
            attempt: self.id_of(job),
            router: format!("router{router}"),
            limits: self.scenario.limits,
            priority: asked.priority,
            remaining: instant(asked.remaining).0,
            length: asked.length,
            draw: asked.draw,
            jitter: asked.jitter,
            prefer: None,
            caller: None,
        };
        let untold = std::mem::take(&mut self.untold[router][pool]);
        if !untold.is_empty() {
            self.step(pool, &Event::Refused(untold.into_iter().collect()));
        }
        let reply = self.step(pool, &Event::Admit(admit));
        self.views[router][pool] = Some(self.pools[pool].view());
        reply
    }

    /// A refusal from the router's view, held against what the ledger would have said.
    fn refuse_from_view(&mut self, job: usize, asked: &Asked) -> Option<Refusal> {
        let Job { pool, router, .. } = self.jobs[job];
        let Asking::View(lasts) = self.scenario.asking else { return None };
        let view = self.views[router][pool]?;
        let age = self.now().since(view.at);
        if age > lasts {
            return None;
        }
        let (refusal, _) = stale::refuse_unasked(&view, age, &self.scenario.limits, asked)?;
        self.apply(pool, &Event::Tick);
        let present = self.pools[pool].view();
        let refuses = matches!(decide(&present, &self.scenario.limits, asked).verdict, Verdict::Reject(_));
        self.tally.unasked(self.now(), refuses, present.free && present.queued_total() == 0);
        *self.untold[router][pool].entry(refusal.reason).or_default() += 1;
        Some(refusal)
    }

    fn let_in(&mut self, job: usize) {
        let Job { user, asked, deadline, .. } = self.jobs[job];
        self.tally.accepted(asked);
        self.agenda.at(deadline, Happening::Deadline(job));
        let patience = self.users[user].patience;
        if patience < seconds(deadline.since(asked)) {
            self.agenda.at(asked.plus(instant(patience).0), Happening::HangUp(job));
        }
    }

    fn refused(&mut self, job: usize, refusal: &Refusal) {
        let Job { user, asked, .. } = self.jobs[job];
        self.jobs[job].phase = Phase::Over;
        self.tally.refused(asked, refusal.reason);
        let wait = self.scenario.retries.after(&self.users[user], refusal, &mut self.clients);
        if let Some(wait) = wait {
            self.users[user].retries -= 1;
            self.agenda.after(instant(wait).0, Happening::Retry(user));
        }
    }
}
