//! Many slow streams through one router: none fails, each takes little of its memory, and all that they took is given back.
//!
//! The router, the backend and the clients are a process each, because each connection is an open file of both its ends.

use crate::peers::client::{Ask, Client, Target};
use anyhow::{Context, ensure};
use std::net::SocketAddr;
use std::time::Duration;
use tidegate_tests::process::Process;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Requests that the router has served before it is measured.
const BEFORE: usize = 100;
/// Connections that are opened at once: not more than a listening socket keeps.
const OPENING: usize = 64;
/// Events that each stream has got when all are measured: it flows, and has not only begun.
const EVENTS: usize = 3;
/// Time for any step of a run.
const PATIENCE: Duration = Duration::from_secs(180);
/// The system's page, in which `statm` counts (proc(5)).
const PAGE: usize = 4096;

/// What a router held at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Bytes in memory.
    pub memory: usize,
    /// Open files.
    pub files: usize,
    /// Slots, as its account has them.
    pub slots: u64,
}

/// How it went.
#[derive(Debug)]
pub struct Found {
    /// Before the first stream.
    pub before: Held,
    /// While all were open.
    pub with: Held,
    /// After the last one, once nothing is held or time has run out.
    pub after: Held,
    /// From the first connection until all streams had begun.
    pub opened_in: Duration,
    /// What went wrong with each that failed.
    pub failures: Vec<String>,
}

impl Found {
    /// Bytes of the router's memory for each of so many streams.
    #[must_use]
    pub fn memory_of_each(&self, streams: usize) -> usize {
        self.with.memory.saturating_sub(self.before.memory) / streams
    }
}

/// Opens so many streams, holds them for `hold` once all flow, lets the backend end them, and waits until the router has let go.
///
/// # Errors
/// A process that does not start, or streams that do not begin in time. A stream that fails is no error of the run.
pub async fn run(streams: usize, hold: Duration) -> anyhow::Result<Found> {
    let backend = Process::start("tidegate-peers", &["mock"]);
    let mock: SocketAddr = backend.says("\n").await.trim().parse()?;
    let url = format!("http://{mock}");
    let slots = streams.to_string();
    let flags = ["--port", "0", "--admin-port", "0", "--backend", &url, "--backend-slots", &slots];
    let few = ["--request-timeout", "600", "--max-connections-per-address", "100000"];
    let router = Process::start("tidegate-router", &[&flags[..], &few].concat());
    let watched =
        Watched { id: router.id(), admin: tidegate_tests::client::Client::new(&router.operators().await) };
    let address = router.clients().await.trim_start_matches("http://").parse()?;
    let target = Target { address, model: "mock".to_owned(), token: "none".to_owned() };
    warm(&target).await?;
    let before = watched.look().await?;
    let begun = Instant::now();
    let (opened, flowing) = (watch::Sender::new(0), watch::Sender::new(0));
    let running = open(&target, streams, [&opened, &flowing]);
    reached(&opened, streams).await.context("not all streams began")?;
    let opened_in = begun.elapsed();
    reached(&flowing, streams).await.context("not all streams flowed")?;
    sleep(hold).await;
    let with = watched.look().await?;
    end(mock).await?;
    let failures = timeout(PATIENCE, failures(running)).await.context("not all streams ended")?;
    // What is kept for the next request goes with the backend.
    drop(backend);
    let after = watched.let_go(before).await?;
    Ok(Found { before, with, after, opened_in, failures })
}

/// The router.
struct Watched {
    id: u32,
    admin: tidegate_tests::client::Client,
}

impl Watched {
    async fn look(&self) -> anyhow::Result<Held> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.id))?;
        let pages: usize = statm.split(' ').nth(1).context("statm has no second field")?.parse()?;
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.id))?.count();
        let fleet = self.admin.get("/fleet").await.json();
        let pools = fleet["pools"].as_array().context("/fleet has no pools")?;
        let count = |pool: &serde_json::Value| {
            ["running", "abandoned", "queued"].iter().filter_map(|count| pool[*count].as_u64()).sum::<u64>()
        };
        Ok(Held { memory: pages * PAGE, files, slots: pools.iter().map(count).sum() })
    }

    /// Waits until no slot is held and no more files are open than before, at most for [`PATIENCE`].
    async fn let_go(&self, before: Held) -> anyhow::Result<Held> {
        let begun = Instant::now();
        loop {
            let now = self.look().await?;
            if (now.slots == 0 && now.files <= before.files) || begun.elapsed() > PATIENCE {
                return Ok(now);
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What a router sets up once is not counted as the streams'.
async fn warm(target: &Target) -> anyhow::Result<()> {
    let (mut client, request) = (Client::connect(target.address).await?, target.request(Ask::Whole));
    for _ in 0..BEFORE {
        let served = client.ask(&request).await?;
        ensure!(served.status == 200, "{served:?}");
    }
    Ok(())
}

/// Counts one more when it is dropped, however the stream came that far.
struct Mark(watch::Sender<usize>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count += 1);
    }
}

type Streams = JoinSet<anyhow::Result<()>>;

fn open(target: &Target, streams: usize, [opened, flowing]: [&watch::Sender<usize>; 2]) -> Streams {
    let request = target.request(Ask::Slow);
    let mut running = JoinSet::new();
    for number in 0..streams {
        let (address, request, turn) = (target.address, request.clone(), opened.subscribe());
        let (opened, flowing) = (Mark(opened.clone()), Mark(flowing.clone()));
        running.spawn(async move {
            let mut turn = turn;
            turn.wait_for(|opened| *opened + OPENING > number).await?;
            let mut client = Client::connect(address).await?;
            let mut answer = client.begin(&request, 1).await?;
            drop(opened);
            client.go_on(&mut answer, EVENTS).await?;
            drop(flowing);
            client.go_on(&mut answer, usize::MAX).await?;
            ensure!(answer.status == 200 && answer.events > EVENTS, "{answer:?}");
            Ok(())
        });
    }
    running
}

async fn reached(count: &watch::Sender<usize>, streams: usize) -> anyhow::Result<()> {
    timeout(PATIENCE, count.subscribe().wait_for(|count| *count == streams)).await??;
    Ok(())
}

async fn failures(mut running: Streams) -> Vec<String> {
    let mut failures = Vec::new();
    while let Some(ended) = running.join_next().await {
        if let Err(error) = ended.map_err(anyhow::Error::from).flatten() {
            failures.push(format!("{error:#}"));
        }
    }
    failures
}

/// Lets the backend end its slow streams.
async fn end(mock: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(mock).await?;
    stream.write_all(b"GET /end HTTP/1.1\r\nhost: mock\r\n\r\n").await?;
    ensure!(stream.read(&mut [0; 64]).await? > 0, "the backend does not answer");
    Ok(())
}
