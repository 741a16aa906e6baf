//! The name of the model in a request's body: replaced where the backend knows it by another one, byte for byte otherwise.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The one member that is looked for.
#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    model: &'a RawValue,
}

/// `body` with `model` as its model's name. A body without a model stays as it is.
pub(super) fn renamed(body: &Bytes, model: &str) -> Bytes {
    let Some((start, end)) = place(body) else { return body.clone() };
    let name = serde_json::Value::from(model).to_string();
    let mut renamed = Vec::with_capacity(body.len() + name.len());
    renamed.extend_from_slice(body.get(..start).unwrap_or_default());
    renamed.extend_from_slice(name.as_bytes());
    renamed.extend_from_slice(body.get(end..).unwrap_or_default());
    renamed.into()
}

/// Where the value of `model` begins and ends.
fn place(body: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(body).ok()?;
    let value = serde_json::from_str::<Named<'_>>(text).ok()?.model.get();
    let start = (value.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some((start, start + value.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn to(body: &str, model: &str) -> String {
        String::from_utf8(renamed(&Bytes::copy_from_slice(body.as_bytes()), model).to_vec()).unwrap()
    }

    #[test]
    fn all_but_the_name_stays_byte_for_byte() {
        let body = "{ \"x\":1.50,\n\"model\" : \"public\" ,\"messages\":[{\"model\":\"inner\"}],\"big\":12345678901234567890123}";
        assert_eq!(to(body, "org/real"), body.replace("\"public\"", "\"org/real\""));
        assert_eq!(to(r#"{"model":"p\"u\u00e9"}"#, "r\"é"), r#"{"model":"r\"é"}"#);
        assert_eq!(to(r#"{"m\u006fdel":"p"}"#, "r"), r#"{"m\u006fdel":"r"}"#);
        assert_eq!(to("{}", "r"), "{}");
    }

    proptest! {
        /// Whatever else stands in the body, in whatever order.
        #[test]
        fn only_the_model_changes(
            before in "[a-z]{1,8}", text in ".{0,40}", number in any::<f64>(), old in ".{1,20}", new in ".{1,20}"
        ) {
            prop_assume!(before != "model");
            let body = json!({before: text, "model": old, "n": [number, {"model": 1}]});
            let after: Value = serde_json::from_str(&to(&body.to_string(), &new)).unwrap();
            let mut expected = body;
            expected["model"] = new.into();
            prop_assert_eq!(after, expected);
        }
    }
}
