//! Backends that the router was told of: each is asked each second what it is and whether it lives.

use super::{Discovery, Target};
use crate::ledger::{AttemptId, Backend};
use crate::upstream::OwnKey;
use axum::body::Body;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use std::time::Duration;
use tidegate_wire::node::NodeReport;

const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at a backend that has just failed one: whether it has gone should be known soon.
const AGAIN: Duration = Duration::from_millis(250);
/// Looks in a row that must fail before a backend counts as gone.
const FAILURES: u32 = 3;
/// How long a server may take to list its models.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);
/// More than this is no list of models.
const MAX_LIST: usize = 1024 * 1024;

/// Watches a backend until the task is dropped.
pub(super) async fn watch(discovery: Discovery, target: Target) {
    let mut failures: u32 = 0;
    loop {
        match look(&discovery, &target).await {
            Ok(()) => failures = 0,
            Err(why) => {
                failures = failures.saturating_add(1);
                missed(&discovery, &target, failures, &why).await;
            }
        }
        tokio::time::sleep(if (1..FAILURES).contains(&failures) { AGAIN } else { INTERVAL }).await;
    }
}

async fn missed(discovery: &Discovery, target: &Target, failures: u32, why: &str) {
    if failures == 1 {
        tracing::warn!(url = %target.url, why, "a listed backend does not answer");
    }
    if failures == FAILURES {
        discovery.lost(&target.url);
        discovery.remove(&target.url).await;
    }
}

/// One look.
///
/// # Errors
/// Why the backend cannot be used.
pub(super) async fn look(discovery: &Discovery, target: &Target) -> Result<(), String> {
    if let Some(report) = discovery.confirmer.report(&target.url, target.http2).await {
        discovery.heard.answered(&target.url);
        enter_reported(discovery, target, &report).await;
        return Ok(());
    }
    let listed = list_models(discovery, target).await;
    let models = match &target.models {
        Some(models) => listed.map(|_| models.clone()),
        None => listed.and_then(|listed| listed.ok_or_else(|| "it lists no models at /v1/models".to_owned())),
    }?;
    discovery.heard.answered(&target.url);
    let (id, url) = (target.url.clone(), target.url.clone());
    let backend = Backend { id, epoch: String::new(), url, slots: target.slots, draining: false };
    discovery.put_target(&models, backend, target).await;
    Ok(())
}

/// A backend of our own says everything itself.
async fn enter_reported(discovery: &Discovery, target: &Target, report: &NodeReport) {
    let draining = report.draining || !report.ready;
    let backend = Backend {
        id: target.url.clone(),
        epoch: report.epoch.clone(),
        url: target.url.clone(),
        slots: target.most_slots.map_or(report.slots, |most| most.min(report.slots)),
        draining,
    };
    let models = target.models.as_ref().unwrap_or(&report.models);
    discovery.put_target(models, backend, target).await;
    let Some(pool) = models.first() else { return };
    let held: Vec<AttemptId> =
        report.running.iter().chain(&report.abandoned).cloned().map(AttemptId::from).collect();
    if let Err(error) = discovery.ledger.reconcile_backend(pool, &target.url, &held).await {
        tracing::warn!(%error, url = %target.url, "a backend's report could not be entered in the ledger");
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

/// The names that a server of another make lists at `/v1/models`; none where it answers, but with no list.
async fn list_models(discovery: &Discovery, target: &Target) -> Result<Option<Vec<String>>, String> {
    let mut request = Box::new(Request::new(Body::empty()));
    *request.uri_mut() = Uri::from_static("/v1/models");
    if let Some(key) = &target.key {
        request.extensions_mut().insert(OwnKey(key.clone()));
    }
    let read = async {
        let sent = discovery.confirmer.upstream.send(&target.url, target.http2, request).await;
        read_list(sent.map_err(|error| error.to_string())?).await
    };
    let in_time = tokio::time::timeout(LIST_TIMEOUT, read).await;
    in_time.map_err(|_| format!("no answer to /v1/models within {} s", LIST_TIMEOUT.as_secs()))?
}

async fn read_list(response: Response<Body>) -> Result<Option<Vec<String>>, String> {
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(format!("{} for /v1/models: it wants another api_key_file", response.status()));
        }
        status if status.is_server_error() => return Err(format!("{status} for /v1/models")),
        _ => return Ok(None),
    }
    let body = Limited::new(response.into_body(), MAX_LIST).collect().await;
    let body = body.map_err(|error| format!("/v1/models broke off: {error}"))?.to_bytes();
    let Ok(list) = serde_json::from_slice::<ModelList>(&body) else { return Ok(None) };
    let names: Vec<String> = list.data.into_iter().map(|entry| entry.id).collect();
    Ok((!names.is_empty()).then_some(names))
}
