//! Round trips to Redis.

use redis::Client;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Between two round trips.
const PAUSE: Duration = Duration::from_millis(5);

/// Sends PING again and again, on a thread of its own, so that the load beside it costs it no more than it costs any process.
#[derive(Debug)]
pub struct Pinger {
    stop: std::sync::mpsc::SyncSender<()>,
    thread: std::thread::JoinHandle<Vec<f32>>,
}

impl Pinger {
    /// Begins to ping the Redis at this URL.
    pub fn start(url: &str) -> Self {
        let (stop, stopped) = sync_channel(1);
        let client = Client::open(url).unwrap();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ping(client, stopped))
        });
        Self { stop, thread }
    }

    /// Ends it: all round trips, in seconds.
    pub fn stop(self) -> Vec<f32> {
        // A thread that has ended already says so below.
        let _ = self.stop.send(());
        match self.thread.join() {
            Ok(trips) => trips,
            Err(_) => panic!("the pings broke"),
        }
    }
}

async fn ping(client: Client, stopped: Receiver<()>) -> Vec<f32> {
    let mut redis = client.get_multiplexed_async_connection().await.unwrap();
    let mut trips = Vec::new();
    while stopped.try_recv() == Err(TryRecvError::Empty) {
        let sent = Instant::now();
        let _: String = redis::cmd("PING").query_async(&mut redis).await.unwrap();
        trips.push(sent.elapsed().as_secs_f32());
        sleep(PAUSE).await;
    }
    trips
}
