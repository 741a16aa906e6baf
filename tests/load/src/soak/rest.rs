//! A fleet at rest: every count is zero, and descriptors that idle connections hold are given back.

use super::connections::Connections;
use super::plan::MAX_QUEUE_SIZE;
use super::sample::{Sampler, Samples};
use super::scene::Scene;
use crate::chaos::account::Watch;
use crate::chaos::facts::DEMO_MODEL;
use crate::chaos::history::now;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// Within this time after the load every count is zero.
pub const REST: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Descriptors have settled when they stay the same for so long, and are taken as they are after the longer time.
const STEADY: Duration = Duration::from_secs(4);
const LONGEST: Duration = Duration::from_secs(20);
/// Gauges of what is held, at routers and backends.
const HELD: [&str; 10] = [
    "tidegate:num_requests_running",
    "tidegate:num_requests_waiting",
    "tidegate:num_requests_abandoned",
    "tidegate:pool_running",
    "tidegate:pool_abandoned",
    "tidegate:pool_queued",
    "tidegate:pool_held",
    "tidegate:backend_running",
    "tidegate:backend_abandoned",
    "tidegate:kv_cache_usage_perc",
];

/// How a fleet came to rest.
#[derive(Debug)]
pub struct Rest {
    /// Time until every count was zero in `/fleet`, in `/metrics` and in Redis.
    pub took: Duration,
    /// What was still counted after [`REST`].
    pub left: Vec<String>,
    /// What was read then, the last one after descriptors had settled.
    pub samples: Samples,
}

/// Closes the clients' connections and waits until the fleet is at rest.
///
/// # Errors
/// A process that is gone.
pub async fn rest(scene: &Scene, connections: &Connections, sampler: &mut Sampler) -> anyhow::Result<Rest> {
    connections.close();
    let begun = Instant::now();
    let left = loop {
        let left = leftovers(scene).await;
        if left.is_empty() || begun.elapsed() > REST {
            break left;
        }
        sleep(LOOK_EVERY).await;
    };
    let took = begun.elapsed();
    let mut samples = Samples::default();
    let files = |samples: &Samples| {
        samples.processes.iter().filter_map(|taken| Some(taken.last()?.files)).collect::<Vec<_>>()
    };
    let (settling, mut since, mut before) = (Instant::now(), Instant::now(), Vec::new());
    while since.elapsed() < STEADY && settling.elapsed() < LONGEST {
        sampler.add(&mut samples).await?;
        if files(&samples) != before {
            (before, since) = (files(&samples), Instant::now());
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(Rest { took, left, samples })
}

/// Everything that is still counted somewhere.
async fn leftovers(scene: &Scene) -> Vec<String> {
    let mut left = on_the_account(&scene.redis_url).await;
    for (number, view) in scene.views().await.into_iter().enumerate() {
        let Some(view) = view else {
            left.push(format!("router-{number} shows no /fleet"));
            continue;
        };
        let pools = view["pools"].as_array().into_iter().flatten();
        let busy =
            pools.filter(|pool| ["running", "abandoned", "queued"].iter().any(|count| pool[*count] != 0));
        left.extend(busy.map(|pool| format!("/fleet of router-{number} counts {pool}")));
    }
    for (name, page) in scene.metrics().await {
        match page {
            None => left.push(format!("{name} shows no /metrics")),
            Some(page) => left.extend(held(&page).map(|line| format!("/metrics of {name} counts {line}"))),
        }
    }
    left
}

/// Lines of gauges of what is held that are not zero.
fn held(page: &str) -> impl Iterator<Item = &str> {
    page.lines().filter(|line| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        HELD.contains(&name) && value(line) != Some(0.0)
    })
}

/// The sum over all series of a counter with this label.
pub fn counted(page: &str, name: &str, label: &str) -> f64 {
    let series =
        page.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{')));
    series.filter(|line| line.contains(label)).filter_map(value).sum()
}

fn value(line: &str) -> Option<f64> {
    line.rsplit(' ').next()?.parse().ok()
}

/// A look at the account itself, behind the routers' backs.
async fn on_the_account(url: &str) -> Vec<String> {
    let (watch, begun) = (Watch::new(url, &[DEMO_MODEL], MAX_QUEUE_SIZE), now());
    let looked = async {
        loop {
            if let Some(look) = watch.watched().last.get(DEMO_MODEL).filter(|look| look.at >= begun) {
                return look.clone();
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let look = tokio::select! {
        look = timeout(REST, looked) => look,
        () = watch.run() => return vec!["the watch over the account ended".to_owned()],
    };
    let mut left: Vec<String> = watch.watched().breaches.into_iter().map(|breach| breach.what).collect();
    match look {
        Err(_) => left.push("the account could not be looked at".to_owned()),
        Ok(look) if !look.is_empty() => left.push(format!("on the account: {look:?}")),
        Ok(_) => {}
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE tidegate:pool_held gauge\ntidegate:pool_held{pool=\"a\"} 0\n\
        tidegate:pool_running{pool=\"a\"} 2\ntidegate:kv_cache_usage_perc{model_name=\"a\"} 0.0\n\
        tidegate:admission_waits_total{outcome=\"given_up\",priority=\"low\",pool=\"a\"} 3\n\
        tidegate:admission_waits_total{outcome=\"given_up\",priority=\"high\",pool=\"a\"} 4\n\
        tidegate:admission_waits_total{outcome=\"granted\",priority=\"high\",pool=\"a\"} 50\n";

    #[test]
    fn only_what_is_held_is_left() {
        assert_eq!(held(PAGE).collect::<Vec<_>>(), ["tidegate:pool_running{pool=\"a\"} 2"]);
    }

    #[test]
    fn series_add_up_by_their_label() {
        assert_eq!(counted(PAGE, "tidegate:admission_waits_total", "outcome=\"given_up\""), 7.0);
    }
}
