//! The values of arguments that have a form of their own.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use zerohop::{Endpoint, EndpointError, Options, ReplayFrom};

/// An endpoint that another process can reach, checked and as it was written.
pub(crate) fn endpoint(text: &str) -> Result<String, String> {
    let _: Endpoint = text
        .parse()
        .map_err(|error: EndpointError| error.to_string())?;
    if text.starts_with("inproc:") {
        return Err("inproc reaches sockets of the same process only: use ipc://path".to_owned());
    }
    Ok(text.to_owned())
}

/// The same where the socket is to listen: also `:5555` for a port of every interface.
pub(crate) fn bind_endpoint(text: &str) -> Result<String, String> {
    endpoint(&in_full(text, "*"))
}

/// The same where the socket is to connect: also `:5555` for a port of this machine.
pub(crate) fn connect_endpoint(text: &str) -> Result<String, String> {
    endpoint(&in_full(text, "localhost"))
}

/// What a short form stands for: `HOST:PORT`, `:PORT`, `/PATH`, `./PATH` and `@NAME`. Anything else as it is.
fn in_full(text: &str, host: &str) -> String {
    if text.contains("://") {
        return text.to_owned();
    }
    if text.starts_with(['/', '.', '@']) {
        return format!("ipc://{text}");
    }
    match text.rsplit_once(':') {
        Some(("", port)) => format!("tcp://{host}:{port}"),
        Some(_) => format!("tcp://{text}"),
        None => text.to_owned(),
    }
}

/// A duration such as `250ms`, `1.5s`, `2m` or `1h 30m`; a bare number is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
    let duration = match seconds {
        Some(duration) => duration.ok(),
        None => humantime::parse_duration(text).ok(),
    };
    duration
        .ok_or_else(|| "write a number and a unit, such as 250ms, 1.5s, 2m or 1h 30m".to_owned())
}

/// A number of bytes such as `4096`, `500K`, `100M` or `2G`: units are powers of 1024.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "write a number of bytes, such as 4096, 500K, 100M or 2G";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "T" | "TiB" => 1 << 40,
        _ => return Err(EXPECTED.to_owned()),
    };
    let number: Option<u64> = digits.parse().ok();
    let bytes = number.and_then(|number| number.checked_mul(unit));
    bytes.ok_or_else(|| EXPECTED.to_owned())
}

/// Where a subscriber begins: `now`, `all`, `last:N`, `offset:N`, `time:WHEN` or `resume:FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct From(pub(crate) ReplayFrom);

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<From, String> {
        const EXPECTED: &str = "write now, all, last:N, offset:N, time:SECONDS (since 1970), time:AGE-ago (such as time:2h-ago), or resume:FILE";
        let expected = || EXPECTED.to_owned();
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        Ok(From(match (kind, value) {
            ("now", "") => ReplayFrom::Now,
            ("all", "") => ReplayFrom::Last(u64::MAX),
            ("last", count) => ReplayFrom::Last(count.parse().map_err(|_| expected())?),
            ("offset", offset) => ReplayFrom::Offset(offset.parse().map_err(|_| expected())?),
            ("time", when) => ReplayFrom::Time(time(when).ok_or_else(expected)?),
            ("resume", file) if !file.is_empty() => ReplayFrom::Resume(file.into()),
            _ => return Err(expected()),
        }))
    }
}

/// Seconds since 1970, or an age with `-ago` behind it.
fn time(text: &str) -> Option<SystemTime> {
    if let Some(age) = text.strip_suffix("-ago") {
        return SystemTime::now().checked_sub(duration(age).ok()?);
    }
    let seconds: f64 = text.parse().ok()?;
    let since = Duration::try_from_secs_f64(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

/// A linger time; `None` has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Linger(pub(crate) Option<Duration>);

impl FromStr for Linger {
    type Err = String;

    fn from_str(text: &str) -> Result<Linger, String> {
        match text {
            "forever" => Ok(Linger(None)),
            _ => duration(text)
                .map(|linger| Linger(Some(linger)))
                .map_err(|expected| format!("{expected}, or forever")),
        }
    }
}

/// An option of the library and its value, checked; only the type of the socket is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Setting, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("write NAME=VALUE, such as send_hwm=5000")?;
        let own = match name {
            "linger" => Some("--linger"),
            "send_timeout" | "recv_timeout" => Some("--timeout"),
            _ => None,
        };
        if let Some(own) = own {
            return Err(format!("for {name} there is {own}"));
        }
        let mut options = Options::new();
        options
            .set(name, value)
            .map_err(|error| error.to_string())?;
        Ok(Setting {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// Messages per time, as the time between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate(pub(crate) Duration);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let expected = || "write messages per second, such as 100/s, or per minute: 6/m".to_owned();
        let (count, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            _ => return Err(expected()),
        };
        let count: f64 = count.parse().map_err(|_| expected())?;
        if count.is_nan() || count <= 0.0 {
            return Err(expected());
        }
        Duration::try_from_secs_f64(seconds / count)
            .map(Rate)
            .map_err(|_| expected())
    }
}

/// How many times as fast as recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Speed(pub(crate) f64);

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Speed, String> {
        match text.strip_suffix('x').unwrap_or(text).parse() {
            Ok(times) if times > 0.0 && f64::is_finite(times) => Ok(Speed(times)),
            _ => Err("write how many times as fast, such as 1, 0.5 or 10x".to_owned()),
        }
    }
}

/// What stands between the frames of a message in text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Separator(pub(crate) Vec<u8>);

impl FromStr for Separator {
    type Err = String;

    fn from_str(text: &str) -> Result<Separator, String> {
        let mut bytes = Vec::with_capacity(text.len());
        let mut left = text;
        while let Some(at) = left.find('\\') {
            bytes.extend_from_slice(&left.as_bytes()[..at]);
            let (byte, length) = escape(&left[at + 1..])?;
            bytes.push(byte);
            left = &left[at + 1 + length..];
        }
        bytes.extend_from_slice(left.as_bytes());
        if bytes.is_empty() {
            return Err("the separator can't be empty".to_owned());
        }
        Ok(Separator(bytes))
    }
}

/// The byte that an escape stands for, and the length of what follows its backslash.
pub(crate) fn escape(text: &str) -> Result<(u8, usize), String> {
    let plain = match text.as_bytes().first() {
        Some(b't') => b'\t',
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b'0') => 0,
        Some(b'\\') => b'\\',
        Some(b'x') => {
            let byte = text
                .get(1..3)
                .and_then(|hex| u8::from_str_radix(hex, 16).ok());
            return byte
                .map(|byte| (byte, 3))
                .ok_or_else(|| "after \\x come two hexadecimal digits".to_owned());
        }
        Some(_) | None => {
            return Err("a backslash starts \\t, \\n, \\r, \\0, \\xNN or \\\\".to_owned());
        }
    };
    Ok((plain, 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("1.5s", 1500),
            ("2", 2000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("1h 30m", 5_400_000),
            ("0", 0),
        ] {
            assert_eq!(
                duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in ["", "s", "-1s", "5 parsecs", "1e400", "NaN"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!("forever".parse(), Ok(Linger(None)));
        assert_eq!("1s".parse(), Ok(Linger(Some(Duration::from_secs(1)))));
    }

    #[test]
    fn rates_are_intervals() {
        assert_eq!("100/s".parse(), Ok(Rate(Duration::from_millis(10))));
        assert_eq!("2".parse(), Ok(Rate(Duration::from_millis(500))));
        assert_eq!("6/m".parse(), Ok(Rate(Duration::from_secs(10))));
        for text in ["0/s", "-1", "x/s", "1/y", ""] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn speeds_are_factors() {
        assert_eq!("1".parse(), Ok(Speed(1.0)));
        assert_eq!("0.5x".parse(), Ok(Speed(0.5)));
        for text in ["0", "-1", "x", "", "inf", "NaN"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }

    #[test]
    fn separators_have_escapes() {
        let bytes = |text: &str| text.parse::<Separator>().map(|separator| separator.0);
        assert_eq!(bytes(", "), Ok(b", ".to_vec()));
        assert_eq!(bytes("\\t"), Ok(b"\t".to_vec()));
        assert_eq!(bytes("a\\x1fb\\\\"), Ok(b"a\x1fb\\".to_vec()));
        for text in ["", "\\", "\\q", "\\x1", "\\xgg"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn endpoints_have_short_forms() {
        for (text, bound, connected) in [
            (":5555", "tcp://*:5555", "tcp://localhost:5555"),
            ("host:5555", "tcp://host:5555", "tcp://host:5555"),
            ("[::1]:5555", "tcp://[::1]:5555", "tcp://[::1]:5555"),
            ("/run/jobs", "ipc:///run/jobs", "ipc:///run/jobs"),
            ("./jobs", "ipc://./jobs", "ipc://./jobs"),
            ("@jobs", "ipc://@jobs", "ipc://@jobs"),
            ("tcp://host:1", "tcp://host:1", "tcp://host:1"),
        ] {
            assert_eq!(in_full(text, "*"), bound);
            assert_eq!(in_full(text, "localhost"), connected);
        }
        for text in ["jobs", "", ":", "host:", "host:port"] {
            assert!(connect_endpoint(text).is_err(), "{text}");
        }
    }

    #[test]
    fn endpoints_reach_other_processes() {
        assert!(endpoint("tcp://*:5555").is_ok());
        for text in ["inproc://here", "localhost:5555", "tcp://localhost"] {
            assert!(endpoint(text).is_err(), "{text}");
        }
    }
}
