//! `--cors-origin`: pages of other sites that may call this router from a browser.

use http::{HeaderName, HeaderValue, Method, header};
use std::time::Duration;
use tidegate_serve::door::Front;
use tidegate_wire::header as names;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

/// How long a browser may remember what it was told: Chromium keeps nothing for longer than two hours.
const REMEMBER: Duration = Duration::from_secs(7200);

/// What a page may read of an answer, beside the few headers that any page may read.
const READABLE: [HeaderName; 6] = [
    names::REQUEST_ID,
    names::REASON,
    header::RETRY_AFTER,
    names::RETRY_AFTER_MS,
    names::SHOULD_RETRY,
    names::FALLBACK,
];

/// Lets pages of `origins` call `app`; of none, and without a word about it, where there are none.
///
/// Keys go in `Authorization`, never in cookies, so that credentials need no leave.
///
/// Outside the door, which answers paths and methods that are not there: a browser asks first, with a method of its own.
pub fn allow<S>(app: Front<S>, origins: &[HeaderValue]) -> Front<S> {
    if origins.is_empty() {
        return app;
    }
    let all = origins.iter().any(|origin| origin == "*");
    let origins = if all { AllowOrigin::any() } else { AllowOrigin::list(origins.iter().cloned()) };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(READABLE)
        .max_age(REMEMBER);
    app.behind(|app| app.layer(layer))
}
