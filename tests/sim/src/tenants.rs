//! Two tenants at one fleet: what the one that asks for little gets, whatever the other one asks for.
//!
//! A pool of so many slots, requests as a Poisson process with exponential service times, and the real [`Pool`] in between. Nobody
//! tries again: what is refused is lost to its tenant.

use std::collections::BTreeMap;

use tidegate_admission::{
    Action, Admit, AttemptId, Backend, Caller, End, Event, Limits, Pool, Priority, Quota, Reply, Time,
    time::SECOND,
};

use crate::{agenda::Agenda, chance::Chance, fleet::instant};

/// Tokens that a slot makes in a second.
const TOKENS_PER_SECOND: f64 = 50.0;
/// Seconds that a request may take.
const TIMEOUT: f64 = 30.0;

/// One tenant's load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Work that it offers, as a part of all that the fleet can do.
    pub offered: f64,
    /// Mean service time of its requests, in seconds.
    pub service: f64,
    /// Its weight.
    pub weight: u64,
    /// Whether it comes with a key; without one it is nobody's.
    pub keyed: bool,
}

/// What a tenant got.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Got {
    /// Requests.
    pub asked: u64,
    /// Those that were answered in time.
    pub answered: u64,
    /// Seconds of slots that they took.
    pub work: f64,
}

enum Happening {
    Arrives(usize),
    Ends(usize),
    Expires(usize),
    Renews,
}

struct Job {
    tenant: usize,
    service: f64,
    deadline: Time,
    runs: bool,
}

struct Scene<'a> {
    loads: &'a [Load],
    slots: u32,
    agenda: Agenda<Happening>,
    pool: Pool,
    /// Each tenant's own, so that others change nothing of what it asks for.
    chances: Vec<Chance>,
    draws: Chance,
    jobs: Vec<Job>,
    got: Vec<Got>,
    end: Time,
    renewals: u64,
    /// States that broke an invariant.
    broken: BTreeMap<&'static str, u64>,
}

/// Plays so many seconds with a seed: what each tenant got, and the invariants that broke.
pub fn play(slots: u32, loads: &[Load], seconds: f64, seed: u64) -> (Vec<Got>, BTreeMap<&'static str, u64>) {
    let mut scene = Scene {
        loads,
        slots,
        agenda: Agenda::default(),
        pool: Pool::new(Time(0)),
        chances: (0..loads.len() as u64).map(|tenant| Chance::new(seed, tenant)).collect(),
        draws: Chance::new(seed, 99),
        jobs: Vec::new(),
        got: vec![Got::default(); loads.len()],
        end: instant(seconds),
        renewals: 0,
        broken: BTreeMap::new(),
    };
    scene.renew();
    (0..loads.len()).for_each(|tenant| scene.arrives_later(tenant));
    while let Some(happening) = scene.agenda.take() {
        match happening {
            Happening::Arrives(tenant) => scene.arrives(tenant),
            Happening::Ends(job) => scene.ends(job),
            Happening::Expires(job) => scene.expires(job),
            Happening::Renews => scene.renew(),
        }
    }
    (scene.got, scene.broken)
}

impl Scene<'_> {
    fn step(&mut self, event: &Event) -> Reply {
        let outcome = self.pool.apply(self.agenda.now(), event);
        for name in tidegate_admission::invariants::violated(&self.pool) {
            *self.broken.entry(name).or_default() += 1;
        }
        for action in outcome.actions {
            if let Action::Grant(granted) = action {
                self.starts(number(&granted.attempt));
            }
        }
        outcome.reply
    }

    fn renew(&mut self) {
        self.renewals += 1;
        let id = "backend".to_owned();
        let backend =
            Backend { id, epoch: "1".to_owned(), url: String::new(), slots: self.slots, draining: false };
        self.step(&Event::PutBackend(backend));
        let known: Vec<AttemptId> = self.pool.attempts().keys().cloned().collect();
        self.step(&Event::Renew(tidegate_admission::Renewal {
            router: "router".to_owned(),
            number: self.renewals,
            flags: String::new(),
            limits: Limits::default(),
            known,
            check: Vec::new(),
            reset_interval: 300 * SECOND,
        }));
        if self.agenda.now() < self.end {
            self.agenda.after(SECOND, Happening::Renews);
        }
    }

    fn arrives_later(&mut self, tenant: usize) {
        let Load { offered, service, .. } = self.loads[tenant];
        let gap = self.chances[tenant].exponential(service / (offered * f64::from(self.slots)));
        let at = self.agenda.now().plus(instant(gap).0);
        if at < self.end {
            self.agenda.at(at, Happening::Arrives(tenant));
        }
    }

    fn arrives(&mut self, tenant: usize) {
        let load = self.loads[tenant];
        let service = self.chances[tenant].exponential(load.service);
        let job = self.jobs.len();
        let deadline = self.agenda.now().plus(instant(TIMEOUT).0);
        self.jobs.push(Job { tenant, service, deadline, runs: false });
        self.got[tenant].asked += 1;
        let name = format!("tenant {tenant}");
        let caller = Caller {
            key: name.clone(),
            tenant: name,
            weight: load.weight,
            quota: Quota::default(),
            reserved: 0,
        };
        let (draw, jitter) = (self.draws.unit(), self.draws.unit());
        let reply = self.step(&Event::Admit(Admit {
            attempt: AttemptId::from(format!("router-{job}")),
            router: "router".to_owned(),
            limits: Limits::default(),
            priority: Priority::Normal,
            remaining: instant(TIMEOUT).0,
            length: None,
            draw,
            jitter,
            prefer: None,
            caller: load.keyed.then_some(caller.into()),
        }));
        if let Reply::Granted(granted, _) = reply {
            self.starts(number(&granted.attempt));
        }
        self.arrives_later(tenant);
    }

    fn starts(&mut self, job: usize) {
        self.jobs[job].runs = true;
        let ends = self.agenda.now().plus(instant(self.jobs[job].service).0);
        let deadline = self.jobs[job].deadline;
        if ends < deadline {
            self.agenda.at(ends, Happening::Ends(job));
        } else {
            self.agenda.at(deadline, Happening::Expires(job));
        }
    }

    fn ends(&mut self, job: usize) {
        let Job { tenant, service, .. } = self.jobs[job];
        self.got[tenant].answered += 1;
        self.got[tenant].work += service;
        let tokens = (service * TOKENS_PER_SECOND) as u64;
        self.step(&Event::Release(AttemptId::from(format!("router-{job}")), End::Finished, Some(tokens)));
    }

    fn expires(&mut self, job: usize) {
        if self.jobs[job].runs {
            self.step(&Event::Release(AttemptId::from(format!("router-{job}")), End::TimedOut, None));
        }
    }
}

fn number(attempt: &AttemptId) -> usize {
    attempt.as_str().rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}
