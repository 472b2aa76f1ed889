//! Options by name, as configuration files, the environment and command lines give them.

use std::env;
use std::ffi::OsString;

use super::{OPTION_TABLE, OptionInfo, Options};
use crate::error::OptionError;
use crate::zmtp::SocketType;

impl Options {
    /// Sets the option of this name, which is that of its setter, to what the text means. A time has a unit (`500ms`, `1.5 s`, `2min`,
    /// `1h`); `none` is what it is for the setter.
    ///
    /// # Errors
    ///
    /// There is no such option, or the value is not one that it can have. Nothing is changed then.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zerohop::Options;
    ///
    /// let mut options = Options::new();
    /// options.set("send_hwm", "5000")?;
    /// options.set("linger", "500ms")?;
    /// assert_eq!(options, Options::new().send_hwm(5000).linger(Duration::from_millis(500)));
    ///
    /// let error = options.set("send_hvm", "5000").unwrap_err();
    /// assert_eq!(error.to_string(), "there is no option \"send_hvm\"; is it send_hwm?");
    /// let error = options.set("linger", "500").unwrap_err();
    /// assert_eq!(error.to_string(), "option linger can't be \"500\"; allowed is 0 to 365 days, or none for no end");
    /// # Ok::<(), zerohop::OptionError>(())
    /// ```
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        self.set_text(name, value.trim())
    }

    /// Sets an option that is to do something on sockets of this type.
    ///
    /// # Errors
    ///
    /// As [`set`](Options::set), and where the option does not apply to the type.
    ///
    /// ```
    /// use zerohop::{Options, SocketType};
    ///
    /// let error = Options::new().set_for(SocketType::Req, "conflate", "true").unwrap_err();
    /// assert!(error.to_string().starts_with("option conflate does nothing on a REQ socket"));
    /// ```
    pub fn set_for(
        &mut self,
        socket_type: SocketType,
        name: &str,
        value: &str,
    ) -> Result<(), OptionError> {
        let row = row(name).ok_or_else(|| OptionError::unknown(name))?;
        if !row.applies_to(socket_type) {
            return Err(OptionError::not_for(row, socket_type));
        }
        self.set(name, value)
    }

    /// The value of an option as text, in a form that [`set`](Options::set) takes (but that bytes of a name that are no text are
    /// escaped); `None` if there is no such option.
    ///
    /// ```
    /// let options = zerohop::Options::new();
    /// assert_eq!(options.get("linger").as_deref(), Some("30 s"));
    /// ```
    pub fn get(&self, name: &str) -> Option<String> {
        let mut all = self.rendered().into_iter();
        all.find(|(other, _)| *other == name)
            .map(|(_, value)| value)
    }

    /// Options for a socket of this type, from names and values: a map, or part of a configuration file.
    ///
    /// # Errors
    ///
    /// As [`set_for`](Options::set_for).
    ///
    /// ```
    /// use zerohop::{Options, SocketType};
    ///
    /// let options = Options::from_pairs(SocketType::Pub, [("send_hwm", "5000"), ("pub_block", "true")])?;
    /// assert_eq!(options, Options::new().send_hwm(5000).pub_block(true));
    /// # Ok::<(), zerohop::OptionError>(())
    /// ```
    pub fn from_pairs<N, V>(
        socket_type: SocketType,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Options, OptionError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut options = Options::new();
        for (name, value) in pairs {
            options.set_for(socket_type, name.as_ref(), value.as_ref())?;
        }
        Ok(options)
    }

    /// Options for a socket of this type, from all variables of the environment that begin with the prefix: with `"ORDERS_"`,
    /// `ORDERS_SEND_HWM=5000` is [`send_hwm`](Options::send_hwm).
    ///
    /// # Errors
    ///
    /// As [`set_for`](Options::set_for); and a variable is none of the options: a prefix is for options alone.
    pub fn from_env(socket_type: SocketType, prefix: &str) -> Result<Options, OptionError> {
        Options::from_variables(socket_type, prefix, env::vars_os())
    }

    fn from_variables(
        socket_type: SocketType,
        prefix: &str,
        variables: impl Iterator<Item = (OsString, OsString)>,
    ) -> Result<Options, OptionError> {
        let named = variables.filter_map(|(name, value)| {
            let name = name.to_str()?.strip_prefix(prefix)?.to_ascii_lowercase();
            Some((name, value.to_string_lossy().into_owned()))
        });
        Options::from_pairs(socket_type, named)
    }

    /// As [`validate`](Options::validate), and checks that the options that are not at their defaults do something on sockets of this type.
    ///
    /// # Errors
    ///
    /// As [`validate`](Options::validate), or the first option of the table that does nothing.
    ///
    /// ```
    /// use zerohop::{Options, SocketType};
    ///
    /// let options = Options::new().pub_block(true);
    /// assert!(options.validate_for(SocketType::Pub).is_ok());
    /// assert!(options.validate_for(SocketType::Push).is_err());
    /// ```
    pub fn validate_for(&self, socket_type: SocketType) -> Result<(), OptionError> {
        self.validate()?;
        for ((name, value), row) in self.rendered().iter().zip(OPTION_TABLE) {
            debug_assert_eq!(*name, row.name);
            if *value != row.default && !row.applies_to(socket_type) {
                return Err(OptionError::not_for(row, socket_type));
            }
        }
        Ok(())
    }
}

fn row(name: &str) -> Option<&'static OptionInfo> {
    OPTION_TABLE.iter().find(|row| row.name == name)
}

/// The option whose name is nearest, if it is near enough for a slip.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let names = OPTION_TABLE
        .iter()
        .map(|row| (distance(name, row.name), row.name));
    let (distance, nearest) = names.min()?;
    (distance <= 3).then_some(nearest)
}

/// How many characters are to be changed, put in or taken out.
fn distance(a: &str, b: &str) -> usize {
    // No option's name is that long.
    let a: Vec<char> = a.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=a.len()).collect();
    for (line, b) in b.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], line + 1);
        for (at, a) in a.iter().enumerate() {
            let best = (row[at] + 1).min(row[at + 1] + 1);
            let best = best.min(diagonal + usize::from(*a != b));
            diagonal = std::mem::replace(&mut row[at + 1], best);
        }
    }
    row[a.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_get_gives_set_takes() {
        let changed = Options::new()
            .linger(Duration::from_micros(1_500_001))
            .reconnect_interval(None)
            .heartbeat_ttl(Duration::from_millis(2500))
            .max_parts(7)
            .ipv6(true)
            .routing_id("worker 1");
        for options in [Options::new(), changed] {
            let mut copy = Options::new();
            for row in OPTION_TABLE {
                let value = options.get(row.name).expect("a value");
                copy.set(row.name, &value)
                    .unwrap_or_else(|error| panic!("{error}"));
            }
            assert_eq!(copy, options);
        }
        assert_eq!(Options::new().get("send_hvm"), None);
    }

    #[test]
    fn times_have_units() {
        let mut options = Options::new();
        for (text, linger) in [
            ("0", 0),
            ("250 ms", 250_000_000),
            ("250us", 250_000),
            ("1.5s", 1_500_000_000),
            ("2min", 120_000_000_000),
            ("365 days", 365 * 86_400_000_000_000),
        ] {
            options.set("linger", text).expect(text);
            assert_eq!(options.linger, Some(Duration::from_nanos(linger)), "{text}");
        }
        let before = options.clone();
        for text in [
            "", "5", "ms", "-1s", "1 parsec", "1e400s", "366 days", "NaN s", "1,5s",
        ] {
            assert!(options.set("linger", text).is_err(), "{text}");
        }
        for (name, text) in [("send_hwm", "many"), ("ipv6", "maybe"), ("max_parts", "0")] {
            assert!(options.set(name, text).is_err(), "{name} {text}");
        }
        assert_eq!(options, before);
    }

    #[test]
    fn errors_help_on() {
        let mut options = Options::new();
        let mut said = |name, value| {
            let error = options.set_for(SocketType::Pull, name, value);
            error.expect_err("an error").to_string()
        };
        assert_eq!(
            said("recv_hmw", "1"),
            "there is no option \"recv_hmw\"; is it recv_hwm?"
        );
        assert_eq!(said("colour", "red"), "there is no option \"colour\"");
        let not_for = said("pub_block", "true");
        let start = "option pub_block does nothing on a PULL socket; it is for PUB";
        assert!(not_for.starts_with(start), "{not_for}");
        assert_eq!(
            said("backlog", "0"),
            "option backlog can't be \"0\"; allowed is 1 to 2147483647"
        );
    }

    #[test]
    fn the_environment_is_read_by_prefix() {
        let read = |variables: &[(&str, &str)]| {
            let variables = variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()));
            Options::from_variables(SocketType::Push, "ORDERS_", variables)
        };
        assert_eq!(
            read(&[
                ("PATH", "/bin"),
                ("ORDERS_SEND_HWM", "7"),
                ("ORDERS_linger", "1s")
            ]),
            Ok(Options::new().send_hwm(7).linger(Duration::from_secs(1)))
        );
        let error = read(&[("ORDERS_COLOUR", "red")]).expect_err("no option");
        assert_eq!(error.option(), "colour");
        let none = Options::from_env(SocketType::Push, "ZEROHOP_TEST_NO_SUCH_PREFIX_");
        assert_eq!(none, Ok(Options::new()));
    }
}
