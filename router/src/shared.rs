//! What the paths of a running router share.

use crate::catalogue::Catalogue;
use crate::config::Config;
use crate::demo_load::DemoLoad;
use crate::discovery::heard::Heard;
use crate::drained::Drained;
use crate::fleet_watch::FleetWatch;
use crate::keys::KeyStore;
use crate::live::Live;
use crate::request::permit::Desk;
use crate::upstream::Upstream;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tidegate_serve::body::BodyRoom;
use tidegate_telemetry::metrics::RouterMetrics;
use tokio_util::sync::CancellationToken;

/// What the paths of a running router share. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Shared {
    /// The flags, checked.
    pub config: Arc<Config>,
    /// What the bodies of all requests share.
    pub bodies: BodyRoom,
    /// The ledger and the guards' duties.
    pub desk: Arc<Desk>,
    /// Which pool serves which model.
    pub catalogue: Catalogue,
    /// The keys in force, where there is a key file.
    pub keys: Option<KeyStore>,
    /// Connections to backends.
    pub upstream: Upstream,
    /// The last look at the whole fleet.
    pub fleet: FleetWatch,
    /// When each backend was last heard.
    pub heard: Heard,
    /// What this router counts.
    pub metrics: Arc<RouterMetrics>,
    /// What the live feed shares.
    pub live: Arc<Live>,
    /// The bursts of demo load; none where the backend is not this process's own.
    pub demo_load: Option<Arc<DemoLoad>>,
    /// Cancelled once this router was asked to end: load balancers are told to look elsewhere.
    pub leaving: CancellationToken,
    /// Cancelled once this router drains: it takes no new work.
    pub draining: CancellationToken,
    /// Backends that an operator takes out.
    pub drained: Drained,
    /// Unix seconds of the start: what `created` says of models.
    pub started: u64,
}

impl Shared {
    /// All names of models that a request may ask for, sorted.
    pub fn model_names(&self) -> Vec<String> {
        self.config.proxy.names.listed(self.catalogue.models())
    }
}

/// Unix seconds now.
pub fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

/// Unix milliseconds now.
pub fn unix_millis() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the API shows wall-clock time; no logic hangs on it")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
