//! Which events become log lines, and which spans the lines know of.

use tracing::subscriber::Interest;
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::Registry;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::{Context, Filter};

/// Name of the span that stands for a request: the one that carries its ids.
pub const REQUEST_SPAN: &str = "request";

/// Events as the operator's filter says, by target and level. Of spans only the requests' own, at any level, so that a
/// line has its request's ids whatever is filtered, and no other span costs the log anything.
pub(super) struct LineFilter(pub(super) EnvFilter);

fn is_request(metadata: &Metadata<'_>) -> bool {
    metadata.name() == REQUEST_SPAN && metadata.target().starts_with("tidegate")
}

impl Filter<Registry> for LineFilter {
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, Registry>) -> bool {
        if metadata.is_span() {
            return is_request(metadata);
        }
        Filter::<Registry>::enabled(&self.0, metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_span() {
            return if is_request(metadata) { Interest::always() } else { Interest::never() };
        }
        Filter::<Registry>::callsite_enabled(&self.0, metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<Registry>::max_level_hint(&self.0).map(|hint| hint.max(LevelFilter::INFO))
    }
}
