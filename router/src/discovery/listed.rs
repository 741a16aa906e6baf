//! Backends given by `--backend`: each is asked each second what it is and whether it lives.

use super::Discovery;
use crate::ledger::{AttemptId, Backend};
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use std::time::Duration;
use tidegate_wire::node::NodeReport;
use tokio::time::MissedTickBehavior;

const INTERVAL: Duration = Duration::from_secs(1);
/// Looks in a row that must fail before a backend counts as gone.
const FAILURES: u32 = 3;
/// How long a server may take to list its models.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);
/// More than this is no list of models.
const MAX_LIST: usize = 1024 * 1024;

/// Watches the backend at `url` until the task is dropped. `slots` holds for servers that do not report their own.
pub async fn watch_listed(discovery: Discovery, url: String, slots: u32) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        ticks.tick().await;
        if look_listed(&discovery, &url, slots).await {
            failures = 0;
            continue;
        }
        failures += 1;
        if failures == 1 {
            tracing::warn!(%url, "a listed backend does not answer");
        }
        if failures == FAILURES {
            discovery.remove(&url).await;
        }
    }
}

/// One look; false where the backend does not answer.
pub async fn look_listed(discovery: &Discovery, url: &str, slots: u32) -> bool {
    if let Some(report) = discovery.confirmer.report(url).await {
        discovery.heard.answered(url);
        enter_reported(discovery, url, report).await;
        return true;
    }
    let Some(models) = list_models(discovery, url).await else { return false };
    discovery.heard.answered(url);
    let backend =
        Backend { id: url.to_owned(), epoch: String::new(), url: url.to_owned(), slots, draining: false };
    discovery.put(&models, backend).await;
    true
}

/// A backend of our own says everything itself.
async fn enter_reported(discovery: &Discovery, url: &str, report: NodeReport) {
    let draining = report.draining || !report.ready;
    let backend = Backend {
        id: url.to_owned(),
        epoch: report.epoch,
        url: url.to_owned(),
        slots: report.slots,
        draining,
    };
    discovery.put(&report.models, backend).await;
    let Some(pool) = report.models.first() else { return };
    let held: Vec<AttemptId> =
        report.running.into_iter().chain(report.abandoned).map(AttemptId::from).collect();
    if let Err(error) = discovery.ledger.reconcile_backend(pool, url, &held).await {
        tracing::warn!(%error, %url, "a backend's report could not be entered in the ledger");
    }
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ModelEntry>,
}

#[derive(Deserialize)]
struct ModelEntry {
    id: String,
}

/// The names that a server of another make lists at `/v1/models`.
async fn list_models(discovery: &Discovery, url: &str) -> Option<Vec<String>> {
    let request = Request::get(format!("{url}/v1/models")).body(Body::empty()).ok()?;
    let read = async {
        let response = discovery.confirmer.upstream.send(url, request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let body = Limited::new(response.into_body(), MAX_LIST).collect().await.ok()?.to_bytes();
        serde_json::from_slice::<ModelList>(&body).ok()
    };
    let list = tokio::time::timeout(LIST_TIMEOUT, read).await.ok()??;
    Some(list.data.into_iter().map(|entry| entry.id).collect())
}
