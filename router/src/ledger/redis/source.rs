//! The text of the scripts: which files each is made of, and what the words in capitals stand for.
//!
//! Redis runs a whole script at each call, the definitions of its functions included; each definition costs about as much
//! as a command. So a script has only what it needs, what is rarely needed is defined inside the function that needs it,
//! keys and constants are put in as text rather than kept in variables, and the account's figures are read into an array
//! whose places have names here only.

use tidegate_admission::{
    caller::{LAST_PLACE, MICROS_PER_TOKEN, MINUTE, PER_TOKEN},
    decide::{CROWDED, LEAST_SHARE, RETRY_AFTER},
    estimate::{DECAY, FORGET_AFTER, MEAN_WEIGHT, P90_STEP, PRIOR_RELEASES, WINDOW},
    pool::{BACKEND_LEASE, KEY_MEMORY, POOL_MEMORY, PROOF_LASTS, ROUTER_LEASE},
    snapshot::{BUCKET, BUCKETS},
    time::SECOND,
};

use super::keys;

/// Distance of two priorities in the scores of the queue: more than any arrival.
const PER_RANK: u64 = 1 << 51;
/// Later than any instant, and still exact as a double.
const NEVER: u64 = 1 << 53;
/// The figures of an account, in the order in which they are packed: `S.name` in a script is its place.
const FIGURES: [&str; 31] = [
    "now",
    "arrivals",
    "slots",
    "running",
    "abandoned",
    "q0",
    "q1",
    "q2",
    "samples",
    "mean",
    "p90",
    "releases",
    "busy",
    "taken_high",
    "taken_normal",
    "attempts",
    "last_reset",
    "backend_seen",
    "backend_slots",
    "bucket",
    "admitted",
    "finished",
    "free",
    "due",
    "skew",
    "recovery",
    "routers",
    "weights",
    "turn",
    "costs",
    "cost",
];
/// The text that stands after the figures.
const REST: &str = "back";

macro_rules! files {
    ($($name:literal),+) => { concat!($(include_str!(concat!("../lua/", $name, ".lua"))),+) };
}

/// What every script begins with.
const ACCOUNT: &str = files!("state", "told");
/// Time that passes.
const CLOCK: &str = files!("clock");

/// What becomes of slots, tickets and backends.
macro_rules! machinery {
    () => {
        files!("records", "callers", "nodes", "leaving", "grants", "standing", "removal", "ended")
    };
}

/// That and what expires, for scripts most of whose calls do without: made by the calls that need it.
const MACHINERY_WITHIN: &str = concat!(
    "local function machinery()\n",
    machinery!(),
    files!("machinery"),
    "end\nlocal function expiry()\n",
    machinery!(),
    files!("expiry"),
    "return { expire_all = expire_all, make_room = make_room }\nend\n",
    "local function expire()\nexpiry().expire_all()\nend\n"
);
/// The same for scripts that use it in every call.
const MACHINERY_BESIDE: &str = concat!(machinery!(), files!("expiry"), "local expire = expire_all\n");

pub(super) fn admit() -> String {
    spelled_out(&[
        ACCOUNT,
        MACHINERY_WITHIN,
        CLOCK,
        files!("records", "callers", "entering", "leases", "view", "ask", "decide", "admit"),
    ])
}

pub(super) fn finish() -> String {
    spelled_out(&[
        ACCOUNT,
        MACHINERY_WITHIN,
        CLOCK,
        files!("callers", "leaving", "handing_over", "served", "finish"),
    ])
}

pub(super) fn hand_back() -> String {
    spelled_out(&[ACCOUNT, MACHINERY_BESIDE, CLOCK, files!("entering", "leases", "hand_back")])
}

pub(super) fn backend() -> String {
    spelled_out(&[ACCOUNT, MACHINERY_BESIDE, CLOCK, files!("opening", "backend")])
}

pub(super) fn renew() -> String {
    spelled_out(&[ACCOUNT, MACHINERY_BESIDE, CLOCK, files!("leases", "news", "roll", "renew")])
}

pub(super) fn reenter() -> String {
    spelled_out(&[
        ACCOUNT,
        MACHINERY_BESIDE,
        CLOCK,
        files!("entering", "leases", "news", "roll", "opening", "reenter"),
    ])
}

pub(super) fn look() -> String {
    // What it reads is read by the machinery's own functions.
    spelled_out(&[ACCOUNT, MACHINERY_WITHIN, CLOCK, files!("records", "nodes", "view", "look")])
}

/// Puts in place of each figure and each word in capitals what it stands for.
fn spelled_out(parts: &[&str]) -> String {
    let words = words();
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
    let mut text = String::new();
    for part in parts {
        let mut rest = *part;
        while let Some(start) = rest.find(is_of_word) {
            let end = rest[start..].find(|letter| !is_of_word(letter)).map_or(rest.len(), |end| start + end);
            let word = &rest[start..end];
            let meaning = words.iter().find(|(known, _)| known == word);
            text.push_str(&rest[..start]);
            text.push_str(meaning.map_or(word, |(_, meaning)| meaning));
            rest = &rest[end..];
        }
        text.push_str(rest);
    }
    text
}

/// The figures by their names, and all of them at once.
fn figures() -> impl Iterator<Item = (String, String)> {
    let names = FIGURES.into_iter().chain([REST]).zip(1..);
    let packed = format!("'<{}'", "d".repeat(FIGURES.len()));
    let with_rest = format!("'<{}c0'", "d".repeat(FIGURES.len()));
    let first_queue = FIGURES.iter().position(|name| *name == "q0").map_or(0, |place| place + 1);
    names.map(|(name, place)| (format!("S.{name}"), format!("S[{place}]"))).chain([
        ("FIGURES".to_owned(), packed),
        ("FIGURES_AND_REST".to_owned(), with_rest),
        ("PLACES".to_owned(), FIGURES.len().to_string()),
        ("FIRST_QUEUE".to_owned(), first_queue.to_string()),
    ])
}

/// The words in capitals.
fn words() -> Vec<(String, String)> {
    let keys =
        keys::PARTS.iter().zip(1..).map(|(part, number)| (part.to_uppercase(), format!("KEYS[{number}]")));
    let whole = [
        ("SECOND", SECOND),
        ("ROUTER_LEASE", ROUTER_LEASE),
        ("BACKEND_LEASE", BACKEND_LEASE),
        ("PROOF_LASTS", PROOF_LASTS),
        ("POOL_MEMORY", POOL_MEMORY),
        ("BUCKET", BUCKET),
        ("BUCKETS", BUCKETS),
        ("FORGET_AFTER", FORGET_AFTER),
        ("PER_RANK", PER_RANK),
        ("NEVER", NEVER),
        ("KEY_MEMORY", KEY_MEMORY),
        ("LAST_PLACE", LAST_PLACE),
    ];
    let doubles = [
        ("DECAY", DECAY),
        ("WINDOW", WINDOW),
        ("MEAN_WEIGHT", MEAN_WEIGHT),
        ("P90_STEP", P90_STEP),
        ("PRIOR_RELEASES", PRIOR_RELEASES),
        ("LEAST_SHARE", LEAST_SHARE),
        ("CROWDED", CROWDED),
        ("RETRY_AFTER_LEAST", RETRY_AFTER.0),
        ("RETRY_AFTER_MOST", RETRY_AFTER.1),
        ("MINUTE", MINUTE),
        ("PER_TOKEN", PER_TOKEN),
        ("MICROS_PER_TOKEN", MICROS_PER_TOKEN),
    ];
    // Doubles as the shortest text that reads back as the same number.
    keys.chain(figures())
        .chain(whole.map(|(word, number)| (word.to_owned(), number.to_string())))
        .chain(doubles.map(|(word, number)| (word.to_owned(), number.to_string())))
        .chain([("CHANNEL".to_owned(), "ARGV[2]".to_owned())])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_in_capitals_has_a_meaning() {
        for script in [admit(), finish(), hand_back(), backend(), renew(), reenter(), look()] {
            let code = script.lines().filter(|line| !line.trim_start().starts_with("--"));
            for word in code
                .flat_map(|line| line.split(|letter: char| !letter.is_ascii_alphabetic() && letter != '_'))
            {
                let is_ours =
                    word.len() > 1 && word.contains('_') && !word.contains(|c: char| c.is_lowercase());
                assert!(!is_ours, "{word} means nothing");
            }
            assert!(!script.contains(" S."), "a figure without a place");
        }
    }

    #[test]
    fn only_whole_words_are_replaced() {
        assert_eq!(
            spelled_out(&["QUEUE QUEUES 'q' S.queue SECOND..S.now"]),
            "KEYS[2] QUEUES 'q' S.queue SECOND..S.now"
        );
        assert_eq!(spelled_out(&["SECOND .. S.now, S.nowhere"]), "1000000 .. S[1], S.nowhere");
    }
}
