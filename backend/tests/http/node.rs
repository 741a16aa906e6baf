//! A backend of this process on a free port, for one test.

use crate::client::Client;
use clap::Parser;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::{future::Future, path::Path, sync::Arc, time::Duration};
use tempfile::TempDir;
use tidegate_backend::{Config, Flags, run};
use tidegate_wire::node::NodeReport;
use tokio::{
    net::TcpListener,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Name of the model in all tests.
pub(crate) const MODEL: &str = "test-model";
/// Longest that a test waits for something that should come at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running backend; stopped when dropped.
pub(crate) struct Node {
    pub(crate) client: Client,
    stop: CancellationToken,
    ended: JoinHandle<anyhow::Result<()>>,
    _model: Arc<Option<TempDir>>,
}

impl Node {
    /// Starts a backend whose model ends its answers by itself.
    pub(crate) async fn start(flags: &[&str]) -> Self {
        Self::start_model(model_folder(257, 1024), flags, |_| {}).await
    }

    /// Starts a backend whose answers go on until something else ends them.
    pub(crate) async fn endless(flags: &[&str]) -> Self {
        Self::start_model(model_folder(258, 16_384), flags, |_| {}).await
    }

    /// Starts a backend whose model has random weights: every token is about as likely as every other.
    pub(crate) async fn random(flags: &[&str]) -> Self {
        let folder = model_folder(257, 16_384);
        randomise(&folder.path().join("model.safetensors"));
        std::fs::write(folder.path().join("generation_config.json"), r#"{"eos_token_id": 257}"#)
            .expect("it can be written");
        Self::start_model(folder, flags, |_| {}).await
    }

    /// Starts a backend whose model's chat template has no tools.
    pub(crate) async fn without_tools(flags: &[&str]) -> Self {
        let folder = model_folder(257, 1024);
        let path = folder.path().join("chat_template.jinja");
        std::fs::write(path, "{% for message in messages %}{{ message.content }}{% endfor %}")
            .expect("it can be written");
        Self::start_model(folder, flags, |_| {}).await
    }

    /// As [`Node::endless`], with settings that have no flag.
    pub(crate) async fn endless_with(flags: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        Self::start_model(model_folder(258, 16_384), flags, change).await
    }

    /// Starts a backend on the model of this folder.
    pub(crate) async fn serving(folder: &Path, flags: &[&str]) -> Self {
        Self::start_at(folder, None, flags, |_| {}).await
    }

    async fn start_model(model: TempDir, flags: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        let folder = model.path().to_owned();
        Self::start_at(&folder, Some(model), flags, change).await
    }

    async fn start_at(
        folder: &Path,
        kept: Option<TempDir>,
        flags: &[&str],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = folder.to_str().expect("UTF-8");
        let named = flags.contains(&"--model-name");
        let name = if named { [].as_slice() } else { &["--model-name", MODEL] };
        let first = ["tidegate-backend", "--model", folder, "--port", "0"];
        let flags = Flags::try_parse_from(first.iter().chain(name).chain(flags)).expect("known flags");
        let mut config = Config::from_flags(&flags).expect("good flags");
        change(&mut config);
        let listener = TcpListener::bind((config.host, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let ended = tokio::spawn(run(config, listener, stop.clone().cancelled_owned()));
        let node = Self { client: Client::new(address), stop, ended, _model: Arc::new(kept) };
        node.until("it is ready", async || node.client.get("/readyz").await.status == 200).await;
        node
    }

    /// Asks it to stop, as a signal does.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits for its end.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        timeout(PATIENCE, self.ended).await.expect("it ends").expect("it does not panic")
    }

    /// Its account of itself.
    pub(crate) async fn report(&self) -> NodeReport {
        serde_json::from_value(self.client.get("/node").await.json()).expect("a report")
    }

    /// Waits until nothing runs and nothing is abandoned.
    pub(crate) async fn until_idle(&self) {
        let idle = async || {
            let report = self.report().await;
            report.running.is_empty() && report.abandoned.is_empty()
        };
        self.until("all slots are free", idle).await;
    }

    /// Waits until `count` requests run and no given-up one holds a slot any more.
    pub(crate) async fn until_running(&self, count: usize) {
        let so_many = async || {
            let report = self.report().await;
            report.running.len() == count && report.abandoned.is_empty()
        };
        self.until("they run", so_many).await;
    }

    /// Asks again and again until `holds`.
    pub(crate) async fn until<F: Future<Output = bool>>(&self, what: &str, holds: impl Fn() -> F) {
        let held = async {
            while !holds().await {
                sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, held).await.is_ok(), "still not so after {PATIENCE:?}: {what}");
    }

    /// The value of one line of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> Option<f64> {
        let text = self.client.get("/metrics").await.text();
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }
}

/// The demo model with another end token and another context: with the padding token, which it does not write, in the
/// place of the end token its answers do not end by themselves.
fn model_folder(eos: u32, context: u32) -> TempDir {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-model");
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"] {
        std::fs::copy(demo.join(name), folder.path().join(name)).expect("the demo model is there");
    }
    for name in ["config.json", "generation_config.json"] {
        let text = std::fs::read_to_string(demo.join(name)).expect("the demo model is there");
        let mut json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        json["eos_token_id"] = eos.into();
        if name == "config.json" {
            json["max_position_embeddings"] = context.into();
        }
        std::fs::write(folder.path().join(name), json.to_string()).expect("it can be written");
    }
    folder
}

/// Small random numbers in the place of all weights, always the same ones.
fn randomise(file: &Path) {
    let bytes = std::fs::read(file).expect("the model is there");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut random = StdRng::seed_from_u64(4);
    let mut drawn = Vec::new();
    for (name, tensor) in tensors.iter() {
        let numbers = tensor.shape().iter().product::<usize>();
        let bytes: Vec<u8> =
            (0..numbers).flat_map(|_| random.random_range(-0.05f32..0.05).to_le_bytes()).collect();
        drawn.push((name.to_owned(), tensor.shape().to_vec(), bytes));
    }
    let views = drawn.iter().map(|(name, shape, bytes)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("the size of the shape"))
    });
    let bytes = safetensors::serialize(views, None).expect("it serialises");
    std::fs::write(file, bytes).expect("it can be written");
}
