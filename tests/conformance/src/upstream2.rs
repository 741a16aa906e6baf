//! A backend that speaks HTTP/2 alone, by prior knowledge, and does with each stream whatever a script says. It lists one model, and
//! reports nothing else of itself.

use crate::upstream::now;
use bytes::{Bytes, BytesMut};
pub use h2::Reason;
use h2::server::{Builder, SendResponse};
use h2::{RecvStream, SendStream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tidegate_tests::wait;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

/// What a script does with a stream, step by step.
#[derive(Debug, Clone)]
pub enum Move {
    /// Sends a head of status 200 with this content type.
    Head(&'static str),
    /// Sends these bytes, as fast as the router takes them.
    Data(Bytes),
    /// Sends so many bytes, which are counted as they are taken.
    Flood(usize),
    /// Waits.
    Pause(Duration),
    /// Ends the answer.
    End,
    /// Ends the answer with a trailer.
    Trailer(&'static str, &'static str),
    /// Waits until the router resets the stream.
    Hold,
    /// Resets the stream.
    Reset(Reason),
    /// Closes the whole connection, without a word.
    Close,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Method, target, version, headers.
    pub head: Parts,
    /// The body.
    pub body: Bytes,
    /// The number of the connection that it came on.
    pub connection: usize,
}

/// What happens to all connections.
#[derive(Debug, Clone, Copy)]
enum Order {
    Leave,
    Close,
}

type Script = Arc<dyn Fn(&Seen) -> Vec<Move> + Send + Sync>;

/// A running upstream. It ends with the test's runtime.
#[derive(Clone)]
pub struct Upstream2 {
    /// Its base URL.
    pub url: String,
    state: Arc<State>,
}

struct State {
    model: String,
    script: Mutex<Script>,
    seen: Mutex<Vec<Seen>>,
    /// When the router reset a stream that was held, and with which reason.
    resets: Mutex<Vec<(Instant, Reason)>>,
    /// Bytes of floods that the router has let it send.
    taken: AtomicUsize,
    /// Connections that are open.
    open: AtomicUsize,
    orders: broadcast::Sender<Order>,
}

impl Upstream2 {
    /// A server of `model` that answers every request with `{}`, and takes so many streams on a connection.
    pub async fn start(model: &str, streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            model: model.to_owned(),
            script: Mutex::new(Arc::new(|_| whole("{}"))),
            seen: Mutex::default(),
            resets: Mutex::default(),
            taken: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            orders: broadcast::channel(4).0,
        });
        let serving = state.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let (stream, state) = (listener.accept().await.unwrap().0, serving.clone());
                tokio::spawn(async move {
                    state.open.fetch_add(1, Ordering::SeqCst);
                    serve(stream, number, streams, state.clone()).await;
                    state.open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { url, state }
    }

    /// What it does with each request from now on.
    pub fn script(&self, script: impl Fn(&Seen) -> Vec<Move> + Send + Sync + 'static) {
        *self.state.script.lock().unwrap() = Arc::new(script);
    }

    /// The same moves for each request.
    pub fn answer(&self, moves: Vec<Move>) {
        self.script(move |_| moves.clone());
    }

    /// Tells all connections that no more streams are taken; those that are open go on.
    pub fn leave(&self) {
        let _told = self.state.orders.send(Order::Leave);
    }

    /// Closes all connections at once.
    pub fn close(&self) {
        let _told = self.state.orders.send(Order::Close);
    }

    /// Requests that reached it, those for its models left out.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have reached it.
    pub async fn asked(&self, number: usize) {
        wait::until("a request upstream", || async { (self.seen().len() >= number).then_some(()) }).await;
    }

    /// Waits until so many held streams were reset; tells when the last of them was, and why.
    pub async fn reset(&self, number: usize) -> (Instant, Reason) {
        wait::until("the router resets its stream", || async {
            self.state.resets.lock().unwrap().get(number - 1).copied()
        })
        .await
    }

    /// Connections that are open now.
    pub fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// Bytes of floods that the router has let it send so far.
    pub fn taken(&self) -> usize {
        self.state.taken.load(Ordering::SeqCst)
    }
}

/// A whole answer in JSON.
pub fn whole(body: &'static str) -> Vec<Move> {
    vec![Move::Head("application/json"), Move::Data(Bytes::from_static(body.as_bytes())), Move::End]
}

async fn serve(stream: TcpStream, number: usize, streams: u32, state: Arc<State>) {
    stream.set_nodelay(true).unwrap();
    let mut orders = state.orders.subscribe();
    let shaken = Builder::new().max_concurrent_streams(streams).handshake::<_, Bytes>(stream).await;
    let Ok(mut connection) = shaken else { return };
    let (close, mut closed) = tokio::sync::mpsc::channel::<()>(1);
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Some(Ok((request, respond))) = accepted else { return };
                tokio::spawn(answer(request, respond, number, (state.clone(), close.clone())));
            }
            order = orders.recv() => match order {
                Ok(Order::Leave) => connection.graceful_shutdown(),
                _ => return,
            },
            _ = closed.recv() => return,
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
    connection: usize,
    (state, close): (Arc<State>, tokio::sync::mpsc::Sender<()>),
) {
    let (head, mut coming) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(Ok(piece)) = coming.data().await {
        let _released = coming.flow_control().release_capacity(piece.len());
        body.extend_from_slice(&piece);
    }
    if head.method == Method::GET {
        list(head.uri.path(), respond, &state.model);
        return;
    }
    let seen = Seen { head, body: body.freeze(), connection };
    let script = state.script.lock().unwrap().clone();
    let moves = script(&seen);
    state.seen.lock().unwrap().push(seen);
    play(moves, respond, &state, close).await;
}

/// What it says of itself.
fn list(path: &str, mut respond: SendResponse<Bytes>, model: &str) {
    let known = path == "/v1/models";
    let answer = Response::builder().status(if known { 200 } else { 404 }).body(()).unwrap();
    let text = format!("{{\"object\":\"list\",\"data\":[{{\"id\":\"{model}\"}}]}}");
    if let Ok(mut stream) = respond.send_response(answer, !known)
        && known
    {
        let _sent = stream.send_data(text.into(), true);
    }
}

async fn play(
    moves: Vec<Move>,
    mut respond: SendResponse<Bytes>,
    state: &State,
    close: tokio::sync::mpsc::Sender<()>,
) {
    let mut sending: Option<SendStream<Bytes>> = None;
    for next in moves {
        match (next, &mut sending) {
            (Move::Head(kind), _) => {
                let head = Response::builder().header("content-type", kind).body(()).unwrap();
                sending = respond.send_response(head, false).ok();
            }
            (Move::Pause(time), _) => tokio::time::sleep(time).await,
            (Move::Close, _) => {
                let _told = close.send(()).await;
                // Whatever would reset this stream is not to be seen before the connection ends.
                std::future::pending::<()>().await;
            }
            (Move::Hold, sending) => hold(sending.as_mut(), &mut respond, state).await,
            (Move::Reset(reason), Some(stream)) => stream.send_reset(reason),
            (Move::Reset(reason), None) => respond.send_reset(reason),
            (Move::Data(bytes), Some(stream)) => send(stream, bytes, &AtomicUsize::new(0)).await,
            (Move::Flood(size), Some(stream)) => send(stream, vec![b'x'; size].into(), &state.taken).await,
            (Move::End, Some(stream)) => drop(stream.send_data(Bytes::new(), true)),
            (Move::Trailer(name, value), Some(stream)) => {
                let trailers =
                    HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(value))]);
                let _sent = stream.send_trailers(trailers);
            }
            // The router has reset the stream.
            (Move::Data(_) | Move::Flood(_) | Move::End | Move::Trailer(..), None) => return,
        }
    }
}

async fn hold(sending: Option<&mut SendStream<Bytes>>, respond: &mut SendResponse<Bytes>, state: &State) {
    let reset = match sending {
        Some(stream) => poll_fn(|cx| stream.poll_reset(cx)).await,
        None => poll_fn(|cx| respond.poll_reset(cx)).await,
    };
    if let Ok(reason) = reset {
        state.resets.lock().unwrap().push((now(), reason));
    }
}

async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes, taken: &AtomicUsize) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len().min(1 << 16));
        let Some(Ok(room)) = poll_fn(|cx| stream.poll_capacity(cx)).await else { return };
        let piece = bytes.split_to(room.min(bytes.len()));
        taken.fetch_add(piece.len(), Ordering::SeqCst);
        if stream.send_data(piece, false).is_err() {
            return;
        }
    }
}
