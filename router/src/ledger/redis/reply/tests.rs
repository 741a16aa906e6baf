//! Answers that no script gives are errors: nothing is let in by one, and no number of one goes on.

use super::*;

fn text(parts: &[&[u8]]) -> Value {
    Value::BulkString(parts.concat())
}

fn packed(doubles: &[f64]) -> Vec<u8> {
    doubles.iter().flat_map(|double| double.to_le_bytes()).collect()
}

fn grant(words: &[u8], since: f64) -> Vec<u8> {
    [b"grant\0", words, &packed(&[1.0, 7.0, 1e6, 9e6, since])].concat()
}

fn refused(retry_after: f64) -> Value {
    text(&[b"rejected\0queue_full\0", &packed(&[retry_after, 0.0])])
}

fn account(change: impl Fn(&mut [f64; 19])) -> Value {
    let mut figures = [1.0; 19];
    change(&mut figures);
    text(&[b"view\0", &packed(&figures)])
}

#[test]
fn a_grant_names_whom_and_where() {
    let granted = pushed(&grant(b"r-1\0r\0b\0http://b\0\0", 2e6)).unwrap();
    assert!(
        matches!(granted, Action::Grant(granted) if granted.url == "http://b" && granted.epoch.is_empty())
    );
    for words in ["\0r\0b\0u\0e\0", "r-1\0\0b\0u\0e\0", "r-1\0r\0\0u\0e\0"] {
        let bytes = grant(words.as_bytes(), 2e6);
        assert!(pushed(&bytes).is_err() && answer(Value::BulkString(bytes)).is_err(), "{words:?}");
    }
    assert!(pushed(b"drop\0\0r\0deadline").is_err() && pushed(b"drop\0r-1\0\0deadline").is_err());
}

#[test]
fn numbers_that_no_script_writes_are_refused() {
    for since in [f64::NAN, f64::INFINITY, -1.0, 0.5, 1e300, 2.0 * MOST as f64] {
        assert!(pushed(&grant(b"r-1\0r\0b\0http://b\0e\0", since)).is_err(), "{since}");
    }
    assert!(answer(refused(60.0)).is_ok());
    for retry_after in [f64::NAN, f64::NEG_INFINITY, -0.5, 61.0] {
        assert!(answer(refused(retry_after)).is_err(), "{retry_after}");
    }
    assert!(view(account(|_| {})).is_ok());
    assert!(view(account(|figures| figures[9] = f64::NAN)).is_err(), "a mean");
    let most = f64::from(u32::MAX);
    assert!(view(account(|figures| figures[5] = most - 2.0)).is_ok());
    assert!(view(account(|figures| figures[5] = most)).is_err(), "more tickets than can be counted");
}

#[test]
fn what_was_put_right_adds_up_to_no_less() {
    let many = || text(&[b"mended\0slots\0", u32::MAX.to_string().as_bytes()]);
    let answer = answer(Value::Array(vec![text(&[b"done"]), many(), many()])).unwrap();
    assert_eq!(answer.mended.slots, u32::MAX);
}

#[test]
fn an_error_is_short_however_long_the_answer() {
    let long = Value::Array(vec![Value::Array(vec![Value::Int(7); 10_000])]);
    for error in
        [answer(long.clone()).unwrap_err(), view(long).unwrap_err(), pushed(&[b'x'; 100_000]).unwrap_err()]
    {
        assert!(matches!(&error, LedgerError::Protocol(text) if text.len() <= 4 * REPEATED), "{error}");
    }
}
