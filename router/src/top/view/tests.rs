//! The picture at every size, and that it says what it has to say.

use super::super::feed::{Event, FeedError, Heard};
use super::super::palette::Palette;
use super::super::state::State;
use super::{draw, scene};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use std::borrow::Cow;

fn terminal(state: &State, width: u16, height: u16, colour: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(state, Palette::new(colour), frame.area(), frame.buffer_mut())).unwrap();
    terminal
}

fn text(state: &State, width: u16, height: u16) -> String {
    let terminal = terminal(state, width, height, false);
    let buffer = terminal.backend().buffer();
    let rows = buffer.content().chunks(width.into());
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>() + "\n").collect()
}

fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "'{word}' is not in\n{text}");
    }
}

#[test]
fn at_eighty_by_twenty_four_nothing_that_matters_is_missing() {
    let text = text(&scene::state(scene::now()), 80, 24);
    println!("{text}");
    holds(
        &text,
        &[
            "Refusing 40 % of normal, all low requests",
            "Queue: 31 of 50, oldest 9.0 s █",
            "[llama-3-70b-instruct!]",
            "×××××××× ■■■■×××× ■■■╌╌╌╌╌ ■■■■■■▨▨ ■■■■■■■■",
            "Lost: 10.0.0.3:8100 since 3.1 s",
            "high    11",
            "N 40 %",
            "accepted /s",
            "refused",
            "wait, p90",
            "tokens /s",
            "Routers 2",
            "(this)",
            "● live",
            "q quit",
        ],
    );
}

/// An event as a router with the demo model sent it in the middle of a burst.
#[test]
fn a_real_event_becomes_a_picture() {
    let event = Event::parse(include_bytes!("event.json"), true).unwrap();
    let mut state = State::new("http://127.0.0.1:8001");
    state.hear(Heard::Event(Box::new(event)));
    let text = text(&state, 80, 24);
    println!("{text}");
    let sentence = "tidegate-demo: Refusing 46 % of normal, all low requests: 3 of 3 slots busy, 37";
    holds(&text, &[sentence, "embedded ■■■ 3/3", "Queue: 37 of 50", "H 0 %  N 46 %  L 100 %", "11 capacity"]);
    holds(&text, &["normal  33", "low      4", "drains 8.3/s", "Routers 1  r0c0280935226 (this)"]);
}

#[test]
fn a_wide_screen_has_a_row_for_each_reason() {
    let text = text(&scene::state(scene::now()), 140, 45);
    println!("{text}");
    holds(&text, &["refused capacity", "refused queue_full", "first token, p90", "waiting, fleet"]);
}

#[test]
fn forty_columns_can_still_be_read() {
    let short = text(&scene::state(scene::now()), 40, 24);
    println!("{short}");
    holds(&short, &["Refusing 40 %", "Slots", "Queue", "3/8 draining", "4/8 silent 3.1 s", "● live"]);
    holds(&text(&scene::state(scene::now()), 40, 40), &["accepted /s"]);
}

#[test]
fn degraded_gone_and_differing_flags_cannot_be_overlooked() {
    let mut now = scene::now();
    now.ledger = Cow::Borrowed("degraded");
    now.flags_differ = true;
    now.routers[0].flags = "max_queue_size=80 wait_share=0.15".to_owned();
    let mut state = scene::state(now);
    state.hear(Heard::Lost(FeedError::default()));
    let text = text(&state, 80, 24);
    println!("{text}");
    holds(
        &text,
        &["DEGRADED: Redis is out of reach", "GONE: http://127.0.0.1:8001", "trying again", "× gone"],
    );
    holds(&text, &["FLAGS DIFFER between routers: max_queue_size 50 | 80"]);
    let terminal = terminal(&state, 80, 24, false);
    let first = terminal.backend().buffer().cell((0, 1)).unwrap();
    assert!(first.modifier.contains(Modifier::REVERSED), "an alarm stands out without colour too");
}

#[test]
fn without_colour_there_is_none() {
    let state = scene::state(scene::now());
    let colours = |colour| {
        let terminal = terminal(&state, 100, 30, colour);
        terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset).count()
    };
    assert_eq!(colours(false), 0);
    assert!(colours(true) > 100);
}

#[test]
fn five_hundred_backends_and_five_thousand_tickets_fit_and_the_bad_ones_come_first() {
    let mut now = scene::now();
    now.pools[0] = scene::busy_pool(500, 5000);
    let text = text(&scene::state(now), 80, 24);
    println!("{text}");
    holds(&text, &["backends more", "××╌▨", "+1"]);
    let wide = super::tests::text(&scene::state(big()), 200, 60);
    println!("{wide}");
    assert!(!wide.contains("backends more"));
}

fn big() -> crate::live::Now {
    let mut now = scene::now();
    now.pools[0] = scene::busy_pool(500, 5000);
    now
}

#[test]
fn before_the_first_word_it_says_so() {
    holds(&text(&State::new("http://127.0.0.1:8001"), 80, 24), &["connecting", "http://127.0.0.1:8001"]);
    let mut now = scene::now();
    now.pools.clear();
    holds(&text(&scene::state(now), 80, 24), &["No model is served"]);
}

proptest! {
    /// Whatever the size of the terminal and whatever the fleet, there is a picture.
    #[test]
    fn no_size_and_no_fleet_breaks_it(
        width in 1u16..160, height in 1u16..60, backends in 0usize..40, tickets in 0usize..200, seconds in 0u8..3,
    ) {
        let mut now = scene::now();
        now.pools[0] = scene::busy_pool(backends, tickets);
        let mut state = scene::state(now);
        (0..seconds).for_each(|_| state.window = state.window.next());
        text(&state, width, height);
    }
}
