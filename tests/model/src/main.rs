//! Explores a larger world than the tests do, and says how many states it visited.
//!
//! `cargo run --release -p tidegate-model -- [FAULTS [LEAVES [THREADS]]]`: how much may go wrong on one path, how many
//! clients may leave on it, and on how many cores to look; 2, 0 and 1 where nothing is said.

use std::{
    io::{Write, stdout},
    process::ExitCode,
};

use tidegate_model::{
    Setup,
    explore::{Order, explore},
};

fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<u8>().ok());
    let faults = numbers.next().unwrap_or(2);
    let leaves = numbers.next().unwrap_or(0);
    let threads = usize::from(numbers.next().unwrap_or(1));
    let setup = Setup { leaves, ..Setup::fleet(faults) };
    let mut out = stdout();
    drop(writeln!(out, "{setup:#?}"));
    let explored = explore(setup, Order::Depth(threads), &mut out);
    drop(writeln!(out, "{explored:#?}"));
    if explored.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
