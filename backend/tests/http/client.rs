//! A plain HTTP client for tests: whole answers, streams, and raw bytes for what no client would send.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A client of one backend.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pool: Pool<HttpConnector, Full<Bytes>>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, pool: Pool::builder(TokioExecutor::new()).build_http() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path, &[]).body(Full::default()).expect("a request")).await
    }

    /// Posts JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// Posts JSON with further headers.
    pub(crate) async fn post_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answer {
        let whole = self.open_with(path, body, headers).await;
        read(whole).await
    }

    /// Posts JSON and gives the answer as soon as its headers are there; dropping it hangs up.
    pub(crate) async fn open(&self, path: &str, body: &Value) -> Response<Incoming> {
        self.open_with(path, body, &[]).await
    }

    pub(crate) async fn open_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(&str, &str)],
    ) -> Response<Incoming> {
        let request = self.request(Method::POST, path, headers).header("content-type", "application/json");
        let request = request.body(Full::from(body.to_string())).expect("a request");
        self.pool.request(request).await.expect("an answer")
    }

    /// Sends any request.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        read(self.pool.request(request).await.expect("an answer")).await
    }

    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::request::Builder {
        let request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
    }

    /// Sends bytes as they are, closes the sending side, and gives everything that comes back.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        self.raw_then(bytes, true).await
    }

    /// Sends bytes as they are, and waits for more with the sending side open.
    pub(crate) async fn raw_open(&self, bytes: &[u8]) -> String {
        self.raw_then(bytes, false).await
    }

    async fn raw_then(&self, bytes: &[u8], close: bool) -> String {
        let mut socket = TcpStream::connect(self.address).await.expect("a connection");
        // The server may answer and close before it has read everything.
        let _sent = socket.write_all(bytes).await;
        if close {
            let _closed = socket.shutdown().await;
        }
        let mut answer = Vec::new();
        let reading = timeout(Duration::from_secs(10), socket.read_to_end(&mut answer));
        let _reset_or_end = reading.await.expect("the server answers or closes");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The payloads of an event stream's events, comments left out.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), Some("text/event-stream"), "{}", self.text());
        let events = self.text();
        let events = events.split_terminator("\n\n").filter(|event| !event.starts_with(':'));
        events.map(|event| event.strip_prefix("data: ").expect("a data event").to_owned()).collect()
    }

    /// Checks that this is an OpenAI error, and gives its message.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, param: Option<&str>) -> String {
        let body = self.json();
        let error = &body["error"];
        let found = (self.status, error["code"].as_str(), error["param"].as_str());
        assert_eq!(found, (status, Some(code), param), "{body}");
        assert!(self.header("x-request-id").is_some_and(|id| !id.is_empty()), "no x-request-id");
        assert!(error["type"].is_string(), "{body}");
        error["message"].as_str().expect("a message").to_owned()
    }
}

async fn read(answer: Response<Incoming>) -> Answer {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.expect("the whole body").to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}
