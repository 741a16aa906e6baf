//! The real binaries, started as a user starts them.

use crate::wait;
use std::ffi::OsStr;
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

/// The folder of the release binaries: `TIDEGATE_BIN_DIR`, or the one that this program was built into. Tests lie one folder
/// deeper than binaries.
pub(crate) fn folder() -> PathBuf {
    std::env::var_os("TIDEGATE_BIN_DIR").map_or_else(
        || {
            let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
            if folder.ends_with("deps") { folder.parent().unwrap().to_owned() } else { folder }
        },
        PathBuf::from,
    )
}

impl Process {
    /// Where a binary of this workspace lies, for a run that only ends.
    pub fn program(binary: &str) -> PathBuf {
        folder().join(binary)
    }

    /// Starts a binary of this workspace, such as `tidegate-router`, with these arguments.
    pub fn start(binary: &str, arguments: &[impl AsRef<OsStr>]) -> Self {
        Self::start_with(binary, arguments, &[])
    }

    /// The same with these variables in its environment.
    pub fn start_with(binary: &str, arguments: &[impl AsRef<OsStr>], variables: &[(String, String)]) -> Self {
        let path = folder().join(binary);
        Self::spawn(Command::new(&path).args(arguments).envs(variables.iter().cloned()))
    }

    /// The same on a terminal of its own, as people see it.
    pub fn start_on_terminal(binary: &str, arguments: &[&str]) -> Self {
        let line = format!("exec {} {}", folder().join(binary).display(), arguments.join(" "));
        Self::spawn(Command::new("script").args(["--quiet", "--flush", "--command", &line, "/dev/null"]))
    }

    fn spawn(command: &mut Command) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| {
            panic!("{command:?} does not start ({error}): cargo build --release --workspace")
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

    /// The URL behind the first word `label` of a line, or in the member `label` of a JSON line, once there is one.
    pub async fn url(&self, label: &str) -> String {
        wait::until(&format!("a URL behind '{label}' in the output"), || async {
            url_after(&self.output(), label)
        })
        .await
    }

    /// The router's base URL for clients, from what it says at its start.
    pub async fn clients(&self) -> String {
        self.url("clients").await.trim_end_matches("/v1").to_owned()
    }

    /// The router's base URL for operators, from what it says at its start.
    pub async fn operators(&self) -> String {
        self.url("operators").await.trim_end_matches('/').to_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> ExitStatus {
        let child = Mutex::new(&mut self.child);
        wait::until("the process ends", || async { child.lock().unwrap().try_wait().unwrap() }).await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // `script`, which gives a process its terminal, does not take it along.
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = Command::new("kill").args(["-s", "KILL", child]).status();
        }
        // A process that has already ended needs no end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal by its name to a process that this one started and has not waited for, so that the id is still its own.
pub(crate) fn signal(id: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &id.to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {name}");
}

/// The second word of the first whole line that begins with `label`, or the member `label` of the first JSON line that has it.
fn url_after(output: &str, label: &str) -> Option<String> {
    let whole = &output[..=output.rfind('\n')?];
    whole.lines().find_map(|line| match serde_json::from_str::<serde_json::Value>(line) {
        Ok(line) => line[label].as_str().map(str::to_owned),
        Err(_) if line.trim_start().starts_with(label) => line.split_whitespace().nth(1).map(str::to_owned),
        Err(_) => None,
    })
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
