//! The terminal: takes it, draws whenever something is heard, obeys the keys, and leaves it as it was.

use super::feed::{Address, listen};
use super::palette::Palette;
use super::state::State;
use super::view;
use anyhow::Context;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long the thread that reads keys waits before it looks whether anybody still wants them.
const KEY_PATIENCE: Duration = Duration::from_millis(200);
/// Keys and events that may wait to be drawn.
const MOST_WAITING: usize = 16;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Quit,
    Pool(isize),
    Window,
    /// The size has changed: draw again.
    Redraw,
}

/// Gives the terminal back, however the view ends.
struct Lent;

impl Drop for Lent {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the feed at `address` until a key or a signal ends it.
///
/// # Errors
/// If the terminal cannot be used.
pub async fn show(address: Address, palette: Palette) -> anyhow::Result<()> {
    let ended = tidegate_serve::signal::shutdown_token()?;
    // Made first, so that it is dropped last: the terminal shows the cursor again before it is given back.
    let _lent = Lent;
    let mut terminal = ratatui::try_init().context("the terminal cannot be used")?;
    let mut state = State::new(address.base());
    let (heard, mut hearing) = mpsc::channel(MOST_WAITING);
    let listening = tokio::spawn(listen(address, heard));
    let mut wishes = read_keys();
    loop {
        draw(&mut terminal, &state, palette)?;
        tokio::select! {
            () = ended.cancelled() => break,
            wish = wishes.recv() => if !obey(wish, &mut state) { break },
            Some(news) = hearing.recv() => state.hear(news),
        }
    }
    listening.abort();
    Ok(())
}

fn draw(terminal: &mut DefaultTerminal, state: &State, palette: Palette) -> std::io::Result<()> {
    terminal.draw(|frame| view::draw(state, palette, frame.area(), frame.buffer_mut())).map(drop)
}

/// Does what a key asks for; false where that is to end, or there will be no more keys.
fn obey(wish: Option<Wish>, state: &mut State) -> bool {
    match wish {
        None | Some(Wish::Quit) => return false,
        Some(Wish::Pool(step)) => state.choose(step),
        Some(Wish::Window) => state.window = state.window.next(),
        Some(Wish::Redraw) => {}
    }
    true
}

/// Reads the keys on a thread of their own, since a terminal is read by blocking. The thread ends soon after its receiver.
fn read_keys() -> mpsc::Receiver<Wish> {
    let (to, wishes) = mpsc::channel(MOST_WAITING);
    std::thread::spawn(move || {
        while !to.is_closed() {
            let read = match event::poll(KEY_PATIENCE) {
                Ok(false) => continue,
                Ok(true) => event::read(),
                Err(error) => Err(error),
            };
            // A terminal that cannot be read any more has gone.
            let Ok(event) = read else { return };
            if let Some(wish) = wish(&event)
                && to.blocking_send(wish).is_err()
            {
                return;
            }
        }
    });
    wishes
}

fn wish(event: &Event) -> Option<Wish> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => key_wish(key),
        Event::Resize(..) => Some(Wish::Redraw),
        _ => None,
    }
}

fn key_wish(key: &KeyEvent) -> Option<Wish> {
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::Quit),
        KeyCode::Char('q' | 'Q') | KeyCode::Esc => Some(Wish::Quit),
        KeyCode::Tab | KeyCode::Right | KeyCode::Down => Some(Wish::Pool(1)),
        KeyCode::BackTab | KeyCode::Left | KeyCode::Up => Some(Wish::Pool(-1)),
        KeyCode::Char('w') => Some(Wish::Window),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let key = |code| wish(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        for code in [KeyCode::Char('q'), KeyCode::Esc] {
            assert_eq!(key(code), Some(Wish::Quit));
        }
        assert_eq!((key(KeyCode::Tab), key(KeyCode::Left)), (Some(Wish::Pool(1)), Some(Wish::Pool(-1))));
        assert_eq!((key(KeyCode::Char('w')), key(KeyCode::Char('c'))), (Some(Wish::Window), None));
        let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(wish(&Event::Key(ctrl_c)), Some(Wish::Quit));
        assert_eq!(wish(&Event::Resize(80, 24)), Some(Wish::Redraw));
    }
}
