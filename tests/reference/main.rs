//! What is generated from the flags' own definition, `docs/flags.md`, man pages and shell completions, is in the repository as it would be
//! generated now. After a change to flags: TIDEGATE_WRITE=1 cargo test --release -p tidegate-tests --test reference

#![expect(clippy::unwrap_used, reason = "a page that cannot be read should stop the test at once, loudly")]

mod page;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate};
use std::path::Path;
use tidegate_backend::Flags as BackendFlags;
use tidegate_router::flags::Flags as RouterFlags;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn router() -> Command {
    RouterFlags::command().version(env!("CARGO_PKG_VERSION"))
}

fn backend() -> Command {
    BackendFlags::command().version(env!("CARGO_PKG_VERSION"))
}

/// Holds the file against its text, or writes it where TIDEGATE_WRITE asks for that.
fn fresh(name: &str, text: &[u8]) {
    let path = Path::new(ROOT).join(name);
    if std::env::var_os("TIDEGATE_WRITE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let found = std::fs::read(&path).unwrap_or_default();
    assert!(
        found == text,
        "{name} is not what the flags say. Run: TIDEGATE_WRITE=1 cargo test --release -p tidegate-tests --test reference"
    );
}

#[test]
fn the_page_of_flags_is_fresh() {
    fresh("docs/flags.md", page::text(&[router(), backend()]).as_bytes());
}

#[test]
fn the_man_pages_are_fresh() {
    for command in [router(), backend()] {
        let name = format!("deploy/man/{}.1", command.get_name());
        let mut page = Vec::new();
        clap_mangen::Man::new(command).date("").render(&mut page).unwrap();
        fresh(&name, &page);
    }
}

#[test]
fn the_completions_are_fresh() {
    for mut command in [router(), backend()] {
        let program = command.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            generate(shell, &mut command, &program, &mut script);
            fresh(&format!("deploy/completions/{program}.{shell}"), &script);
        }
    }
}
