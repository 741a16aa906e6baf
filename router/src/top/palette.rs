//! How things look. No meaning hangs on a colour alone: glyphs, letters and words carry it too.

use ratatui::style::{Color, Modifier, Style};
use tidegate_admission::Priority;

/// The styles of the view, with or without colours. Only the terminal's own sixteen are used, so that they fit its background.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    colour: bool,
}

impl Palette {
    /// With colours, or (`NO_COLOR`) with bold, dim and reversed only.
    pub fn new(colour: bool) -> Self {
        Self { colour }
    }

    fn colour(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    /// What is as it should be.
    pub fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// What one should look at.
    pub fn warning(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// What is wrong.
    pub fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What nobody may overlook.
    pub fn alarm(self) -> Style {
        self.bad().add_modifier(Modifier::REVERSED)
    }

    /// What stands behind the rest.
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// A name, or a number that matters.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The chosen one of several.
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// What belongs to a priority.
    pub fn priority(self, priority: Priority) -> Style {
        match priority {
            Priority::High => self.colour(Color::Magenta),
            Priority::Normal => self.colour(Color::Cyan),
            Priority::Low => self.colour(Color::Blue),
        }
    }

    /// The same as a colour, for what is drawn in dots.
    pub fn dots(self, priority: Priority) -> Color {
        self.priority(priority).fg.unwrap_or(Color::Reset)
    }
}
