//! Soak: a whole fleet of real processes above its capacity for a long time, with clients of every kind; and at the end, whether
//! anything has grown, been lost or been wrong.
//!
//! 1. [`plan`]: what is asked, drawn from the seed; [`invalid`]: those that are not valid. 2. [`scene`]: the fleet.
//! 3. [`ask`]: one request; [`connections`]: those that are kept; [`tally`]: what all requests came to.
//! 4. [`capacity`]: what the fleet can do. 5. [`sample`]: what the processes hold; [`rest`]: the fleet at rest.
//! 6. [`figures`] and [`trend`]: what the samples come to. 7. [`bars`]: what must hold; [`page`]: the report.

pub mod ask;
pub mod bars;
pub mod capacity;
pub mod connections;
pub mod figures;
pub mod invalid;
pub mod page;
pub mod plan;
pub mod rest;
pub mod sample;
pub mod scene;
pub mod tally;
pub mod trend;

use crate::arrivals::poisson;
use crate::chaos::facts::Facts;
use crate::chaos::{fresh, say};
use crate::generator::{Load, open_loop};
use anyhow::Context;
use ask::Desk;
use connections::Connections;
use plan::{INVALID, Request};
use rest::{Rest, counted, rest};
use sample::{Sampler, Samples};
use scene::Scene;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tally::Tally;
use tokio::time::{Instant, interval_at};

/// Questions that the demo model is tried with.
const QUESTIONS: usize = 240;
/// Requests that are open at once at most: far more than a fleet holds.
const MOST_OPEN: usize = 2000;
/// Time between two lines about how it goes.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// All traffic is drawn from it.
    pub seed: u64,
    /// How long the load lasts.
    pub minutes: f64,
    /// Offered load over the capacity that is measured before.
    pub load: f64,
    /// Backends.
    pub backends: usize,
    /// Where logs are kept.
    pub folder: PathBuf,
}

/// What a run found.
#[derive(Debug)]
pub struct Findings {
    /// What was to be done.
    pub options: Options,
    /// Right answers per second with every slot in use.
    pub capacity: f64,
    /// Requests per second that were offered.
    pub rate: f64,
    /// How long the load lasted.
    pub load: Duration,
    /// What the requests came to.
    pub tally: Tally,
    /// Requests that were not sent because too many were open.
    pub unfired: usize,
    /// The processes.
    pub names: Vec<String>,
    /// What they held under load.
    pub samples: Samples,
    /// The fleet at rest before the load, when it was warm.
    pub before: Rest,
    /// The fleet at rest after the load.
    pub after: Rest,
    /// Waits that ended because the client left, by the routers' own count.
    pub given_up: f64,
    /// Times that a router went on alone because Redis answered too late, by their own count.
    pub alone: f64,
    /// How each process ended.
    pub ended: Vec<(String, String)>,
}

impl Findings {
    /// Clients that left while their request waited for a slot.
    pub fn left_queued(&self) -> u64 {
        // A count of some router, far below what a float cannot hold.
        self.given_up as u64
    }
}

/// Runs the whole of it.
///
/// # Errors
/// A fleet that does not start, or a process that is gone before the end; everything else stands in the findings.
pub async fn run(options: &Options) -> anyhow::Result<Findings> {
    fresh(&options.folder)?;
    say(format_args!("seed {}; logs in {}", options.seed, options.folder.display()));
    let scene = Scene::start(options.backends, &options.folder).await?;
    let quiet = *scene.backends.first().context("no backend")?;
    let facts = Arc::new(Facts::learn(quiet, QUESTIONS).await?);
    say(format_args!("the fleet is up; the demo model knows {} answers", facts.count()));
    let connections = Arc::new(Connections::new(scene.routers));
    let desk = Desk { seed: options.seed, connections: connections.clone(), facts };
    let (capacity, before) = warm(&scene, &desk).await?;
    let rate = options.load * capacity / (1.0 - INVALID);
    say(format_args!("{capacity:.0} right answers a second; now {rate:.0} requests a second"));
    let load = Duration::from_secs_f64(60.0 * options.minutes);
    let (fired, tally, samples, mut sampler) = under_load(&desk, &scene, rate, load).await?;
    say(format_args!("the load is over; its latest request was late by {} ms", fired.most_late.as_millis()));
    let after = rest(&scene, &connections, &mut sampler).await?;
    let [given_up, alone] = said(&scene).await;
    let names = scene.processes.iter().map(|process| process.name.clone()).collect();
    let ended = scene.end().await;
    let (options, unfired) = (options.clone(), fired.unfired);
    Ok(Findings {
        options,
        capacity,
        rate,
        load,
        tally,
        unfired,
        names,
        samples,
        before,
        after,
        given_up,
        alone,
        ended,
    })
}

/// Warms a fleet up: what it can do, and how it is at rest then.
async fn warm(scene: &Scene, desk: &Desk) -> anyhow::Result<(f64, Rest)> {
    let capacity = capacity::measure(desk, scene.slots().await?).await?;
    let mut sampler = Sampler::new(scene).await?;
    Ok((capacity, rest(scene, &desk.connections, &mut sampler).await?))
}

/// Sends every request at its time while all processes are watched.
async fn under_load(
    desk: &Desk,
    scene: &Scene,
    rate: f64,
    length: Duration,
) -> anyhow::Result<(Load<()>, Tally, Samples, Sampler)> {
    let (tally, mut samples) = (Arc::new(Mutex::new(Tally::default())), Samples::default());
    let mut sampler = Sampler::new(scene).await?;
    let arrivals = poisson(desk.seed, rate, length);
    let firing = open_loop(Instant::now(), &arrivals, MOST_OPEN, |number| {
        let (desk, tally) = (desk.clone(), tally.clone());
        async move {
            let request = Request::draw(desk.seed, number);
            let (outcome, took) = desk.ask(&request).await;
            if let Some(what) = locked(&tally).note(&request, &outcome, took) {
                say(format_args!("{what}"));
            }
        }
    });
    let fired = tokio::select! {
        fired = firing => fired,
        error = sampler.run(&mut samples) => return Err(error),
        () = tell(&tally) => anyhow::bail!("nobody tells how it goes"),
    };
    let tally = locked(&tally).clone();
    Ok((fired, tally, samples, sampler))
}

/// Says each minute how it goes. Does not end.
async fn tell(tally: &Mutex<Tally>) {
    let mut ticks = interval_at(Instant::now() + TELL_EVERY, TELL_EVERY);
    loop {
        ticks.tick().await;
        let tally = locked(tally).clone();
        say(format_args!(
            "{} asked, {} right, {} refused, {} wrong, {} faults",
            tally.asked,
            tally.all_right(),
            tally.all_refused(),
            tally.wrong.count,
            tally.faults.count
        ));
    }
}

/// What all routers say of [`Findings::given_up`] and [`Findings::alone`].
async fn said(scene: &Scene) -> [f64; 2] {
    let pages: Vec<String> = scene.metrics().await.into_iter().filter_map(|(_, page)| page).collect();
    [("tidegate:admission_waits_total", "outcome=\"given_up\""), ("tidegate:ledger_losses_total", "pool")]
        .map(|(name, label)| pages.iter().map(|page| counted(page, name, label)).sum())
}

fn locked(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
