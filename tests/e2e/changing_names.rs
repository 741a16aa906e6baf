//! A name in DNS whose addresses change while requests flow. The router's real binary asks the system's resolver, for which
//! libnss_wrapper answers from a file: no rights are needed, and nothing of the machine is changed.

use http::StatusCode;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tidegate_tests::client::Client;
use tidegate_tests::fake_node::{FakeNode, MODEL, Plan, Setup};
use tidegate_tests::process::Process;
use tidegate_tests::wait;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Nobody can have this name.
const NAME: &str = "backends.tidegate.test";
const ONE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const TWO: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const WRAPPER: &str = "libnss_wrapper.so";
/// How soon a change must count. Each comes just after a look at the name, so that it waits for a whole interval.
const SOON: Duration = Duration::from_secs(2);
/// Changes there and back, at most: one that met a busy machine is followed by others.
const ROUNDS: usize = 3;
const CALLERS: usize = 4;
/// Long enough that some run on a backend when its address goes.
const WORK: Plan = Plan::Answer(Duration::from_millis(100));

/// The addresses of the name.
struct Names {
    folder: TempDir,
}

impl Names {
    fn path(&self) -> PathBuf {
        self.folder.path().join("hosts")
    }

    /// Replaces them all in one step.
    fn set(&self, addresses: &[Ipv4Addr]) {
        let next = self.folder.path().join("next");
        let lines = addresses.iter().map(|address| format!("{address} {NAME}\n"));
        std::fs::write(&next, lines.collect::<String>()).unwrap();
        std::fs::rename(next, self.path()).unwrap();
    }

    /// A router that resolves the name as they are.
    fn router(&self, port: u16) -> Process {
        let hosts = self.path().to_str().unwrap().to_owned();
        let variables =
            [("LD_PRELOAD".to_owned(), WRAPPER.to_owned()), ("NSS_WRAPPER_HOSTS".to_owned(), hosts)];
        let name = format!("{NAME}:{port}");
        let flags = ["--port", "0", "--admin-port", "0", "--backend-dns", &name, "--log-format", "json"];
        Process::start_with("tidegate-router", &flags, &variables)
    }
}

/// Two nodes on two addresses with one port.
async fn nodes() -> (FakeNode, FakeNode, u16) {
    let one = FakeNode::start_with(Setup { host: ONE, ..Setup::new(8, WORK) }).await;
    let port = one.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let two = FakeNode::start_with(Setup { host: TWO, port, ..Setup::new(8, WORK) }).await;
    (one, two, port)
}

/// Callers that ask one request after the other until they are told to stop.
struct Callers {
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<Vec<(StatusCode, String)>>,
}

impl Callers {
    fn start(client: &Client) -> Self {
        let (answered, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let mut tasks = JoinSet::new();
        for _ in 0..CALLERS {
            let (client, answered, stop) = (client.clone(), answered.clone(), stop.clone());
            tasks.spawn(async move {
                let mut failures = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let answer = client.chat(MODEL, "x").await;
                    answered.fetch_add(1, Ordering::SeqCst);
                    if answer.status != StatusCode::OK {
                        failures.push((answer.status, answer.text));
                    }
                }
                failures
            });
        }
        Self { answered, stop, tasks }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Waits until so many more answers have come.
    async fn further(&self, answers: usize) {
        let goal = self.answered() + answers;
        wait::until("more answers", || async { (self.answered() >= goal).then_some(()) }).await;
    }

    /// What was not answered as it should be, over all callers.
    async fn stop(self) -> Vec<(StatusCode, String)> {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

/// Waits until the router serves with these nodes and no others.
async fn serves_with(admin: &Client, nodes: &[&FakeNode]) {
    let expected: Vec<&str> = nodes.iter().map(|node| node.url.as_str()).collect();
    wait::until(&format!("the backends are {expected:?}"), || async {
        let fleet = admin.get("/fleet").await.json();
        let backends = fleet["pools"][0]["backends"].as_array()?.clone();
        let urls: Vec<&str> = backends.iter().filter_map(|backend| backend["url"].as_str()).collect();
        (urls == expected).then_some(())
    })
    .await;
}

/// Waits until a node has had a request more than before; tells how long that took.
async fn until_asked(node: &FakeNode, change: impl FnOnce()) -> Duration {
    let before = node.seen();
    let since = Instant::now();
    change();
    wait::until("the new address is asked", || async { (node.seen() > before).then_some(()) }).await;
    since.elapsed()
}

/// Nothing but the other address: what has gone gets nothing new.
async fn moves(
    names: &Names,
    admin: &Client,
    callers: &Callers,
    from: &FakeNode,
    to: (Ipv4Addr, &FakeNode),
) -> Duration {
    let took = until_asked(to.1, || names.set(&[to.0])).await;
    serves_with(admin, &[to.1]).await;
    // What was on its way before has arrived by then.
    callers.further(4 * CALLERS).await;
    let last = from.seen();
    callers.further(4 * CALLERS).await;
    assert_eq!(from.seen(), last, "an address that has gone gets nothing new");
    took
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_whose_addresses_change_is_followed_and_no_request_fails() {
    let (one, two, port) = nodes().await;
    let names = Names { folder: tempfile::tempdir().unwrap() };
    names.set(&[ONE]);
    let router = names.router(port);
    let (client, admin) = (Client::new(&router.clients().await), Client::new(&router.operators().await));
    assert!(!router.output().contains("cannot be preloaded"), "{WRAPPER}: apt-get install libnss-wrapper");
    serves_with(&admin, &[&one]).await;
    let callers = Callers::start(&client);
    callers.further(20).await;
    assert_eq!(two.seen(), 0);
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        took.push(moves(&names, &admin, &callers, &one, (TWO, &two)).await);
        took.push(moves(&names, &admin, &callers, &two, (ONE, &one)).await);
        if took.iter().any(|took| *took <= SOON) {
            break;
        }
    }
    assert!(took.iter().any(|took| *took <= SOON), "asked only after {took:?}");
    names.set(&[ONE, TWO]);
    serves_with(&admin, &[&one, &two]).await;
    let before = (one.seen(), two.seen());
    callers.further(40).await;
    assert!(one.seen() > before.0 && two.seen() > before.1, "both serve");
    let answered = callers.answered();
    assert_eq!(callers.stop().await, [], "of {answered} answers");
}
