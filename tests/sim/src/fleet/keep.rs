//! Leases: routers and backends renew each second, as the real ones do.

use tidegate_admission::{Backend, Event, Renewal, time::SECOND};

use super::{Fleet, Happening, Phase};

/// Microseconds from one renewal to the next.
const RENEW_EVERY: u64 = SECOND;
/// Microseconds after which abandoned work is reconciled (`--reset-interval`).
const RESET_INTERVAL: u64 = 300 * SECOND;
/// Microseconds after the last arrival at which the last jobs are over.
const AFTERMATH: u64 = 200 * SECOND;

impl Fleet<'_> {
    /// All backends and routers renew; a second later they do so again, until everything is over.
    pub(super) fn renewals(&mut self) {
        self.backends_renew();
        self.routers_renew();
        if self.now() < self.horizon.plus(AFTERMATH) && !self.over() {
            self.agenda.after(RENEW_EVERY, Happening::Renewals);
        }
    }

    fn over(&self) -> bool {
        let idle = |view: tidegate_admission::View| view.running + view.abandoned + view.queued_total() == 0;
        self.now() > self.horizon && self.pools.iter().all(|pool| idle(pool.view()))
    }

    fn backends_renew(&mut self) {
        for backend in 0..self.engines.len() {
            let id = format!("backend-{backend}");
            let (epoch, url) = ("1".to_owned(), format!("http://{id}"));
            let slots = self.engines[backend].slots();
            let put = Backend { id, epoch, url, slots, draining: false };
            self.step(backend % self.scenario.pools, &Event::PutBackend(put));
        }
    }

    fn routers_renew(&mut self) {
        let held = self.held();
        for (router, pools) in held.into_iter().enumerate() {
            for (pool, (known, check)) in pools.into_iter().enumerate() {
                let renewal = Renewal {
                    router: format!("router{router}"),
                    // One a second: its instant counts them.
                    number: self.now().0,
                    flags: self.scenario.limits.to_string(),
                    limits: self.scenario.limits,
                    known,
                    check,
                    reset_interval: RESET_INTERVAL,
                };
                self.step(pool, &Event::Renew(renewal));
            }
        }
    }

    /// What each router holds in each pool: all of it, and what it asks the ledger about.
    fn held(&self) -> Vec<Vec<Held>> {
        let mut held = vec![vec![Held::default(); self.scenario.pools]; self.scenario.routers];
        for pool in &self.pools {
            for id in pool.attempts().keys() {
                let job = self.jobs[super::job_of(id)];
                let (known, check) = &mut held[job.router][job.pool];
                if job.phase != Phase::Running {
                    check.push(id.clone());
                }
                known.push(id.clone());
            }
        }
        held
    }
}

/// What a router knows, and what it asks about.
type Held = (Vec<tidegate_admission::AttemptId>, Vec<tidegate_admission::AttemptId>);
