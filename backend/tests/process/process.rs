//! The binary, started and watched.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A running backend process.
pub(crate) struct Process {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Process {
    /// Starts the binary with a clean environment and `variables`.
    pub(crate) fn start(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate-backend"));
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("TIDEGATE_") || name.starts_with("OTEL_"))
        {
            command.env_remove(name);
        }
        command.args(args).envs(variables.iter().copied()).env("RUST_LOG", "info");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let log = BufReader::new(child.stderr.take().expect("standard error")).lines();
        Self { child, log }
    }

    /// Reads the log up to the line that holds `text`, and gives that line.
    pub(crate) async fn logged(&mut self, text: &str) -> String {
        let read = async {
            while let Some(line) = self.log.next_line().await.expect("text") {
                if line.contains(text) {
                    return line;
                }
            }
            panic!("the process ended without saying {text:?}");
        };
        timeout(PATIENCE, read).await.unwrap_or_else(|_| panic!("nothing says {text:?}"))
    }

    /// Waits until it serves, and gives its base URL.
    pub(crate) async fn ready(&mut self) -> String {
        let line = self.logged("\"ready\"").await;
        let line: serde_json::Value = serde_json::from_str(&line).expect("a JSON log line");
        line["address"].as_str().expect("an address").to_owned()
    }

    /// Sends a signal by its name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.expect("kill is there");
        assert!(sent.success());
    }

    /// Waits for the end, and gives the status and the rest of what was written.
    pub(crate) async fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        let end = async {
            while let Some(line) = self.log.next_line().await.expect("text") {
                rest.push_str(&line);
                rest.push('\n');
            }
            self.child.wait().await.expect("a status")
        };
        let status = timeout(PATIENCE, end).await.expect("it ends");
        (status, rest)
    }
}

/// A copy of the demo model to spoil.
pub(crate) fn model_folder() -> TempDir {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo-model");
    let folder = tempfile::tempdir().expect("a folder");
    for name in [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(demo.join(name), folder.path().join(name)).expect("the demo model is there");
    }
    folder
}

/// The path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
