//! One field of a request's body, as far as the router looks into it: text is borrowed, and what is none of its business is passed over.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// A field's value.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Field<'a> {
    /// It is not there, or `null`.
    #[default]
    Null,
    Bool(bool),
    /// A whole number that is not negative.
    Whole(u64),
    Text(Cow<'a, str>),
    /// Another number, a list, or an object.
    Other,
}

impl Field<'_> {
    /// Its number, where it is a whole one that is not negative.
    pub(super) fn whole(&self) -> Option<u64> {
        if let Self::Whole(number) = self { Some(*number) } else { None }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Field<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look)
    }
}

struct Look;

impl<'de> Visitor<'de> for Look {
    type Value = Field<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Field::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Field::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Field::Whole(value))
    }

    fn visit_i64<E>(self, _value: i64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<Self::Value, E> {
        Ok(Field::Other)
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Field::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_all_kinds_are_told_apart() {
        let field = |json| serde_json::from_str::<Field<'_>>(json).unwrap();
        assert_eq!((field("null"), field("true")), (Field::Null, Field::Bool(true)));
        assert!(matches!(field("\"plain\""), Field::Text(Cow::Borrowed("plain"))));
        assert!(matches!(field("\"\\u0061\""), Field::Text(Cow::Owned(text)) if text == "a"));
        assert_eq!((field("0"), field("18446744073709551615")), (Field::Whole(0), Field::Whole(u64::MAX)));
        for other in ["-1", "1.0", "1e3", "18446744073709551616", "[1,{\"a\":[]}]", "{\"a\":{\"b\":1}}"] {
            assert_eq!(field(other), Field::Other, "{other}");
        }
        assert!(serde_json::from_str::<Field<'_>>("[1,").is_err());
    }
}
