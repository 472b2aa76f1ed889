//! The option for requests that may be sent again.

use std::time::Duration;

use super::Options;
use super::value::{LONGEST, OptionValue};
use crate::error::OptionError;
use crate::zmtp::idempotent::Limits;

/// Requests that are sent again when their server dies, and that each server works on once: the value of [`Options::idempotent`], for a REQ and for the REP at
/// the other end. What each of them goes by is said with each setting.
///
/// A REQ sends a request again, to another server if there is one, when the connection ends that it went out on. That is for
/// requests of which **twice is as good as once**: two servers may work on it, since the first may have been done when it died. What is spared is that *one*
/// server does so: a REP remembers what it works on and what it has replied, and answers a request that comes again from memory.
/// `docs/delivery.md` has what is guaranteed, and what travels on the wire.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Idempotent, Options, Rep, Req};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let options = Options::new().idempotent(Idempotent::new());
/// let req = Req::with_options(&context, options.clone())?;
/// let (dies, works) = (
///     Rep::with_options(&context, options.clone())?,
///     Rep::with_options(&context, options)?,
/// );
/// req.connect(dies.bind("tcp://127.0.0.1:*")?)?;
/// # req.wait_for_peers(1, Duration::from_secs(5))?;
/// req.connect(works.bind("tcp://127.0.0.1:*")?)?;
/// # req.wait_for_peers(2, Duration::from_secs(5))?;
/// # std::thread::scope(|scope| -> Result<(), Box<dyn std::error::Error>> {
/// # let server = scope.spawn(|| works.recv().unwrap().reply("9.99").unwrap());
/// # scope.spawn(|| {
/// // One server gets the request, and dies before it has answered.
/// drop(dies.recv());
/// drop(dies);
/// # });
///
/// // The other one answers.
/// assert_eq!(req.request("price of 42?")?, "9.99");
/// # server.join().unwrap();
/// # Ok(())
/// # })
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotent {
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) limit: u32,
    pub(crate) keep_replies: usize,
    pub(crate) keep_bytes: usize,
    pub(crate) keep_for: Duration,
    pub(crate) required: bool,
}

impl Default for Idempotent {
    fn default() -> Self {
        Idempotent::new()
    }
}

impl Idempotent {
    /// Requests are sent again when a connection ends, and the replies of the last minute are remembered.
    pub fn new() -> Idempotent {
        Idempotent {
            attempt_timeout: None,
            limit: 20,
            keep_replies: 10_000,
            keep_bytes: 16 << 20,
            keep_for: Duration::from_secs(60),
            required: false,
        }
    }

    /// For how long a REQ waits for the reply of one server before it asks another as well, for a server that hangs: 1 ms to 365 days. Whichever replies
    /// first is heard. Without, which is the default, a request is sent again only when a connection ends.
    ///
    /// It asks the same server again if there is no other; a REP that works on the request passes that over. How long a request may take in all is up to the call
    /// ([`request_timeout`](crate::Req::request_timeout), [`ask`](crate::Req::ask)).
    #[must_use]
    pub fn attempt_timeout(self, timeout: impl Into<Option<Duration>>) -> Idempotent {
        Idempotent {
            attempt_timeout: timeout.into(),
            ..self
        }
    }

    /// How often a REQ sends a request, 1 or more, 20 unless set: so that one that its servers die of does not kill all there are. When the connection of the last one
    /// ends, the call fails with [`RequestError::PeerGone`](crate::RequestError::PeerGone).
    #[must_use]
    pub fn limit(self, attempts: u32) -> Idempotent {
        Idempotent {
            limit: attempts,
            ..self
        }
    }

    /// How many replies a REP remembers, of all requesters together; for a new one the oldest is forgotten. 10,000 unless set; 0 remembers none.
    #[must_use]
    pub fn keep_replies(self, most: usize) -> Idempotent {
        Idempotent {
            keep_replies: most,
            ..self
        }
    }

    /// How many bytes the replies may have that a REP remembers, all together: their frames, and 128 for each reply. For a new one the oldest are forgotten; one
    /// that is larger than this is not remembered. 16 MiB unless set.
    #[must_use]
    pub fn keep_bytes(self, most: usize) -> Idempotent {
        Idempotent {
            keep_bytes: most,
            ..self
        }
    }

    /// For how long a REP remembers a reply: longer than it takes a REQ to come back. 1 ms to 365 days, 1 min unless set.
    #[must_use]
    pub fn keep_for(self, time: Duration) -> Idempotent {
        Idempotent {
            keep_for: time,
            ..self
        }
    }

    /// Refuses peers that do not have this option
    /// ([`PeerRefusal::NotIdempotent`](crate::PeerRefusal::NotIdempotent)). Otherwise a REQ sends requests again to any REP, which may work on them twice, and
    /// [`Event::Unacknowledged`](crate::Event::Unacknowledged) says of which that is true.
    #[must_use]
    pub fn required(self) -> Idempotent {
        Idempotent {
            required: true,
            ..self
        }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            replies: self.keep_replies,
            bytes: self.keep_bytes,
            keep_for: self.keep_for,
        }
    }

    pub(super) fn is_allowed(&self) -> bool {
        let times = Duration::from_millis(1)..=LONGEST;
        self.limit > 0
            && times.contains(&self.keep_for)
            && self
                .attempt_timeout
                .is_none_or(|time| times.contains(&time))
    }
}

/// A name, and behind it what differs from it: `on, attempt_timeout=500 ms`.
impl OptionValue for Idempotent {
    fn render(&self) -> String {
        let plain = Idempotent::new();
        let mut text = String::from(match self.required {
            false => "on",
            true => "required",
        });
        for ((name, value), (_, usual)) in self.settings().into_iter().zip(plain.settings()) {
            if value != usual {
                text.push_str(&format!(", {name}={value}"));
            }
        }
        text
    }

    fn parse(text: &str) -> Option<Idempotent> {
        let mut parts = text.split(',').map(str::trim);
        let mut idempotent = match parts.next()? {
            "on" => Idempotent::new(),
            "required" => Idempotent::new().required(),
            _ => return None,
        };
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let value = value.trim();
            match name.trim() {
                "attempt_timeout" => idempotent.attempt_timeout = OptionValue::parse(value)?,
                "limit" => idempotent.limit = OptionValue::parse(value)?,
                "keep_replies" => idempotent.keep_replies = OptionValue::parse(value)?,
                "keep_bytes" => idempotent.keep_bytes = OptionValue::parse(value)?,
                "keep_for" => idempotent.keep_for = OptionValue::parse(value)?,
                _ => return None,
            }
        }
        Some(idempotent)
    }
}

impl Idempotent {
    fn settings(&self) -> [(&'static str, String); 5] {
        [
            ("attempt_timeout", self.attempt_timeout.render()),
            ("limit", self.limit.render()),
            ("keep_replies", self.keep_replies.render()),
            ("keep_bytes", self.keep_bytes.render()),
            ("keep_for", self.keep_for.render()),
        ]
    }
}

impl Options {
    /// Without ids nobody could tell which request a reply answers that another server gives late, and a strict REQ waits for the reply to a request
    /// that was given up.
    pub(super) fn check_idempotent(&self) -> Result<(), OptionError> {
        if self.idempotent.is_none() {
            return Ok(());
        }
        let needed = [
            ("req_correlate", self.req_correlate),
            ("req_relaxed", self.req_relaxed),
        ];
        match needed.into_iter().find(|(_, set)| !set) {
            Some((option, _)) => {
                let expected =
                    "true where idempotent is set: replies may come from several servers";
                Err(OptionError::new(option, "false".into(), expected))
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let plain = Idempotent::new;
        for idempotent in [
            plain().limit(0),
            plain().keep_for(Duration::ZERO),
            plain().keep_for(LONGEST + Duration::from_secs(1)),
            plain().attempt_timeout(Duration::ZERO),
        ] {
            let error = Options::new().idempotent(idempotent).validate();
            assert_eq!(error.expect_err("out of range").option(), "idempotent");
        }
        let least = plain().limit(1).keep_replies(0).keep_bytes(0);
        let options = Options::new().idempotent(least);
        assert!(options.validate().is_ok());
        for (options, option) in [
            (options.clone().req_relaxed(false), "req_relaxed"),
            (options.req_correlate(false), "req_correlate"),
        ] {
            let error = options.validate().expect_err("they contradict");
            assert_eq!(error.option(), option);
        }
    }

    #[test]
    fn it_has_names() {
        let mut options = Options::new();
        for name in [
            "on",
            "required",
            "on, attempt_timeout=500 ms, limit=3, keep_replies=5, keep_bytes=6, keep_for=2 s",
            "none",
        ] {
            options.set("idempotent", name).expect("a name");
            assert_eq!(options.get("idempotent").as_deref(), Some(name));
        }
        assert_eq!(options, Options::new());
        for wrong in ["", "off", "on, limit", "on, limit=0", "on, haste=1"] {
            assert!(options.set("idempotent", wrong).is_err(), "{wrong}");
        }
    }
}
