//! Random JSON schemas: all kinds of values, nested, with bounds, choices and references.

use rand::{RngExt, rngs::StdRng};
use serde_json::{Map, Value, json};

/// How deep arrays and objects nest.
const DEPTH: u32 = 3;

/// A schema that some short text fulfils.
pub(crate) fn schema(random: &mut StdRng) -> Value {
    let mut schema = object(random, DEPTH);
    if random.random_bool(0.3) {
        let members = schema.as_object_mut().expect("an object");
        members.insert("$defs".to_owned(), json!({"leaf": leaf(random)}));
        let properties = members["properties"].as_object_mut().expect("an object");
        properties.insert("shared".to_owned(), json!({"$ref": "#/$defs/leaf"}));
    }
    schema
}

fn any(random: &mut StdRng, depth: u32) -> Value {
    if depth == 0 {
        return leaf(random);
    }
    match random.random_range(0..6) {
        0 => object(random, depth - 1),
        1 | 2 => array(random, depth - 1),
        3 => json!({"anyOf": [leaf(random), any(random, depth - 1)]}),
        _ => leaf(random),
    }
}

fn object(random: &mut StdRng, depth: u32) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for index in 0..random.random_range(0..5) {
        let name = ["a", "the name", "größe", "x\"y", "z"][index].to_owned();
        if random.random_bool(0.7) {
            required.push(name.clone());
        }
        properties.insert(name, any(random, depth));
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn array(random: &mut StdRng, depth: u32) -> Value {
    let least = random.random_range(0..3);
    json!({"type": "array", "items": any(random, depth), "minItems": least, "maxItems": least + random.random_range(0..3)})
}

fn leaf(random: &mut StdRng) -> Value {
    match random.random_range(0..10) {
        0 => json!({"type": "null"}),
        1 => json!({"type": "boolean"}),
        2 => {
            let least = random.random_range(-1_000..1_000);
            json!({"type": "integer", "minimum": least, "maximum": least + random.random_range(0..500)})
        }
        3 => {
            json!({"type": "number", "minimum": random.random_range(-9..0), "exclusiveMaximum": random.random_range(1..90)})
        }
        4 => {
            let least = random.random_range(0..4);
            json!({"type": "string", "minLength": least, "maxLength": least + random.random_range(0..9)})
        }
        5 => json!({"type": "string", "pattern": "^[a-c]{2,4}(-[0-9]+)?$"}),
        6 => json!({"enum": ["red", "gr\u{fc}n", 3, null, true]}),
        7 => json!({"const": {"k": [1, "two"]}}),
        8 => json!({"type": ["string", "null"], "maxLength": 5}),
        _ => json!({"type": "string", "format": "date"}),
    }
}
