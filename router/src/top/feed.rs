//! Reads the live feed of a router, and connects again when it went away.

use crate::live::Now;
use crate::live::feed::HistoryReport;
use crate::upstream::connector::Connector;
use crate::upstream::innermost;
use bytes::{Buf, Bytes, BytesMut};
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tidegate_serve::from_files::FromFiles;
use tidegate_serve::tls::ClientTls;
use tidegate_serve::token::Tokens;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Silence after which a router counts as gone: it speaks four times a second, a busy one at least once.
const SILENCE: Duration = Duration::from_secs(5);
/// The largest event that is read: 5,000 tickets in each of several pools take a few megabytes.
const MOST_BYTES: usize = 64 << 20;
/// Between two attempts to connect: the first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// The address of a router's feed.
#[derive(Debug, Clone)]
pub struct Address {
    base: String,
    live: Uri,
    tls: Option<ClientTls>,
    tokens: Option<FromFiles<Tokens>>,
}

impl Address {
    /// Reads what a person writes for an admin port: a URL, with or without a path, or just host and port.
    ///
    /// # Errors
    /// If it is no such thing; the message says what would be.
    pub fn parse(text: &str) -> Result<Self, FeedError> {
        let bad =
            || FeedError(format!("'{text}' is not accepted; expected a URL such as http://127.0.0.1:8001"));
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if !matches!(scheme, "http" | "https") || authority.is_empty() || authority.contains('@') {
            return Err(bad());
        }
        let host = if authority.starts_with(':') { "127.0.0.1" } else { "" };
        let base = format!("{scheme}://{host}{authority}");
        let live: Uri = format!("{base}/live").parse().map_err(|_| bad())?;
        if live.host().is_none_or(str::is_empty) {
            return Err(bad());
        }
        Ok(Self { base, live, tls: None, tokens: None })
    }

    /// Says how a router at `https://` is known, and which token it is shown.
    #[must_use]
    pub fn with(self, tls: Option<ClientTls>, tokens: Option<FromFiles<Tokens>>) -> Self {
        Self { tls, tokens, ..self }
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, FeedError> {
        let mut request = Request::get(self.live.clone());
        if let Some(tokens) = &self.tokens {
            request = request.header(header::AUTHORIZATION, tokens.get().header());
        }
        request.body(Empty::new()).map_err(|error| FeedError(error.to_string()))
    }

    /// Scheme, host and port.
    pub fn base(&self) -> &str {
        &self.base
    }
}

/// Why nothing is heard of a router.
#[derive(Debug, Clone, Default, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FeedError(String);

/// What is heard of a router.
#[derive(Debug)]
pub enum Heard {
    /// An event.
    Event(Box<Event>),
    /// The router went away, or was never there.
    Lost(FeedError),
}

/// One event of the feed.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The first of its connection: it has all points of the history.
    pub first: bool,
    /// The fleet now.
    pub now: Now,
    /// The last minutes.
    pub history: HistoryReport,
}

impl Event {
    /// Reads an event's JSON.
    ///
    /// # Errors
    /// If it is not what a router of this version says.
    pub fn parse(json: &[u8], first: bool) -> Result<Self, FeedError> {
        #[derive(serde::Deserialize)]
        struct WithHistory {
            history: HistoryReport,
        }
        let odd = |error: serde_json::Error| {
            FeedError(format!("the router speaks another version of the feed ({error})"))
        };
        let WithHistory { history } = serde_json::from_slice(json).map_err(odd)?;
        Ok(Self { first, now: serde_json::from_slice(json).map_err(odd)?, history })
    }
}

/// Listens until nobody wants to hear any more.
pub async fn listen(address: Address, heard: mpsc::Sender<Heard>) {
    let mut pause = PAUSES.0;
    loop {
        let lost = match Events::open(&address).await {
            Ok(events) => {
                pause = PAUSES.0;
                pass_on(events, &heard).await
            }
            Err(error) => error,
        };
        if heard.send(Heard::Lost(lost)).await.is_err() {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Passes events on until there are no more, and says why.
async fn pass_on(mut events: Events, heard: &mpsc::Sender<Heard>) -> FeedError {
    loop {
        match events.next().await {
            Ok(event) => {
                if heard.send(Heard::Event(Box::new(event))).await.is_err() {
                    return FeedError("nobody listens any more".to_owned());
                }
            }
            Err(error) => return error,
        }
    }
}

/// An open connection to a feed.
pub struct Events {
    body: Incoming,
    unread: BytesMut,
    /// Bytes of `unread` in which no event ends.
    searched: usize,
    first: bool,
}

impl Events {
    /// Connects to a router.
    ///
    /// # Errors
    /// If there is no router with a live feed at the address.
    pub async fn open(address: &Address) -> Result<Self, FeedError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = Connector::new(connector, address.tls.clone());
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let answer = timeout(SILENCE, client.request(address.request()?)).await;
        let response = answer.map_err(|_| silent())?.map_err(|error| FeedError(innermost(&error)))?;
        match response.status() {
            StatusCode::OK => {
                Ok(Self { body: response.into_body(), unread: BytesMut::new(), searched: 0, first: true })
            }
            StatusCode::NOT_FOUND => Err(FeedError(format!(
                "{} has no live feed: is it a router's admin port (--admin-port, 8001 by default)?",
                address.base
            ))),
            StatusCode::UNAUTHORIZED => Err(FeedError(format!(
                "{} wants its token: --token-file with what its --admin-token-file holds",
                address.base
            ))),
            status => Err(FeedError(format!("it answers {status}"))),
        }
    }

    /// The next event.
    ///
    /// # Errors
    /// If the router ended the feed, broke off, fell silent, or says what cannot be read.
    pub async fn next(&mut self) -> Result<Event, FeedError> {
        loop {
            if let Some(event) = self.take_event()? {
                return Ok(event);
            }
            let frame = timeout(SILENCE, self.body.frame()).await.map_err(|_| silent())?;
            let frame = frame.ok_or_else(|| FeedError("it has shut down".to_owned()))?;
            let frame = frame.map_err(|error| FeedError(innermost(&error)))?;
            if let Some(data) = frame.data_ref() {
                self.unread.extend_from_slice(data);
            }
            if self.unread.len() > MOST_BYTES {
                return Err(FeedError("it sends an event without end".to_owned()));
            }
        }
    }

    /// Takes the first whole event out of what was read; comments are none.
    fn take_event(&mut self) -> Result<Option<Event>, FeedError> {
        loop {
            let from = self.searched.saturating_sub(1);
            let Some(at) =
                self.unread.get(from..).unwrap_or_default().windows(2).position(|pair| pair == b"\n\n")
            else {
                self.searched = self.unread.len();
                return Ok(None);
            };
            let event = self.unread.split_to(from + at);
            self.unread.advance(2);
            self.searched = 0;
            if let Some(json) = event.strip_prefix(b"data: ") {
                return Event::parse(json, std::mem::take(&mut self.first)).map(Some);
            }
        }
    }
}

fn silent() -> FeedError {
    FeedError(format!("no word for {} s", SILENCE.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for text in [
            "http://127.0.0.1:8001",
            "http://127.0.0.1:8001/",
            "http://127.0.0.1:8001/fleet",
            "127.0.0.1:8001",
            ":8001",
            " http://127.0.0.1:8001/live ",
        ] {
            assert_eq!(Address::parse(text).unwrap().live, "http://127.0.0.1:8001/live", "{text}");
        }
        assert_eq!(Address::parse("http://[::1]:8001").unwrap().base(), "http://[::1]:8001");
        assert_eq!(Address::parse("https://router:8001/").unwrap().live, "https://router:8001/live");
        for text in ["", "http://", "ftp://x", "http://user:pass@host:1", "a b"] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains("http://127.0.0.1:8001"), "{text}: {error}");
        }
    }
}
