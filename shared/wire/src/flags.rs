//! Command-line flags as both binaries read them: either spelling, and all bad values reported at once.
//!
//! The binaries let clap collect values as text and check them here, so that one start names every bad flag with what
//! it accepts, wherever the value came from: `--max-queue-size` on the command line or `TIDEGATE_MAX_QUEUE_SIZE` in the
//! environment.

use std::{ffi::OsString, fmt, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

/// Rewrites `--max_queue_size` to `--max-queue-size`, with or without `=value`; values, short flags and whatever follows
/// `--` stay as they are.
pub fn normalise_flags(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut only_values = false;
    args.into_iter()
        .map(|arg| {
            only_values |= arg == "--";
            if only_values { arg } else { normalise(arg) }
        })
        .collect()
}

fn normalise(arg: OsString) -> OsString {
    let Some(text) = arg.to_str().filter(|text| text.starts_with("--")) else { return arg };
    match text.split_once('=') {
        Some((name, value)) => format!("{}={value}", name.replace('_', "-")).into(),
        None => text.replace('_', "-").into(),
    }
}

/// The environment variable that stands for a flag: `max-queue-size` has `TIDEGATE_MAX_QUEUE_SIZE`.
pub fn variable(flag: &str) -> String {
    format!("TIDEGATE_{}", flag.replace('-', "_").to_uppercase())
}

/// Reads the text of flags and gathers what is wrong with them. A flag is named without its leading hyphens.
///
/// A reader answers with the range's start where the value is bad, so that checking goes on; [`FlagChecks::finish`] then
/// refuses.
#[derive(Debug, Default)]
pub struct FlagChecks {
    bad: Vec<String>,
}

impl FlagChecks {
    /// Nothing wrong so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// A whole number within `accepted`.
    pub fn whole<T>(&mut self, flag: &str, text: &str, accepted: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Copy + fmt::Display,
    {
        self.within(flag, text, "a whole number", accepted)
    }

    /// A number within `accepted`, such as a share.
    pub fn decimal(&mut self, flag: &str, text: &str, accepted: RangeInclusive<f64>) -> f64 {
        self.within(flag, text, "a number", accepted)
    }

    /// A time in seconds within `accepted`; fractions count.
    pub fn seconds(&mut self, flag: &str, text: &str, accepted: RangeInclusive<f64>) -> Duration {
        Duration::from_secs_f64(self.within(flag, text, "a number of seconds", accepted).max(0.0))
    }

    /// Notes that a flag's value cannot be used; `accepted` says what could, such as `a folder`.
    pub fn refuse(&mut self, flag: &str, text: &str, accepted: impl fmt::Display) {
        self.bad
            .push(format!("--{flag} (or {}): '{text}' is not accepted; expected {accepted}", variable(flag)));
    }

    /// A certificate's file and its key's, which are nothing without each other; `flag` names the first, for the error's sake.
    pub fn identity(
        &mut self,
        flag: &str,
        cert: Option<&str>,
        key: Option<&str>,
    ) -> Option<(PathBuf, PathBuf)> {
        match (file(cert), file(key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (cert, key) => {
                let alone = cert.or(key).unwrap_or_default().display().to_string();
                self.refuse(flag, &alone, "a certificate's file and, with the flag beside it, its key's");
                None
            }
        }
    }

    /// Everything that was wrong, at once.
    pub fn finish(self) -> Result<(), BadFlags> {
        if self.bad.is_empty() { Ok(()) } else { Err(BadFlags { bad: self.bad }) }
    }

    fn within<T>(&mut self, flag: &str, text: &str, kind: &str, accepted: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Copy + fmt::Display,
    {
        match text.trim().parse::<T>() {
            Ok(value) if accepted.contains(&value) => value,
            _ => {
                let (start, end) = (accepted.start(), accepted.end());
                self.refuse(flag, text, format_args!("{kind} from {start} to {end}"));
                *start
            }
        }
    }
}

/// The file that a flag names. An empty variable counts as left out: compose files and charts write them.
pub fn file(text: Option<&str>) -> Option<PathBuf> {
    text.filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// All flags that have values outside what they accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .bad.join("\n"))]
pub struct BadFlags {
    /// One line for each.
    pub bad: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(args: &[&str]) -> Vec<String> {
        let args = args.iter().map(OsString::from);
        normalise_flags(args).into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn both_spellings_are_one_flag_and_values_stay() {
        let args = [
            "x_y",
            "--max_queue_size",
            "100",
            "--model_name=my_model",
            "--model",
            "a_b",
            "-p_q",
            "--",
            "--a_b",
        ];
        let expected = [
            "x_y",
            "--max-queue-size",
            "100",
            "--model-name=my_model",
            "--model",
            "a_b",
            "-p_q",
            "--",
            "--a_b",
        ];
        assert_eq!(normalised(&args), expected);
    }

    #[test]
    fn all_bad_flags_are_named_at_once_with_what_they_accept() {
        let mut checks = FlagChecks::new();
        assert_eq!(checks.whole("port", "8000", 0..=u16::MAX), 8000);
        checks.whole("port", "tcp://10.0.0.1:80", 0..=u16::MAX);
        checks.whole("max-queue-size", "-1", 0..=100u32);
        checks.decimal("wait-share", "NaN", 0.0..=1.0);
        checks.seconds("request-timeout", "1e300", 0.1..=86_400.0);
        let error = checks.finish().expect_err("four are bad");
        assert_eq!(error.bad.len(), 4);
        assert!(
            error.bad[0].contains("TIDEGATE_PORT") && error.bad[0].contains("from 0 to 65535"),
            "{error}"
        );
        assert!(
            error.bad[1].contains("--max-queue-size") && error.bad[1].contains("from 0 to 100"),
            "{error}"
        );
        assert!(error.bad[3].contains("from 0.1 to 86400"), "{error}");
    }

    #[test]
    fn good_values_pass() {
        let mut checks = FlagChecks::new();
        assert_eq!(checks.seconds("request-timeout", "0.5", 0.1..=10.0), Duration::from_millis(500));
        assert_eq!(checks.decimal("wait-share", "1", 0.0..=1.0).to_bits(), 1.0f64.to_bits());
        assert_eq!(checks.finish(), Ok(()));
    }
}
