//! Finds out when given-up work has stopped, so that its slot can be used again.

use crate::ledger::Grant;
use crate::upstream::Upstream;
use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tidegate_wire::node::{NODE_PATH, NodeReport};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The first pause between two looks at a backend; it doubles up to [`MAX_PAUSE`]. One decode step is of this order.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const MAX_PAUSE: Duration = Duration::from_secs(1);
/// How long a backend may take to report.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// A node report is small; more than this is no report.
const MAX_REPORT: usize = 4 * 1024 * 1024;

/// Asks backends for their node report. Clones share connections, and what a backend has said.
#[derive(Debug, Clone)]
pub struct Confirmer {
    /// Connections to backends.
    pub upstream: Upstream,
    grace: Duration,
    looks: Arc<std::sync::Mutex<HashMap<String, Look>>>,
}

/// The last look at one backend, locked while one is under way: when it began and what came of it.
type Look = Arc<Mutex<Option<(Instant, Option<Arc<NodeReport>>)>>>;

impl Confirmer {
    /// Asks through these connections. After `grace` (`--abandon-grace`) work on a server that reports nothing counts as stopped.
    pub fn new(upstream: Upstream, grace: Duration) -> Self {
        Self { upstream, grace, looks: Arc::default() }
    }

    /// Returns once the attempt's work has stopped: the backend's report no longer names it, or the backend reports
    /// nothing and the grace has passed.
    pub async fn wait_until_stopped(&self, grant: &Grant, http2: bool) {
        let given_up = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match self.report(&grant.url, http2).await {
                Some(report) if !holds(&report, grant.attempt.as_str()) => return,
                Some(_) => {}
                None if given_up.elapsed() >= self.grace => return,
                None => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Returns at the backend's next report, or once the grace has passed for one that reports nothing.
    pub async fn wait_for_report(&self, grant: &Grant, http2: bool) {
        let begun = Instant::now();
        loop {
            tokio::time::sleep(MAX_PAUSE).await;
            if self.report(&grant.url, http2).await.is_some() || begun.elapsed() >= self.grace {
                return;
            }
        }
    }

    /// The report of the backend at `url`, as it is now or later; `None` where it cannot be had, as from servers of another make.
    /// All who ask at the same time share one, because thousands of clients may leave in one moment.
    pub async fn report(&self, url: &str, http2: bool) -> Option<Arc<NodeReport>> {
        let asked = Instant::now();
        let look = self.looks().entry(url.to_owned()).or_default().clone();
        let mut last = look.lock().await;
        let report = match &*last {
            Some((begun, report)) if *begun >= asked => report.clone(),
            _ => {
                let begun = Instant::now();
                let report = self.ask(url, http2).await.map(Arc::new);
                *last = Some((begun, report.clone()));
                report
            }
        };
        drop(last);
        let mut looks = self.looks();
        // Nobody else waits for it: this handle and the map's.
        if Arc::strong_count(&look) == 2 {
            looks.remove(url);
        }
        report
    }

    async fn ask(&self, url: &str, http2: bool) -> Option<NodeReport> {
        let request = Request::get(NODE_PATH).body(Body::empty()).ok()?;
        let read = async {
            let response = self.upstream.send(url, http2, Box::new(request)).await.ok()?;
            if response.status() != StatusCode::OK {
                return None;
            }
            let body = Limited::new(response.into_body(), MAX_REPORT).collect().await.ok()?;
            serde_json::from_slice(&body.to_bytes()).ok()
        };
        tokio::time::timeout(REPORT_TIMEOUT, read).await.ok()?
    }

    fn looks(&self) -> std::sync::MutexGuard<'_, HashMap<String, Look>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn holds(report: &NodeReport, attempt: &str) -> bool {
    report.running.iter().chain(&report.abandoned).any(|held| held == attempt)
}
