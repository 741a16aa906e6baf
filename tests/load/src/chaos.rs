//! Chaos: a whole fleet of real processes under three times its load, while routers, backends and Redis are killed with -9 and
//! stopped at random from a seed; and at the end, each promise held against what happened.
//!
//! 1. [`plan`]: what happens, drawn from the seed. 2. [`scene`]: the fleet; [`process`]: one of its processes; [`rotation`]: the
//!    load balancer before it; [`history`]: what happened when.
//! 3. [`ask`]: one request; [`exchange`]: its bytes; [`answer`]: whether they are right; [`facts`]: what the demo model is asked.
//! 4. [`account`]: the watch over Redis; [`runs`]: what the nodes wrote down; [`settle`]: how the fleet comes to rest.
//! 5. [`promises`]: what was promised against what happened; [`verdict`]: the table of it.

pub mod account;
pub mod answer;
pub mod ask;
pub mod exchange;
pub mod facts;
pub mod history;
pub mod plan;
pub mod process;
pub mod promises;
pub mod rotation;
pub mod runs;
pub mod scene;
pub mod settle;
pub mod verdict;

use account::Watch;
use anyhow::{Context, ensure};
use ask::{Asked, Desk, FAKE_MODEL};
use facts::{DEMO_MODEL, Facts};
use history::{now, seconds};
use plan::{Fault, MAX_QUEUE_SIZE, Plan, ROUTERS, Request};
use promises::Evidence;
use runs::Runs;
use scene::Scene;
use settle::settle;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use verdict::Verdict;

/// What to do.
#[derive(Debug, Clone)]
pub struct Options {
    /// Everything is drawn from it.
    pub seed: u64,
    /// How long the load lasts.
    pub seconds: f64,
    /// Where logs, diaries and the list of requests are kept.
    pub folder: PathBuf,
}

/// Runs the whole of it.
///
/// # Errors
/// A fleet that does not start, or that cannot be watched; broken promises stand in the verdict.
pub async fn run(options: &Options) -> anyhow::Result<Verdict> {
    let plan = Plan::draw(options.seed, options.seconds);
    fresh(&options.folder)?;
    say(format_args!("seed {}: {}; logs in {}", options.seed, plan.in_words(), options.folder.display()));
    let scene = Scene::start(&plan, options.seed, &options.folder).await?;
    let facts = Arc::new(Facts::learn(scene.demo, facts::TRIED).await?);
    say(format_args!("the fleet is up; the demo model knows {} answers", facts.count()));
    let desk = Desk { seed: options.seed, rotation: scene.rotation.clone(), facts };
    let watch = Watch::new(&scene.redis_url, &[FAKE_MODEL, DEMO_MODEL], MAX_QUEUE_SIZE);
    let watching = watch.clone();
    let mut background = JoinSet::new();
    background.spawn(async move { watching.run().await });
    let (asked, settled) = tokio::select! {
        done = drive(&scene, &watch, &desk, &plan) => done,
        () = scene.rotate() => anyhow::bail!("the rotation ended"),
    };
    background.shutdown().await;
    let nodes = plan.shape.nodes();
    drop(std::fs::write(options.folder.join("requests.txt"), listed(&asked)));
    let runs = Runs::read(&options.folder, nodes)?;
    let watched = watch.watched();
    let evidence = Evidence {
        seed: options.seed,
        asked: &asked,
        history: &scene.history,
        runs: &runs,
        watched: &watched,
        settled: &settled,
    };
    Ok(Verdict { seed: options.seed, promises: evidence.promises(options.seconds) })
}

/// The load with its faults, then the rest.
async fn drive(scene: &Scene, watch: &Watch, desk: &Desk, plan: &Plan) -> (Vec<Asked>, settle::Settled) {
    while !(0..ROUTERS).all(|router| scene.rotation.serves(router)) {
        sleep(Duration::from_millis(20)).await;
    }
    let start = Instant::now();
    let (asked, ()) = tokio::join!(load(desk, &plan.requests, start), trouble(scene, &plan.faults, start));
    scene.until_well().await;
    say(format_args!("the load is over and everything runs again"));
    let settled = settle(scene, watch, desk, plan.requests.len()).await;
    (asked, settled)
}

/// Sends each request at its time, whatever becomes of the others, and waits for all of them.
async fn load(desk: &Desk, requests: &[Request], start: Instant) -> Vec<Asked> {
    let (mut asking, mut latest) = (JoinSet::new(), Duration::ZERO);
    for request in requests {
        let (desk, request) = (desk.clone(), request.clone());
        sleep_until(start + request.at).await;
        latest = latest.max((start + request.at).elapsed());
        asking.spawn(async move { desk.ask(request).await });
    }
    say(format_args!(
        "{} requests were sent, the latest {} ms after its time",
        requests.len(),
        latest.as_millis()
    ));
    let mut asked = asking.join_all().await;
    asked.sort_by_key(|asked| asked.request.number);
    asked
}

async fn trouble(scene: &Scene, faults: &[Fault], start: Instant) {
    for fault in faults {
        sleep_until(start + fault.at).await;
        say(format_args!("{fault}"));
        scene.strike(fault).await;
    }
}

/// An empty folder.
///
/// # Errors
/// One that cannot be made, or that holds something else than an earlier run's logs.
pub fn fresh(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let ours = folder.join("redis.log").exists() || folder.read_dir()?.next().is_none();
        ensure!(ours, "{} holds something else than an earlier run's logs", folder.display());
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())
}

/// What became of each request, a line each.
fn listed(asked: &[Asked]) -> String {
    let mut text = String::new();
    for one in asked {
        let first = one.first.map_or("-".to_owned(), seconds);
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{} router-{} sent {} first {first} ended {} {:?} {:?} stream {} {}",
            one.request.number,
            one.router,
            seconds(one.sent),
            seconds(one.ended),
            one.outcome,
            one.request.question,
            one.request.stream,
            one.request.priority,
        );
    }
    text
}

/// Tells people what happens, and when.
pub fn say(what: std::fmt::Arguments<'_>) {
    // Nobody listens any more: then there is nobody to tell that either.
    let _ = writeln!(std::io::stdout(), "{:>10}  {what}", seconds(now()));
}
