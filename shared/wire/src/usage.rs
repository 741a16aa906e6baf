//! What a streamed answer has cost, told behind its last byte: a trailer field of a backend's answer.
//!
//! Only few clients ask for the usage of a stream (`stream_options.include_usage`), and what they did not ask for must not
//! stand in their stream; a router wants to know in any case. Backends send the trailer where the request says `te: trailers`
//! (RFC 9110, section 6.5.1).

use crate::openai::Usage;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The trailer's name.
pub const USAGE: HeaderName = HeaderName::from_static("x-tidegate-usage");

/// True where a request's sender takes trailers.
pub fn takes_trailers(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    listed.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}

/// The trailer of an answer.
pub fn trailer(usage: &Usage) -> HeaderMap {
    let cached = usage.prompt_tokens_details.unwrap_or_default().cached_tokens;
    let text = format!("{} {} {cached}", usage.prompt_tokens, usage.completion_tokens);
    HeaderValue::try_from(text).into_iter().map(|value| (USAGE, value)).collect()
}

/// What a trailer says; `None` where it is none of ours.
pub fn read(trailers: &HeaderMap) -> Option<Usage> {
    let mut numbers = trailers.get(USAGE)?.to_str().ok()?.split(' ').map(str::parse::<u64>);
    let (Some(Ok(prompt)), Some(Ok(completion)), Some(Ok(cached)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        return None;
    };
    Some(Usage::new(prompt, completion).with_cached(cached))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_is_read_as_it_is_written() {
        let usage = Usage::new(12, 5).with_cached(8);
        assert_eq!(read(&trailer(&usage)), Some(usage));
        for odd in ["", "1 2", "1 2 3 4", "a b c", "-1 2 3"] {
            let trailers = [(USAGE, HeaderValue::from_static(odd))].into_iter().collect();
            assert_eq!(read(&trailers), None, "{odd}");
        }
    }

    #[test]
    fn te_is_a_list() {
        let takes = |te: &'static str| {
            takes_trailers(&[(header::TE, HeaderValue::from_static(te))].into_iter().collect())
        };
        assert!(takes("trailers") && takes("gzip;q=0.5, Trailers"));
        assert!(!takes("gzip") && !takes_trailers(&HeaderMap::new()));
    }
}
