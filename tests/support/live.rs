//! A listener of a router's live feed.

use crate::client::Client;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::time::Duration;

/// How long an event may take to come before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection to `GET /live`.
#[derive(Debug)]
pub struct Feed {
    body: Incoming,
    unread: BytesMut,
}

impl Feed {
    /// Begins to listen at the admin port that `admin` speaks to.
    pub async fn open(admin: &Client) -> Self {
        let response = admin.open(Method::GET, "/live", &[], Bytes::new()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { body: response.into_body(), unread: BytesMut::new() }
    }

    /// The next event; `None` once the router has ended the feed.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let event = self.unread.split_to(end + 2);
                let json = event.strip_prefix(b"data: ").unwrap();
                return Some(serde_json::from_slice(json).unwrap());
            }
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await;
            let frame = frame.unwrap_or_else(|_| panic!("no event within {PATIENCE:?}"))?;
            self.unread.extend_from_slice(&frame.unwrap().into_data().unwrap());
        }
    }

    /// The first event from now on of which `look` finds something.
    pub async fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Value) -> Option<T>) -> T {
        let looking = async {
            loop {
                let event = self.next().await.unwrap_or_else(|| panic!("the feed ended: {what}"));
                if let Some(found) = look(&event) {
                    return found;
                }
            }
        };
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(found) => found,
            Err(_) => panic!("not within {PATIENCE:?}: {what}"),
        }
    }
}
