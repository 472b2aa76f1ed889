//! What can be set on a socket: one table, `options/table.rs`, from which everything else comes.
//!
//! A row is an option's name, meaning, type, libzmq counterpart, the socket types it applies to, unit, range and
//! default. The macro here makes of all rows the struct [`Options`] with its setters and their docs, the
//! check of ranges, and [`OPTION_TABLE`] for whoever works with options by name or number.

mod balancing;
mod by_name;
mod change;
mod curve;
mod delivery;
mod idempotent;
mod log;
mod security;
mod slow;
mod table;
mod value;
#[cfg(feature = "serde")]
mod with_serde;

pub use balancing::{Balancing, Share, Weigh};
pub(crate) use balancing::{Choice, Weighing};
pub(crate) use by_name::nearest as nearest_option;
pub use change::Change;
pub use curve::CurveServer;
pub use delivery::Delivery;
pub use idempotent::Idempotent;
pub use log::Log;
pub use slow::SlowSubscriber;
pub use table::{OPTION_TABLE, Options};

use crate::zmtp::{SocketType, SocketTypes};

/// One row of the table of options, for programs that work with options by name or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionInfo {
    /// The name, which is that of the setter.
    pub name: &'static str,
    /// What the option does, in Markdown.
    pub doc: &'static str,
    /// The option of libzmq that does the same or nearly so.
    pub libzmq: Option<LibzmqOption>,
    /// The type of the value in Rust.
    pub kind: &'static str,
    /// The unit of the value; empty if it has none.
    pub unit: &'static str,
    /// The values that are allowed.
    pub range: &'static str,
    /// The value where none is set.
    pub default: &'static str,
    /// The socket types that the option applies to; the others ignore it, see [`Options::validate_for`].
    pub sockets: SocketTypes,
    /// What a change does on a socket that is in use.
    pub change: Change,
}

impl OptionInfo {
    /// Whether the option does anything on sockets of this type.
    ///
    /// ```
    /// use zerohop::{OPTION_TABLE, SocketType};
    ///
    /// let conflate = OPTION_TABLE.iter().find(|row| row.name == "conflate").unwrap();
    /// assert!(conflate.applies_to(SocketType::Pub));
    /// assert!(!conflate.applies_to(SocketType::Req));
    /// ```
    pub fn applies_to(&self, socket_type: SocketType) -> bool {
        self.sockets.contains(socket_type)
    }
}

/// The name and the number of an option of libzmq.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LibzmqOption {
    /// The name in `zmq.h`.
    pub name: &'static str,
    /// The number in `zmq.h`.
    pub id: i32,
}

/// Makes the struct, the setters, the check and the table out of the rows.
///
/// A row reads `name(type of the setter's argument) -> type of the field`, and then its facts. `allows` is
/// checked by [`Options::validate`], so that setters can't fail and chain.
macro_rules! option_table {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident($argument:ty) -> $kind:ty {
            $(libzmq: $libzmq:literal = $id:literal,)?
            sockets: $sockets:tt,
            change: $change:expr,
            unit: $unit:literal,
            range: $range:literal, allows: $allows:expr,
            default: $default:expr, $default_text:literal $(,)?
        }
    )+) => {
        /// The options of a socket; each setter says what its option does.
        ///
        /// Options are set before the socket is made, and are checked then; [most can be changed](crate::Change) later, with
        /// [`reconfigure`](crate::Push::reconfigure). So that sockets of several types can be made with
        /// the same options, those that do not apply to a type are ignored then; [`validate_for`](Options::validate_for)
        /// finds them, and options that are set by name for a type ([`set_for`](Options::set_for),
        /// [`from_pairs`](Options::from_pairs), [`from_env`](Options::from_env)) have to apply to it.
        ///
        /// ```
        /// use std::time::Duration;
        /// use zerohop::Options;
        ///
        /// let options = Options::new()
        ///     .send_hwm(10_000)
        ///     .send_timeout(Duration::from_millis(500))
        ///     .linger(None);
        /// assert!(options.validate().is_ok());
        /// assert!(Options::new().max_parts(0).validate().is_err());
        /// ```
        ///
        /// Each option is also a field of the same name, in its own type; [`get`](Options::get) gives it as text, by name.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use zerohop::Options;
        /// let options = Options::new().send_hwm(10_000);
        /// assert_eq!(options.send_hwm, 10_000);
        /// assert_eq!(options.linger, Some(Duration::from_secs(30)));
        /// assert_eq!(options.get("send_hwm").as_deref(), Some("10000"));
        /// ```
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Options {
            $(
                #[doc = concat!("See the setter, [`", stringify!($name), "`](fn@Options::", stringify!($name), ").")]
                #[doc = concat!("Default: ", $default_text, ".")]
                pub $name: $kind,
            )+
        }

        impl Default for Options {
            fn default() -> Options {
                Options { $($name: $default,)+ }
            }
        }

        impl Options {
            /// All options at their defaults.
            pub fn new() -> Options {
                Options::default()
            }

            $(
                $(#[doc = $doc])+
                ///
                #[doc = concat!("| type | unit | range | default | sockets | libzmq |")]
                #[doc = concat!("|---|---|---|---|---|---|")]
                #[doc = concat!(
                    "| `", stringify!($kind), "` | ", $unit, " | ", $range, " | ", $default_text, " | ",
                    $crate::options::socket_names!($sockets), " | ", $("`", $libzmq, "` (", $id, ")",)? " |"
                )]
                #[must_use]
                pub fn $name(mut self, value: $argument) -> Options {
                    self.$name = value.into();
                    self
                }
            )+

            /// Checks every option against its range, and that the options of PLAIN, CURVE and [`allow`](Options::allow) go together and
            /// lack none. Making a socket does the same.
            ///
            /// # Errors
            ///
            /// The first option of the table whose value is out of its range; or one that contradicts another, or is missing beside it.
            pub fn validate(&self) -> Result<(), OptionError> {
                $(
                    let allows: fn(&$kind) -> bool = $allows;
                    if !allows(&self.$name) {
                        let given = OptionValue::render(&self.$name);
                        return Err(OptionError::new(stringify!($name), given, $range));
                    }
                )+
                self.check_delivery()?;
                self.check_idempotent()?;
                self.check_log()?;
                self.check_security()
            }

            /// Every option's name and value as text, in the order of the table.
            pub(super) fn rendered(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), OptionValue::render(&self.$name)),)+]
            }

            /// Takes over what somebody who had `before` has changed to `after`. Gives the rows of these options.
            pub(crate) fn take_over(&mut self, before: &Options, after: &Options) -> Vec<&'static OptionInfo> {
                let mut changed = Vec::new();
                let mut rows = OPTION_TABLE.iter();
                $(
                    changed.extend(rows.next().filter(|_| before.$name != after.$name).inspect(|row| {
                        debug_assert_eq!(row.name, stringify!($name));
                        self.$name = after.$name.clone();
                    }));
                )+
                changed
            }

            /// The first option of the table in which the two differ.
            #[cfg(feature = "serde")]
            pub(super) fn first_difference(&self, other: &Options) -> Option<&'static str> {
                $(if self.$name != other.$name {
                    return Some(stringify!($name));
                })+
                None
            }

            /// Sets an option that is there to a value that it may have.
            pub(super) fn set_text(&mut self, name: &str, text: &str) -> Result<(), OptionError> {
                match name {
                    $(stringify!($name) => {
                        let allows: fn(&$kind) -> bool = $allows;
                        match <$kind as OptionValue>::parse(text).filter(allows) {
                            Some(value) => self.$name = value,
                            None => {
                                let given = <$kind as OptionValue>::quote(text);
                                return Err(match <$kind as OptionValue>::MISSING_FEATURE {
                                    Some(feature) => OptionError::needs_feature(stringify!($name), feature),
                                    None => OptionError::new(stringify!($name), given, $range),
                                });
                            }
                        }
                        Ok(())
                    })+
                    _ => Err(OptionError::unknown(name)),
                }
            }
        }

        /// The table of all options.
        ///
        /// ```
        /// let row = zerohop::OPTION_TABLE.iter().find(|row| row.name == "linger").unwrap();
        /// assert_eq!(row.default, "30 s");
        /// assert_eq!(row.libzmq.unwrap().id, 17);
        /// ```
        pub const OPTION_TABLE: &[OptionInfo] = &[$(
            OptionInfo {
                name: stringify!($name),
                doc: concat!($($doc, "\n"),+),
                libzmq: {
                    let named: &[LibzmqOption] = &[$(LibzmqOption { name: $libzmq, id: $id })?];
                    named.first().copied()
                },
                kind: stringify!($kind),
                unit: $unit,
                range: $range,
                default: $default_text,
                sockets: $crate::options::socket_types!($sockets),
                change: $change,
            },
        )+];
    };
}

/// The set of types that a row names: `all`, `zmtp` for all that speak it, or a list.
macro_rules! socket_types {
    (all) => {
        $crate::SocketTypes::ALL
    };
    (zmtp) => {
        $crate::SocketTypes::ZMTP
    };
    ([$($socket:ident),+]) => {
        $crate::SocketTypes::of(&[$($crate::SocketType::$socket),+])
    };
}

/// The same for the docs.
macro_rules! socket_names {
    (all) => {
        "all"
    };
    (zmtp) => {
        "all but `Stream`"
    };
    ([$first:ident $(, $socket:ident)*]) => {
        concat!("`", stringify!($first), "`", $(", `", stringify!($socket), "`"),*)
    };
}

use {option_table, socket_names, socket_types};

#[cfg(test)]
mod tests;
