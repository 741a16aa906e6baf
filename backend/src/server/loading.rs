//! What a backend answers while its model is still being loaded, and how the loaded backend takes over.
//!
//! A large model takes minutes: a probe must see a process that is alive and not ready, and a client a refusal rather
//! than silence.

use crate::{
    error::{ApiError, ErrorKind},
    health,
};
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{any, get},
};
use http::StatusCode;
use tidegate_serve::door;
use tidegate_wire::health::HEALTH_PATH;
use tokio::sync::watch;
use tower::ServiceExt;

/// The paths of a backend of `slots` slots whose model is not there yet.
pub(crate) fn service(slots: u32) -> Router {
    let report = move || async move { crate::api::json(&health::loading(slots)) };
    let paths = Router::new()
        .route("/livez", get(health::livez))
        .route("/readyz", get(async || (StatusCode::SERVICE_UNAVAILABLE, "loading\n")))
        .route(HEALTH_PATH, get(report))
        .route("/{*path}", any(refuse));
    door::guard(paths)
}

/// Hands every request to the service that is current when it arrives, also on connections that were there before.
pub(crate) fn following(current: watch::Receiver<Router>) -> Router {
    Router::new().fallback(move |request: Request| {
        let service = current.borrow().clone();
        async move {
            let Ok(answer) = service.oneshot(request).await;
            answer
        }
    })
}

async fn refuse() -> Response {
    ApiError::new(ErrorKind::Loading, "The model is still being loaded.").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use http_body_util::BodyExt;

    async fn ask(service: &Router, path: &str) -> (u16, String) {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        let answer = service.clone().oneshot(request).await.expect("it never fails");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_loading_backend_is_alive_not_ready_and_refuses_until_another_service_takes_over() {
        let (sender, current) = watch::channel(service(3));
        let door = following(current);
        assert_eq!(ask(&door, "/livez").await.0, 200);
        assert_eq!(ask(&door, "/readyz").await, (503, "loading\n".to_owned()));
        let (status, health) = ask(&door, "/health").await;
        assert!(
            status == 200 && health.contains("\"critical\"") && health.contains("\"slots\":3"),
            "{health}"
        );
        let (status, refusal) = ask(&door, "/v1/models").await;
        assert!(status == 503 && refusal.contains("\"code\":\"loading\""), "{refusal}");
        drop(sender.send_replace(Router::new().route("/v1/models", get(async || "loaded"))));
        assert_eq!(ask(&door, "/v1/models").await, (200, "loaded".to_owned()));
    }
}
