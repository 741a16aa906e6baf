//! A backend that does with its connection whatever a script says. It lists one model, and reports nothing else of itself.

use crate::message::{Message, Reader};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tidegate_tests::wait;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;

/// Connections that may stand in line at an upstream.
const LINE: u32 = 16;
/// A connection that is not there by then stands in no line: there is none to wait in.
const SOON: Duration = Duration::from_millis(300);

/// What a script does, step by step.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends these bytes in a write of their own.
    Send(Bytes),
    /// Waits.
    Pause(Duration),
    /// Waits until the router closes the connection.
    Hold,
    /// Closes the connection in good order.
    Close,
    /// Resets the connection.
    Reset,
}

impl Step {
    /// Sends text.
    pub fn send(text: impl Into<String>) -> Self {
        Self::Send(Bytes::from(text.into()))
    }
}

type Script = Arc<dyn Fn(&Message) -> Vec<Step> + Send + Sync>;

/// A running upstream. It ends with the test's runtime.
#[derive(Clone)]
pub struct Upstream {
    /// Its base URL.
    pub url: String,
    state: Arc<State>,
}

struct State {
    /// Its whole answer to who asks for its models.
    models: String,
    key: Option<String>,
    script: Mutex<Script>,
    /// False for one that answers before it has read a request's body.
    reads: AtomicBool,
    seen: Mutex<Vec<Message>>,
    /// The router's port for each of them.
    ports: Mutex<Vec<u16>>,
    /// Ports whose connections the router has closed between two requests.
    left: Mutex<Vec<u16>>,
    /// When the router closed a connection that was held.
    closed: Mutex<Vec<Instant>>,
    parked: Notify,
}

impl Upstream {
    /// A server of `model` that answers every request with `{}`.
    pub async fn start(model: &str) -> Self {
        Self::start_with(model, None).await
    }

    /// The same, which lists its model only to those who know its key.
    pub async fn start_with(model: &str, key: Option<&str>) -> Self {
        let models = json(&format!("{{\"object\":\"list\",\"data\":[{{\"id\":\"{model}\"}}]}}"));
        Self::listing(models, key).await
    }

    /// A server that gives this whole answer to who asks for its models, and may want a key for it.
    pub async fn listing(models: String, key: Option<&str>) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = socket.listen(LINE).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            models,
            key: key.map(str::to_owned),
            script: Mutex::new(Arc::new(|_| vec![Step::send(json("{}"))])),
            reads: AtomicBool::new(true),
            seen: Mutex::default(),
            ports: Mutex::default(),
            left: Mutex::default(),
            closed: Mutex::default(),
            parked: Notify::new(),
        });
        let serving = state.clone();
        tokio::spawn(async move {
            let mut parked = Box::pin(serving.parked.notified());
            loop {
                tokio::select! {
                    accepted = listener.accept() => drop(tokio::spawn(serve(accepted.unwrap().0, serving.clone()))),
                    () = &mut parked => break,
                }
            }
            // It listens on and takes nobody any more.
            std::future::pending::<()>().await;
            drop(listener);
        });
        Self { url, state }
    }

    /// What it does with each request from now on.
    pub fn script(&self, script: impl Fn(&Message) -> Vec<Step> + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(script);
    }

    /// The same steps for each request.
    pub fn answer(&self, steps: Vec<Step>) {
        self.script(move |_| steps.clone());
    }

    /// Whether it reads a request's body before it answers.
    pub fn reads(&self, reads: bool) {
        self.state.reads.store(reads, Ordering::SeqCst);
    }

    /// From now on takes no connection, and fills its line: whoever connects waits. Gives those who stand in the line.
    pub async fn park(&self) -> Vec<TcpStream> {
        self.state.parked.notify_one();
        let address = self.url.trim_start_matches("http://");
        let mut line = Vec::new();
        while let Ok(Ok(stream)) = tokio::time::timeout(SOON, TcpStream::connect(address)).await {
            line.push(stream);
            assert!(line.len() < 1000, "the line of this system has no end");
        }
        line
    }

    /// Requests that reached it, those for its models left out.
    pub fn seen(&self) -> Vec<Message> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The last request.
    pub fn last(&self) -> Message {
        self.seen().pop().unwrap()
    }

    /// For each of these requests, the port that it came from: one for each connection.
    pub fn ports(&self) -> Vec<u16> {
        self.state.ports.lock().unwrap().clone()
    }

    /// Waits until the router closes the connection from this port, which carries nothing.
    pub async fn left(&self, port: u16) {
        wait::until("the router closes a connection that is not used", || async {
            self.state.left.lock().unwrap().contains(&port).then_some(())
        })
        .await;
    }

    /// Waits for the request of this number, from 1.
    pub async fn asked(&self, number: usize) {
        wait::until("a request upstream", || async { (self.seen().len() >= number).then_some(()) }).await;
    }

    /// Waits until so many held connections were closed; tells when the last of them was.
    pub async fn closed(&self, number: usize) -> Instant {
        wait::until("the router closes its connection", || async {
            self.state.closed.lock().unwrap().get(number - 1).copied()
        })
        .await
    }
}

/// A whole answer of status 200.
pub fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The head of a stream.
pub const STREAM: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// One chunk of a body.
pub fn chunk(data: &[u8]) -> Bytes {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk.into()
}

/// The end of a chunked body.
pub const LAST: &[u8] = b"0\r\n\r\n";

async fn serve(stream: TcpStream, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    let port = stream.peer_addr().unwrap().port();
    let mut reader = Reader::new(stream);
    while let Ok(head) = reader.head().await {
        let Some(mut request) = head else {
            state.left.lock().unwrap().push(port);
            return;
        };
        if request.start.starts_with("GET ") {
            // Each such question comes on a connection of its own, so that a parked upstream is asked none.
            let _sent = reader.stream.write_all(own(&request, &state).as_bytes()).await;
            return;
        }
        if state.reads.load(Ordering::SeqCst) && reader.body(&mut request).await.is_err() {
            return;
        }
        let script = state.script.lock().unwrap().clone();
        let steps = script(&request);
        state.ports.lock().unwrap().push(port);
        state.seen.lock().unwrap().push(request);
        if !play(&mut reader, steps, &state).await {
            return;
        }
    }
}

/// What it says of itself.
fn own(request: &Message, state: &State) -> String {
    let expected = state.key.as_ref().map(|key| format!("Bearer {key}"));
    if expected.is_some_and(|key| request.header("authorization") != key) {
        return "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned();
    }
    if request.start.starts_with("GET /v1/models ") {
        return state.models.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    }
    "HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned()
}

/// False where the connection has ended.
async fn play(reader: &mut Reader<TcpStream>, steps: Vec<Step>, state: &State) -> bool {
    for step in steps {
        match step {
            Step::Send(bytes) => {
                if reader.stream.write_all(&bytes).await.is_err() {
                    return false;
                }
            }
            Step::Pause(time) => tokio::time::sleep(time).await,
            Step::Hold => {
                while reader.more().await.is_ok_and(|count| count > 0) {}
                state.closed.lock().unwrap().push(now());
                return false;
            }
            Step::Close => return false,
            Step::Reset => {
                reader.stream.set_zero_linger().unwrap();
                return false;
            }
        }
    }
    true
}

/// The time on this machine's clock.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
