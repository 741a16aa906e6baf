//! Granted requests run, end, run out of time, or are given up.

use tidegate_admission::{End, Event};

use super::{Fleet, Happening, Job, Phase, instant};
use crate::workload::STOP_TAKES;

impl Fleet<'_> {
    /// A job has got a slot.
    pub(super) fn start(&mut self, job: usize, backend: usize) {
        let now = self.now();
        let service = instant(self.users[self.jobs[job].user].service).0.max(1);
        let end = self.engines[backend].start(now, job, service);
        let granted = &mut self.jobs[job];
        (granted.phase, granted.granted, granted.backend, granted.end) = (Phase::Running, now, backend, end);
        self.tally.granted(self.jobs[job].asked, now);
        self.foresee(backend);
    }

    fn foresee(&mut self, backend: usize) {
        if let Some((at, forecast)) = self.engines[backend].foresee() {
            self.agenda.at(at, Happening::Ends(backend, forecast));
        }
    }

    /// Requests of a backend have ended, if the forecast still holds.
    pub(super) fn ends(&mut self, backend: usize, forecast: u64) {
        let now = self.now();
        let ended = self.engines[backend].ended(now, forecast);
        for job in &ended {
            match self.jobs[*job].phase {
                Phase::Running => self.finish(*job),
                // It ended by itself before it could be stopped.
                Phase::Abandoned => self.confirm(*job),
                Phase::Waiting | Phase::Over => {}
            }
        }
        if !ended.is_empty() {
            self.foresee(backend);
        }
    }

    fn finish(&mut self, job: usize) {
        let (now, class) = (self.now(), self.class_of(job));
        let Job { user, pool, router, asked, granted, .. } = self.jobs[job];
        self.jobs[job].phase = Phase::Over;
        self.histories[router][pool].finished(now, class, now.since(granted));
        let user = self.users[user];
        self.tally.answered(user.priority, asked, granted, now);
        self.tally.said.answered(user.bound, self.tally.measures(now));
        self.tally.served(user.arrived, user.priority);
        self.step(pool, &Event::Release(self.id_of(job), End::Finished, None));
    }

    /// A job's time is over: in the queue the pool drops it, on a backend it is stopped.
    pub(super) fn deadline(&mut self, job: usize) {
        let (now, class) = (self.now(), self.class_of(job));
        let Job { pool, router, asked, granted, phase, .. } = self.jobs[job];
        match phase {
            Phase::Waiting => drop(self.step(pool, &Event::Tick)),
            Phase::Running => {
                self.histories[router][pool].ran_out(now, class, now.since(granted));
                self.tally.missed(asked);
                self.give_up(job, End::TimedOut);
            }
            Phase::Abandoned | Phase::Over => {}
        }
    }

    /// The pool dropped a ticket.
    pub(super) fn dropped(&mut self, job: usize) {
        self.jobs[job].phase = Phase::Over;
        self.tally.missed(self.jobs[job].asked);
    }

    /// The client has gone.
    pub(super) fn hang_up(&mut self, job: usize) {
        let Job { pool, asked, phase, .. } = self.jobs[job];
        match phase {
            Phase::Waiting => {
                self.tally.hung_up(asked);
                self.jobs[job].phase = Phase::Over;
                self.step(pool, &Event::Cancel(self.id_of(job), End::ClientGone));
            }
            Phase::Running => {
                self.tally.hung_up(asked);
                self.give_up(job, End::ClientGone);
            }
            Phase::Abandoned | Phase::Over => {}
        }
    }

    fn give_up(&mut self, job: usize, end: End) {
        self.jobs[job].phase = Phase::Abandoned;
        let (pool, abandon) = (self.jobs[job].pool, Event::Abandon(self.id_of(job), end, None));
        self.step(pool, &abandon);
        self.agenda.after(STOP_TAKES, Happening::Stopped(job));
    }

    /// The backend has had time to stop an abandoned job; one that stalls stops nothing.
    pub(super) fn stopped(&mut self, job: usize) {
        let Job { backend, end, phase, .. } = self.jobs[job];
        if phase != Phase::Abandoned {
            return;
        }
        if self.engines[backend].stalled() {
            self.agenda.after(STOP_TAKES, Happening::Stopped(job));
            return;
        }
        let now = self.now();
        self.engines[backend].stop(now, job, end);
        self.foresee(backend);
        self.confirm(job);
    }

    fn confirm(&mut self, job: usize) {
        self.jobs[job].phase = Phase::Over;
        let (pool, confirm) = (self.jobs[job].pool, Event::Confirm(self.id_of(job)));
        self.step(pool, &confirm);
    }

    /// A backend stalls, or goes on.
    pub(super) fn stall(&mut self, backend: usize, stalled: bool) {
        let now = self.now();
        self.engines[backend].stall(now, stalled);
        self.foresee(backend);
    }
}
