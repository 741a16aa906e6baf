//! Which events become log lines.

use tracing::subscriber::Interest;
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

/// Events as the operator's filter says, by target and level, and no spans: a line's ids come from elsewhere, and so spans cost
/// the log nothing.
pub(super) struct LineFilter(pub(super) EnvFilter);

impl Filter<Registry> for LineFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, Registry>) -> bool {
        !metadata.is_span() && Filter::<Registry>::enabled(&self.0, metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            return Interest::never();
        }
        Filter::<Registry>::callsite_enabled(&self.0, metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<Registry>::max_level_hint(&self.0)
    }
}
