//! `POST /try/v1/chat/completions` on the admin port: the way of a client's request, for the live page, whose origin is this
//! port and not the clients'. It passes the same admission and counts like any other request.

use crate::request::admission::Waited;
use crate::server;
use crate::shared::Shared;
use axum::body::Body;
use axum::middleware::{Next, from_fn, map_response};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tidegate_serve::body::discard;
use tidegate_serve::door::error_response;
use tidegate_wire::error::ErrorBody;

/// Says how long the request waited for its slot, for the page to draw: `queue;dur=812.5`, in milliseconds.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// What a browser says of where a request comes from; other clients do not send it.
const FETCH_SITE: &str = "sec-fetch-site";

/// The paths under `/try`.
pub fn trial_paths(shared: &Shared) -> axum::Router<Shared> {
    let paths = axum::Router::new().route("/v1/chat/completions", server::chat(shared));
    axum::Router::new().nest("/try", paths.layer(map_response(timed)).layer(from_fn(own_page_only)))
}

/// Lets no page of another site cause work here: a browser would send its request although nobody asked for it.
pub async fn own_page_only(mut request: Request<Body>, next: Next) -> Response<Body> {
    if from_own_page(request.headers()) {
        return next.run(request).await;
    }
    discard(request.body_mut()).await;
    let message = "this path serves the router's own page only, not pages of other sites";
    error_response(StatusCode::FORBIDDEN, &ErrorBody::new("invalid_request_error", "other_site", message))
}

fn from_own_page(headers: &HeaderMap) -> bool {
    headers.get(FETCH_SITE).is_none_or(|site| site == "same-origin" || site == "none")
}

async fn timed(mut response: Response<Body>) -> Response<Body> {
    let waited = response.extensions().get::<Waited>().map(|waited| waited.0.as_secs_f64() * 1000.0);
    let timing = waited.and_then(|ms| HeaderValue::try_from(format!("queue;dur={ms:.1}")).ok());
    if let Some(timing) = timing {
        response.headers_mut().insert(SERVER_TIMING, timing);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_other_sites_are_kept_out() {
        let from = |site: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(site) = site {
                headers.insert(FETCH_SITE, HeaderValue::from_static(site));
            }
            from_own_page(&headers)
        };
        assert!(from(None) && from(Some("same-origin")) && from(Some("none")));
        assert!(!from(Some("cross-site")) && !from(Some("same-site")));
    }
}
