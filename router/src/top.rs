//! `tidegate-router top`: the live feed of any router, in a terminal.
//!
//! 1. [`feed`]: reads `GET /live`, and again when the router went away.
//! 2. [`state`]: what has been heard so far, and what the operator has chosen.
//! 3. [`lost`]: backends that were there and are gone. [`sentence`]: how a pool stands, in words.
//! 4. [`view`]: the picture of it, for a screen of any size; [`palette`] and [`units`] are how things look and read.
//! 5. [`screen`]: the terminal and its keys. [`once`]: the same as text, for scripts.

pub mod feed;
pub mod lost;
pub mod once;
pub mod palette;
pub mod screen;
pub mod sentence;
pub mod state;
pub mod units;
pub mod view;

use anyhow::Context;
use clap::Args;
use palette::Palette;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use tidegate_serve::tls::{self, ClientFiles};
use tidegate_serve::token;

/// What `tidegate-router top` is started with.
#[derive(Debug, Args)]
pub struct TopFlags {
    /// Address of a router's admin port.
    #[arg(long, env = "TIDEGATE_ADMIN", value_name = "URL", default_value = "http://127.0.0.1:8001")]
    pub admin: String,
    /// File with the token that the router wants (its --admin-token-file): the first line is shown.
    #[arg(long, env = "TIDEGATE_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Authorities of a router at https://, in PEM [default: the system's]
    #[arg(long, env = "TIDEGATE_ADMIN_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print one snapshot as plain text and end; also what happens where standard output is no terminal.
    #[arg(long)]
    pub once: bool,
}

/// Shows the feed until the operator has seen enough.
///
/// # Errors
/// If the address is none, the terminal cannot be used, or, with `--once`, the router does not answer.
pub async fn run(flags: &TopFlags) -> anyhow::Result<()> {
    let address = address(flags)?;
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !flags.once && std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return screen::show(address, Palette::new(!no_color)).await;
    }
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let text = once::text(&address, columns).await?;
    // A reader that has closed its end, such as `head`, has seen enough.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// The router, how it is known, and what it is shown.
fn address(flags: &TopFlags) -> anyhow::Result<feed::Address> {
    let address = feed::Address::parse(&flags.admin).context("--admin (or TIDEGATE_ADMIN)")?;
    let tls =
        tls::open_client(ClientFiles { ca: flags.ca_file.clone(), identity: None }).context("--ca-file")?;
    let tokens = flags.token_file.as_deref().map(token::open_shown).transpose().context("--token-file")?;
    Ok(address.with(Some(tls), tokens))
}
