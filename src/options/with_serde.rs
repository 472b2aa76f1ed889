//! Options in configuration files of any format that the crate `serde` knows: a map from names to values.

use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::{self, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{OPTION_TABLE, Options};

/// A map of the options that are not at their defaults, with values as [`get`](Options::get) gives them (feature `serde`).
///
/// Fails for what could not be read again: passwords and secret keys, an [`Allow`](crate::Allow) that is no file, a routing id that is not
/// UTF-8, and values out of their range.
impl Serialize for Options {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rendered = self.rendered();
        let changed = rendered.iter().zip(OPTION_TABLE);
        let changed: Vec<_> = changed
            .filter(|((_, value), row)| value != row.default)
            .map(|(pair, _)| pair)
            .collect();
        let mut read_again = Options::new();
        for (name, value) in &changed {
            read_again.set(name, value).map_err(ser::Error::custom)?;
        }
        if let Some(name) = self.first_difference(&read_again) {
            return Err(ser::Error::custom(format_args!(
                "option {name} can't be written as text"
            )));
        }
        let mut map = serializer.serialize_map(Some(changed.len()))?;
        for (name, value) in changed {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A map from names to values, as [`set`](Options::set) takes them (feature `serde`). Numbers and `true` and `false` may be themselves, and
/// nothing (`null`) is `none`; a time is a text, because it has a unit. The rest is at its defaults.
///
/// Names and values are checked; whether the options do something on a type is for [`validate_for`](Options::validate_for) to say.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Options, SocketType};
///
/// let text = r#"{"send_hwm": 5000, "linger": "500ms", "ipv6": true, "send_timeout": null}"#;
/// let options: Options = serde_json::from_str(text)?;
/// options.validate_for(SocketType::Push)?;
/// assert_eq!((options.send_hwm, options.linger), (5000, Some(Duration::from_millis(500))));
///
/// let error = serde_json::from_str::<Options>(r#"{"send_hvm": 5000}"#).unwrap_err();
/// assert!(error.to_string().starts_with("there is no option \"send_hvm\"; is it send_hwm?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<'de> Deserialize<'de> for Options {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Options, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Options;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from names of options to their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Options, A::Error> {
        let mut options = Options::new();
        while let Some((name, Value(value))) = map.next_entry::<String, Value>()? {
            options.set(&name, &value).map_err(de::Error::custom)?;
        }
        Ok(options)
    }
}

/// A value of an option as text.
struct Value(String);

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(AnyScalar)
    }
}

struct AnyScalar;

impl<'de> Visitor<'de> for AnyScalar {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true, false or nothing")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value(value.to_string()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value(value.to_string()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value(value.to_string()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value(String::from("none")))
    }

    fn visit_none<E: de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Allow, Frame};

    fn written(options: &Options) -> Result<String, String> {
        serde_json::to_string(options).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let changed = Options::new()
            .send_hwm(7)
            .linger(None)
            .recv_timeout(Duration::from_micros(1500))
            .routing_id("worker 1")
            .allow(Allow::path("/etc/orders/allowed"));
        for options in [Options::new(), changed] {
            let text = written(&options).expect("writable");
            let read: Options = serde_json::from_str(&text).expect("readable");
            assert_eq!(read, options, "{text}");
        }
        assert_eq!(written(&Options::new()).as_deref(), Ok("{}"));
    }

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        for (options, name) in [
            (
                Options::new().plain_client("alice", "tiger"),
                "plain_password",
            ),
            (Options::new().allow(Allow::new().uid(1000)), "allow"),
            (
                Options::new().routing_id(Frame::from(b"\xff\xfe")),
                "routing_id",
            ),
            (Options::new().max_parts(0), "max_parts"),
        ] {
            let error = written(&options).expect_err(name);
            assert!(error.contains(name), "{error}");
            assert!(!error.contains("tiger"), "{error}");
        }
    }

    #[test]
    fn other_kinds_of_values_are_refused() {
        for text in [
            r#"{"send_hwm": [1]}"#,
            r#"{"send_hwm": 1.5}"#,
            r#"{"send_hwm": -1}"#,
            r#"{"linger": 500}"#,
            r#"{"colour": "red"}"#,
            "[]",
        ] {
            let read = serde_json::from_str::<Options>(text);
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }
}
