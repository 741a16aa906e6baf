//! After the load: everything must come to rest and be whole again.

use super::account::Watch;
use super::ask::{Asked, Desk};
use super::history::now;
use super::plan::{Question, ROUTERS, Request};
use super::scene::Scene;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Within this time after the load every count is zero.
pub const REST: Duration = Duration::from_secs(10);
/// Within this time after the load everybody knows everybody again.
const WHOLE: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How a fleet came to rest.
#[derive(Debug)]
pub struct Settled {
    /// Time until every count was zero at every router and in Redis, or what was left.
    pub rest: Result<Duration, Vec<String>>,
    /// Time until every router knew all of the fleet again, or what was missing.
    pub whole: Result<Duration, Vec<String>>,
    /// A last request to each router and pool.
    pub last: Vec<Asked>,
}

/// Waits for rest and wholeness from now on, then asks each router once more.
pub async fn settle(scene: &Scene, watch: &Watch, desk: &Desk, next: usize) -> Settled {
    let begun = Instant::now();
    let rest = within(begun, REST, || leftovers(scene, watch)).await;
    let whole = within(begun, WHOLE, || missing(scene)).await;
    let mut last = Vec::new();
    for router in 0..ROUTERS {
        for question in [Question::Echo, Question::Fact(next)] {
            let number = next + last.len();
            let (at, stream) = (Duration::ZERO, number.is_multiple_of(2));
            let request =
                Request { number, at, router, question, stream, priority: "normal", hangs_up: None };
            last.push(desk.ask(request).await);
        }
    }
    Settled { rest, whole, last }
}

/// Time from `begun` until nothing is found any more, or what was found last.
async fn within<F: Future<Output = Vec<String>>>(
    begun: Instant,
    limit: Duration,
    find: impl Fn() -> F,
) -> Result<Duration, Vec<String>> {
    loop {
        let found = find().await;
        if found.is_empty() {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > limit {
            return Err(found);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Everything that is still counted somewhere.
async fn leftovers(scene: &Scene, watch: &Watch) -> Vec<String> {
    let asked = now();
    let mut left = Vec::new();
    for (number, view) in scene.views().await.into_iter().enumerate() {
        match view {
            None => left.push(format!("router-{number} shows no /fleet")),
            Some(view) => left.extend(counted(&view).map(|what| format!("router-{number} counts {what}"))),
        }
    }
    // The watch looks every few milliseconds, and the views took longer than that.
    let watched = watch.watched();
    for (pool, look) in &watched.last {
        if look.at < asked {
            left.push(format!("the account of {pool} could not be looked at"));
        } else if !look.is_empty() {
            left.push(format!("on the account of {pool}: {look:?}"));
        }
    }
    left
}

fn counted(view: &Value) -> impl Iterator<Item = String> {
    let pools = view["pools"].as_array().into_iter().flatten();
    let busy = pools.filter(|pool| ["running", "abandoned", "queued"].iter().any(|count| pool[*count] != 0));
    busy.map(Value::to_string)
}

async fn missing(scene: &Scene) -> Vec<String> {
    let views = scene.views().await.into_iter().enumerate();
    let lacks = views.filter_map(|(number, view)| {
        let lacks = view.map_or(Some("it shows no /fleet".to_owned()), |view| scene.lacks(&view))?;
        Some(format!("router-{number}: {lacks}"))
    });
    lacks.collect()
}
