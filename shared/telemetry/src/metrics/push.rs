//! Metrics to a collector: every interval the text of a scrape, translated to OTLP.
//!
//! The registries stay the one place where anything is counted; nothing is added to the way of a request. All figures are
//! totals since the start, so that a push that fails loses nothing but its moment, and none is sent again. Sending is done on
//! the thread of its own that traces have too, and within a time; a collector that is away is said once in the log.

mod otlp;
mod sender;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_sdk::Resource;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};

use self::sender::Sender;
use crate::environment::Push;
use crate::export::{ExportError, ExportThread, FLUSH_LIMIT};

/// Makes the OpenMetrics text of this moment.
pub type Source = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

/// What [`init`](crate::init) has read, for whoever has the metrics later.
static ASKED: OnceLock<(Push, Resource)> = OnceLock::new();

/// Notes how this process pushes; the first word counts.
pub(crate) fn ask(push: Push, resource: Resource) {
    // A second set-up in one process, as tests do it, changes nothing.
    let _ = ASKED.set((push, resource));
}

/// Metrics that are being pushed. Dropped, it ends without a last push.
#[derive(Debug)]
pub struct Pushing {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Begins to push what `source` says, as the environment asks for it; `None` where it does not. To be called on a runtime.
///
/// # Errors
/// If the thread or the connection's settings cannot be made.
pub fn push(source: Source) -> Result<Option<Pushing>, ExportError> {
    let Some((push, resource)) = ASKED.get() else { return Ok(None) };
    Pushing::begin(push.clone(), resource.clone(), source).map(Some)
}

impl Pushing {
    /// Begins to push with these settings.
    ///
    /// # Errors
    /// If the thread or the connection's settings cannot be made.
    pub fn begin(push: Push, resource: Resource, source: Source) -> Result<Self, ExportError> {
        let thread = ExportThread::start()?;
        let sender = Sender::new(&push, &thread.handle)?;
        let (stop, stopped) = oneshot::channel();
        let pump = Pump { push, resource, source, sender, thread, started: unix_nanos(), failing: false };
        Ok(Self { stop, task: tokio::spawn(pump.run(stopped)) })
    }

    /// Pushes a last time, within the time that traces have for it too.
    pub async fn finish(self) {
        // An error says that the task has ended already.
        let _ = self.stop.send(());
        if timeout(FLUSH_LIMIT, self.task).await.is_err() {
            tracing::warn!("the last metrics could not be sent");
        }
    }
}

struct Pump {
    push: Push,
    resource: Resource,
    source: Source,
    sender: Sender,
    thread: ExportThread,
    /// Since when all figures count, in Unix nanoseconds.
    started: u64,
    /// Whether the last push failed, so that an outage is said once.
    failing: bool,
}

impl Pump {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut ticks = interval(self.push.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is at once, when nothing has been counted yet.
        ticks.tick().await;
        loop {
            let last = tokio::select! {
                _ = ticks.tick() => false,
                _ = &mut stopped => true,
            };
            self.push_once().await;
            if last {
                return;
            }
        }
    }

    async fn push_once(&mut self) {
        let text = (self.source)().await;
        let request = otlp::request(&text, &self.resource, self.started, unix_nanos());
        let mut sender = self.sender.clone();
        let sending = self.thread.handle.spawn(async move { sender.send(request).await });
        let given_up = sending.abort_handle();
        let outcome = match timeout(self.push.timeout, sending).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(ended)) => Err(ended.to_string()),
            Err(_) => {
                given_up.abort();
                Err(format!("no answer within {} ms", self.push.timeout.as_millis()))
            }
        };
        let failed = outcome.is_err();
        match outcome {
            Ok(()) if self.failing => tracing::info!("the collector takes metrics again"),
            Err(error) if !self.failing => {
                tracing::warn!(%error, "the collector does not take metrics; the next push has them all");
            }
            _ => {}
        }
        self.failing = failed;
    }
}

fn unix_nanos() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "the protocol carries wall-clock time; nothing is decided by it"
    )]
    let now = SystemTime::now();
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
