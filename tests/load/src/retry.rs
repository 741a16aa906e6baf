//! When an SDK tries again: what the OpenAI SDKs for Python and Node do (`_base_client.py`, `client.ts`, 2024 and later).

use http::{HeaderMap, StatusCode, header};
use std::time::Duration;
use tidegate_sim::chance::Chance;
use tidegate_wire::header::{RETRY_AFTER_MS, SHOULD_RETRY};

/// Longest time that an SDK lets a server ask for; beyond it, it backs off on its own.
const LONGEST_ASKED: Duration = Duration::from_secs(60);
const FIRST_BACK_OFF: f64 = 0.5;
const LONGEST_BACK_OFF: f64 = 8.0;
/// Part of the back-off that chance may take away.
const BACK_OFF_JITTER: f64 = 0.25;

/// How a person's program tries again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// Never.
    None,
    /// As the OpenAI SDKs do by default: twice.
    Sdk,
}

impl Retries {
    /// Retries at most.
    pub fn most(self) -> u32 {
        match self {
            Self::None => 0,
            Self::Sdk => 2,
        }
    }
}

/// How an attempt went, as far as a retry depends on it.
#[derive(Debug)]
pub enum Response<'a> {
    /// There is an answer with a status.
    Status(StatusCode, &'a HeaderMap),
    /// The connection broke, or nothing came in time.
    Nothing,
}

/// Time after which attempt `made` (0 for the first) is followed by another one, if it is. A success is not.
pub fn next_try(
    retries: Retries,
    made: u32,
    response: &Response<'_>,
    chance: &mut Chance,
) -> Option<Duration> {
    if made >= retries.most() {
        return None;
    }
    let Response::Status(status, headers) = response else {
        return Some(back_off(made, chance));
    };
    let told = headers.get(SHOULD_RETRY).map(http::HeaderValue::as_bytes);
    let again = match told {
        Some(b"true") => true,
        Some(b"false") => false,
        _ => matches!(status.as_u16(), 408 | 409 | 429 | 500..),
    };
    again.then(|| asked(headers).unwrap_or_else(|| back_off(made, chance)))
}

/// What the server asked for, where an SDK obeys it.
fn asked(headers: &HeaderMap) -> Option<Duration> {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
    let seconds = number(RETRY_AFTER_MS).map(|ms| ms / 1000.0).or_else(|| number(header::RETRY_AFTER))?;
    let asked = Duration::try_from_secs_f64(seconds).ok()?;
    (!asked.is_zero() && asked <= LONGEST_ASKED).then_some(asked)
}

fn back_off(made: u32, chance: &mut Chance) -> Duration {
    let seconds = (FIRST_BACK_OFF * f64::from(1_u32 << made.min(8))).min(LONGEST_BACK_OFF);
    Duration::from_secs_f64(seconds * (1.0 - BACK_OFF_JITTER * chance.unit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(made: u32, status: u16, headers: &[(&'static str, &'static str)]) -> Option<Duration> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
            })
            .collect();
        let response = Response::Status(StatusCode::from_u16(status).unwrap(), &headers);
        next_try(Retries::Sdk, made, &response, &mut Chance::new(1, 0))
    }

    #[test]
    fn the_milliseconds_win_over_the_seconds_and_an_hour_is_not_obeyed() {
        let ms = Duration::from_millis;
        assert_eq!(after(0, 429, &[("retry-after-ms", "1234"), ("retry-after", "9")]), Some(ms(1234)));
        assert_eq!(after(1, 503, &[("retry-after", "9")]), Some(ms(9000)));
        let own = after(0, 429, &[("retry-after", "3600")]).unwrap();
        assert!(own >= ms(375) && own <= ms(500), "{own:?}");
    }

    #[test]
    fn what_is_tried_again_and_what_is_not() {
        for status in [408, 409, 429, 500, 502, 503, 504] {
            assert!(after(0, status, &[]).is_some(), "{status}");
        }
        for status in [200, 400, 401, 404, 413, 415] {
            assert_eq!(after(0, status, &[]), None, "{status}");
        }
        assert_eq!(after(0, 504, &[("x-should-retry", "false")]), None);
        assert_eq!(after(2, 429, &[("retry-after-ms", "10")]), None, "two retries, not three");
        let chance = &mut Chance::new(1, 0);
        assert_eq!(next_try(Retries::None, 0, &Response::Nothing, chance), None);
        let second = next_try(Retries::Sdk, 1, &Response::Nothing, chance).unwrap();
        assert!(second >= Duration::from_millis(750) && second <= Duration::from_secs(1), "{second:?}");
    }
}
