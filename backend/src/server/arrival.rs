//! The first thing that happens to a request: its time of arrival is noted, and it gets a name that its answer repeats.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{Extensions, HeaderValue};
use tidegate_wire::header::REQUEST_ID;
use tokio::time::Instant;

/// Longest name that is taken over from a client.
const MAX_ID_BYTES: usize = 128;

/// When a request's headers had arrived: its deadline counts from here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival(Instant);

impl Arrival {
    /// The arrival of the request that these extensions belong to; now, where nobody noted it.
    pub(crate) fn of(extensions: &Extensions) -> Instant {
        extensions.get::<Self>().map_or_else(Instant::now, |arrival| arrival.0)
    }
}

/// Notes the arrival, takes over or makes the request's id, and puts it on the answer.
pub(super) async fn stamp(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Arrival(Instant::now()));
    let id = request.headers().get(REQUEST_ID).filter(|id| is_usable(id)).cloned().unwrap_or_else(make_id);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let mut answer = next.run(request).await;
    answer.headers_mut().insert(REQUEST_ID, id);
    answer
}

/// Ids end up in logs: visible ASCII only, and not too long.
fn is_usable(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    !bytes.is_empty() && bytes.len() <= MAX_ID_BYTES && bytes.iter().all(u8::is_ascii_graphic)
}

fn make_id() -> HeaderValue {
    let id = format!("req-{}", uuid::Uuid::new_v4().simple());
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("req"))
}
