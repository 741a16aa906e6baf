//! `strftime_now`: some templates write the date into the system message.

use std::time::{SystemTime, UNIX_EPOCH};

use minijinja::{Error, ErrorKind};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Now, in UTC, as Python's `datetime.strftime` writes it.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    strftime(now(), format)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the date is text for the model to read; nothing is decided by it"
)]
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A moment in seconds since 1970. The directives that templates use; others are refused by name.
fn strftime(seconds: u64, format: &str) -> Result<String, Error> {
    let mut out = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character == '%' {
            out.push_str(&directive(seconds, characters.next())?);
        } else {
            out.push(character);
        }
    }
    Ok(out)
}

/// What follows a percent sign, filled in.
fn directive(seconds: u64, letter: Option<char>) -> Result<String, Error> {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let month_name = MONTHS[(month - 1) as usize];
    let day_name = DAYS[((days + 4) % 7) as usize];
    Ok(match letter {
        Some('Y') => year.to_string(),
        Some('y') => format!("{:02}", year % 100),
        Some('m') => format!("{month:02}"),
        Some('d') => format!("{day:02}"),
        Some('B') => month_name.to_owned(),
        Some('b') => month_name[..3].to_owned(),
        Some('A') => day_name.to_owned(),
        Some('a') => day_name[..3].to_owned(),
        Some('H') => format!("{:02}", second / 3_600),
        Some('M') => format!("{:02}", second / 60 % 60),
        Some('S') => format!("{:02}", second % 60),
        Some('%') => "%".to_owned(),
        other => {
            let name = other.map_or_else(String::new, String::from);
            let problem = format!("strftime_now does not know %{name}");
            return Err(Error::new(ErrorKind::InvalidOperation, problem));
        }
    })
}

/// Year, month and day of a number of days after 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date
/// algorithms", `civil_from_days`, for days that are not negative).
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::strftime;

    #[test]
    fn writes_dates_as_python_does() {
        assert_eq!(strftime(0, "%a %d %b %Y").unwrap(), "Thu 01 Jan 1970");
        assert_eq!(strftime(951_782_400, "%A, %d. %B %Y").unwrap(), "Tuesday, 29. February 2000");
        assert_eq!(strftime(1_795_474_799, "%y-%m-%d %H:%M:%S 100%%").unwrap(), "26-11-23 22:59:59 100%");
        assert!(strftime(0, "%Q").is_err());
    }
}
