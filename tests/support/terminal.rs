//! A program in a terminal, as a person sees it: `script` gives it a pseudo-terminal, and an emulator keeps the screen.

use crate::process::folder;
use crate::wait;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

/// Rows of the terminal.
const ROWS: NonZeroU16 = NonZeroU16::new(24).unwrap();
/// Columns of the terminal.
const COLUMNS: NonZeroU16 = NonZeroU16::new(80).unwrap();
/// What the shell says when the program has ended and left the terminal's settings as they were.
const RESTORED: &str = "terminal as it was";

/// A program of this workspace that runs in a terminal of 80 columns and 24 rows.
#[derive(Debug)]
pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    output: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts `binary` with these arguments, none of which may hold what a shell would read as its own, and with
    /// `NAME=value` pairs before it.
    pub fn start(environment: &str, binary: &str, arguments: &[&str]) -> Self {
        let command = format!("{environment} {} {}", folder().join(binary).display(), arguments.join(" "));
        let shell = format!(
            "stty rows {ROWS} cols {COLUMNS}; before=$(stty -g); {command}; code=$?; \
             test \"$before\" = \"$(stty -g)\" && echo \"{RESTORED}, exit status $code\""
        );
        let mut child = Command::new("script")
            .args(["-qefc", &shell, "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("script does not start ({error}): apt-get install bsdutils"));
        let output = Arc::new(Mutex::new(Vec::new()));
        let keyboard = child.stdin.take().unwrap();
        keep(child.stdout.take().unwrap(), output.clone());
        Self { child, keyboard, output }
    }

    /// What the screen shows.
    pub fn screen(&self) -> vt100::Screen {
        let mut parser = vt100::Parser::new(ROWS, COLUMNS, 0);
        parser.process(&self.output.lock().unwrap());
        parser.screen().clone()
    }

    /// Waits until the screen shows `text`, and gives all that it shows.
    pub async fn shows(&self, text: &str) -> String {
        let shown = wait::until_or(
            || async {
                let screen = self.screen().contents();
                screen.contains(text).then_some(screen)
            },
            || format!("'{text}' on the screen:\n{}", self.screen().contents()),
        );
        shown.await
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits until the program has ended with this exit status and left the terminal as it found it: its settings, the screen that
    /// was there before, and the cursor.
    pub async fn ends_with(&self, code: i32) {
        self.shows(&format!("{RESTORED}, exit status {code}")).await;
        let screen = self.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor(), "{}", screen.contents());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A terminal that has closed needs no end. What runs in it gets a hang-up.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keep(mut from: impl Read + Send + 'static, into: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut piece) {
            into.lock().unwrap().extend_from_slice(&piece[..count]);
        }
    });
}
