//! The real binaries, started as a user starts them.

use crate::wait;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

/// A running binary whose output is kept.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
}

/// The folder of the release binaries: `TIDEGATE_BIN_DIR`, or the one that this test was built into.
fn folder() -> PathBuf {
    std::env::var_os("TIDEGATE_BIN_DIR").map_or_else(
        || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned(),
        PathBuf::from,
    )
}

impl Process {
    /// Starts `tidegate-router` or `tidegate-backend` with these arguments.
    pub fn start(binary: &str, arguments: &[&str]) -> Self {
        let path = folder().join(binary);
        let mut child = Command::new(&path)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} does not start ({error}): cargo build --release --workspace", path.display())
            });
        let output = Arc::new(Mutex::new(String::new()));
        gather(child.stdout.take().unwrap(), &output);
        gather(child.stderr.take().unwrap(), &output);
        Self { child, output }
    }

    /// Standard output and standard error so far.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Waits until the output holds `text`, and gives the output.
    pub async fn says(&self, text: &str) -> String {
        wait::until(&format!("'{text}' in the output"), || async {
            let output = self.output();
            output.contains(text).then_some(output)
        })
        .await
    }

    /// The router's base URL for clients, from its first lines.
    pub async fn clients(&self) -> String {
        url_after(&self.says("/fleet").await, "clients").trim_end_matches("/v1").to_owned()
    }

    /// The router's base URL for operators, from its first lines.
    pub async fn operators(&self) -> String {
        url_after(&self.says("/fleet").await, "operators").trim_end_matches("/fleet").to_owned()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success(), "kill -s {name}");
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        wait::until("the process ends", || async { child.lock().unwrap().try_wait().unwrap() }).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that has already ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first URL on the line that begins with `label`.
fn url_after(output: &str, label: &str) -> String {
    let line = output.lines().find(|line| line.trim_start().starts_with(label)).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn gather(mut from: impl Read + Send + 'static, into: &Arc<Mutex<String>>) {
    let into = into.clone();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    });
}
