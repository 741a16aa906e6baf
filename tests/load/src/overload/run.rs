//! Runs one point.

use super::figures::Figures;
use super::point::Point;
use crate::arrivals::poisson;
use crate::caller::{Ask, Caller, Policy};
use crate::fleet::Fleet;
use crate::generator::open_loop;
use crate::meter::{Done, Meter};
use std::sync::Arc;
use std::time::Duration;
use tidegate_sim::chance::Chance;
use tokio::time::{Instant, sleep, sleep_until};

/// How long Redis is watched before the load begins.
const IDLE: Duration = Duration::from_secs(1);
/// Users who may be there at once, those who wait for their next try included: more than come in any run.
const MOST_OPEN: usize = 20_000;
/// The stream of chance that classes are drawn from.
const CLASSES: u64 = 2;
/// One in so many asks for a stream.
const STREAMED: usize = 3;

/// Runs it, from the start of its fleet to the instant at which every count is zero again.
pub async fn run(point: &Point, wait_share: Option<f64>) -> Figures {
    let fleet = Fleet::start(&point.plan(wait_share)).await;
    let redis_url = fleet.redis.as_ref().map(crate::member::Redis::url);
    let mut meter = Meter::new(redis_url.as_deref()).await;
    let before = meter.read().await;
    sleep(IDLE).await;
    let idle = meter.since(before).await;

    let origin = Instant::now();
    let caller = Arc::new(caller(point, fleet.targets(), origin));
    let asks = asks(point);
    let arrivals = poisson(point.seed(), point.load * point.capacity(), point.end());
    let fire = |number: usize| {
        let (caller, ask) = (caller.clone(), asks(number));
        async move { caller.call(ask).await }
    };
    let (load, done) = tokio::join!(
        open_loop(origin, &arrivals, MOST_OPEN, fire),
        measure(&mut meter, point.window().map(|at| origin + at))
    );
    let mut figures = Figures::of(point, &load.outcomes, done, idle);
    figures.late_ms = load.most_late.as_secs_f64() * 1000.0;
    figures.unfired = load.unfired as u64;
    fleet.until_idle().await;
    figures
}

fn caller(point: &Point, targets: Vec<String>, origin: Instant) -> Caller {
    let policy = Policy {
        retries: point.retrying(),
        deadline: point.deadline(),
        until: point.end(),
        seed: point.seed(),
    };
    let caller = Caller::new(targets, policy, origin).hanging_up_at(point.end());
    if point.told() { caller } else { caller.untold() }
}

/// What the user with a number asks for.
fn asks(point: &Point) -> impl Fn(usize) -> Ask + use<> {
    let (seed, mix) = (point.seed(), point.mix());
    move |number| {
        let priority = mix.draw(&mut Chance::new(seed, CLASSES + number as u64 * 8));
        Ask {
            prompt: format!("user {number} of {seed}"),
            priority,
            streamed: number.is_multiple_of(STREAMED),
        }
    }
}

async fn measure(meter: &mut Meter, [from, to]: [Instant; 2]) -> Done {
    sleep_until(from).await;
    let before = meter.read().await;
    sleep_until(to).await;
    meter.since(before).await
}
