//! `docs/flags.md`: all flags of both binaries as tables, from clap's own definition of them.

use clap::{Arg, Command};
use std::fmt::Write;

const HEAD: &str = "\
# Flags

<!-- Generated from the flags' own definition by tests/reference; do not edit. -->

Each flag can be written with hyphens or underscores, and given as the variable beside it. All values are checked at the start: a process
names every bad one with what it accepts, and does not run. A router that is not [embedded](quickstart.md) accepts the model's flags
and warns that they do nothing there.
";

/// The whole page.
pub(crate) fn text(commands: &[Command]) -> String {
    let mut page = HEAD.to_owned();
    for command in commands {
        section(&mut page, command, 2);
        for inner in command.get_subcommands() {
            section(&mut page, inner, 3);
        }
    }
    page
}

/// One program, or one of its subcommands, with a table for each group of flags.
fn section(page: &mut String, command: &Command, depth: usize) {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(page, "\n{} {}\n\n{}", "#".repeat(depth), command.get_name(), sentence(&about));
    let mut headings: Vec<Option<&str>> = Vec::new();
    for arg in shown(command) {
        if !headings.contains(&arg.get_help_heading()) {
            headings.push(arg.get_help_heading());
        }
    }
    for heading in headings {
        table(page, heading, shown(command).filter(|arg| arg.get_help_heading() == heading));
    }
}

fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    let own = |arg: &&Arg| arg.get_long().is_some_and(|name| !["help", "version"].contains(&name));
    command.get_arguments().filter(|arg| !arg.is_hide_set()).filter(own)
}

fn table<'a>(page: &mut String, heading: Option<&str>, args: impl Iterator<Item = &'a Arg>) {
    if let Some(heading) = heading {
        let _ = writeln!(page, "\n**{heading}**");
    }
    let _ = writeln!(page, "\n| flag | variable | default | meaning |\n|---|---|---|---|");
    for arg in args {
        let names = arg.get_long().into_iter().chain(arg.get_visible_aliases().unwrap_or_default());
        let names: Vec<String> = names.map(|name| format!("`--{name}`")).collect();
        let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let defaults = arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy()));
        let (help, unset) = help(arg);
        let default = defaults.chain(unset).collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| {} | {variable} | {default} | {} |", names.join(", "), cell(&help));
    }
}

/// What a flag means, and what stands in its help as the default that clap does not know.
fn help(arg: &Arg) -> (String, Option<String>) {
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    match help.split_once(" [default: ") {
        Some((help, default)) => (sentence(help), Some(cell(default.trim_end_matches(']')))),
        None => (sentence(&help), None),
    }
}

/// With a full stop, on one line.
fn sentence(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.ends_with('.') || text.is_empty() { text } else { format!("{text}.") }
}

/// As a table's cell can hold it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
