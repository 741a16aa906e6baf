//! HTTP as a client speaks it, down to hanging up.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as PooledClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use std::sync::Arc;

/// One answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("no JSON ({error}): {}", self.text))
    }

    /// `error.code` of the body.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// A header as text; empty where it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A client with pooled connections to one server.
#[derive(Debug, Clone)]
pub struct Client {
    base: String,
    inner: PooledClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Client {
    /// A client of the server at `base`, such as `http://127.0.0.1:8000`.
    pub fn new(base: &str) -> Self {
        let nobody = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let nobody = nobody.with_safe_default_protocol_versions().unwrap();
        let nobody = nobody.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
        Self::with(base, HttpsConnector::from((HttpConnector::new(), nobody)))
    }

    /// The same with connections of the caller's choice.
    pub fn with(base: &str, connector: HttpsConnector<HttpConnector>) -> Self {
        let inner = PooledClient::builder(TokioExecutor::new()).build(connector);
        Self { base: base.to_owned(), inner }
    }

    /// Sends a request and returns when the head of the answer is there. Dropping the answer hangs up.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> http::Response<Incoming> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.inner.request(request.body(Full::new(body)).unwrap()).await.unwrap()
    }

    /// Whether a connection can be had and its request be answered; the text says why not.
    pub async fn try_get(&self, path: &str) -> Result<StatusCode, String> {
        let request = Request::get(format!("{}{path}", self.base)).body(Full::default()).unwrap();
        match self.inner.request(request).await {
            Ok(response) => Ok(response.status()),
            Err(error) => Err(format!("{error:?}")),
        }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let (parts, body) = self.open(method, path, headers, body.into()).await.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    /// `POST path` with a JSON body and further headers.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, body.to_string()).await
    }

    /// One chat with one user message.
    pub async fn chat(&self, model: &str, content: &str) -> Answer {
        self.post("/v1/chat/completions", &[], &chat_body(model, content)).await
    }

    /// A streamed chat: the head of the answer, whose body is still flowing.
    pub async fn open_stream(&self, model: &str, content: &str) -> http::Response<Incoming> {
        let mut body = chat_body(model, content);
        body["stream"] = json!(true);
        let headers = [("content-type", "application/json")];
        self.open(Method::POST, "/v1/chat/completions", &headers, body.to_string().into()).await
    }
}

/// The body of a greedy chat with one user message.
pub fn chat_body(model: &str, content: &str) -> Value {
    json!({"model": model, "temperature": 0, "messages": [{"role": "user", "content": content}]})
}
