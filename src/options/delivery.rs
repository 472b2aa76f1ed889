//! The option for acknowledged delivery.

use std::time::Duration;

use super::Options;
use super::value::{LONGEST, OptionValue};
use crate::error::OptionError;
use crate::spool::Spool;
use crate::zmtp::SocketType;

/// How messages are delivered that are to be settled by who receives them: the value of [`Options::delivery`], for a PUSH and for the PULL at the
/// other end. Both sides have to have it; what each of them goes by is said with each setting. Where a PUSH or a PULL is named, the same goes for
/// DEALER and ROUTER, which are both at once.
///
/// A PUSH holds each message until a PULL has settled it. When a worker dies, or says that it could not do it, the message is delivered again, to
/// whoever is there. `docs/delivery.md` has what is guaranteed, and what travels on the wire.
///
/// ```
/// use std::time::Duration;
/// use zerohop::{Context, Delivery, Options, Pull, Push};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let context = Context::new();
/// let delivery = Delivery::at_least_once().window(16).limit(5);
/// let pull = Pull::with_options(&context, Options::new().delivery(delivery.clone()))?;
/// let push = Push::with_options(&context, Options::new().delivery(delivery))?;
/// push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
///
/// push.send("order 1")?;
/// let job = pull.recv_job()?;
/// assert_eq!(job.message(), "order 1");
/// job.settle()?;
///
/// // Whoever closes waits until all is settled.
/// push.close(Duration::from_secs(5))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub(crate) window: u32,
    pub(crate) job_timeout: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) backoff: (Duration, Duration),
    pub(crate) limit: u32,
    pub(crate) ttl: Option<Duration>,
    pub(crate) ordered_by: Option<usize>,
    pub(crate) dead_letters: usize,
    pub(crate) required: bool,
    pub(crate) spool: Option<Spool>,
}

impl Delivery {
    /// Each message is delivered until it is settled, and so more than once if a settlement is lost.
    pub fn at_least_once() -> Delivery {
        Delivery {
            window: 256,
            job_timeout: Some(Duration::from_secs(30)),
            grace: Duration::from_secs(1),
            backoff: (Duration::from_millis(100), Duration::from_secs(60)),
            limit: 20,
            ttl: None,
            ordered_by: None,
            dead_letters: 1000,
            required: false,
            spool: None,
        }
    }

    /// How many messages a PULL takes from one PUSH that it has not settled: those that it works on, and those that wait for it here. From 1 to
    /// 65,536, and 256 unless set. A small one spreads jobs that take long more evenly.
    #[must_use]
    pub fn window(self, messages: u32) -> Delivery {
        Delivery {
            window: messages,
            ..self
        }
    }

    /// How long the application of a PULL may take for a job, from [`recv_job`](crate::Pull::recv_job) on or the last
    /// [`extend`](crate::Job::extend); then the job is delivered again. 1 ms to 365 days, 30 s unless set; `None` never takes a job back.
    #[must_use]
    pub fn job_timeout(self, timeout: impl Into<Option<Duration>>) -> Delivery {
        Delivery {
            job_timeout: timeout.into(),
            ..self
        }
    }

    /// For how long a PUSH waits for a PULL whose connection is lost, before it gives its messages to others. 0 to 365 days, 1 s unless set.
    /// A PULL that is back by then gets no message twice.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Delivery {
        Delivery { grace, ..self }
    }

    /// How long a PUSH waits before it delivers a message again that a PULL has given back without saying when: `first`, then twice as long with each
    /// time, up to `longest`, each varied at random by up to a half. 100 ms and 60 s unless set.
    #[must_use]
    pub fn backoff(self, first: Duration, longest: Duration) -> Delivery {
        Delivery {
            backoff: (first, longest),
            ..self
        }
    }

    /// How often a PUSH delivers a message: it counts when it is given back, when its time is over, and when its connection is lost. Then it is a
    /// [dead letter](crate::Push::dead_letters). 1 or more, 20 unless set.
    #[must_use]
    pub fn limit(self, deliveries: u32) -> Delivery {
        Delivery {
            limit: deliveries,
            ..self
        }
    }

    /// For how long a message of a PUSH may be unsettled, from when it is sent on; then it is a [dead letter](crate::Push::dead_letters), for the reason
    /// [`Expired`](crate::DeadReason::Expired). 1 ms to 365 days; `None`, as unless set, is without end.
    ///
    /// A message whose time is over is given to no worker. It is taken back from one with which it waits; then it is a dead letter as soon as that has said so, or
    /// its connection is lost. A worker that is at work on it by then goes on, and what it says counts: only if it gives the message back, that
    /// is a dead letter. With a [spool](Delivery::spool) time goes on while there is no socket, by the clock of the machine.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zerohop::{Context, DeadReason, Delivery, Options, Push};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let delivery = Delivery::at_least_once().ttl(Duration::from_millis(10));
    /// let push = Push::with_options(&Context::new(), Options::new().delivery(delivery))?;
    /// push.bind("tcp://127.0.0.1:*")?;
    /// push.send("for now or never")?; // there is no worker
    /// while push.stats().delivery.dead == 0 {
    ///     std::thread::yield_now();
    /// }
    /// assert_eq!(push.dead_letters()[0].reason, DeadReason::Expired);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ttl(self, ttl: impl Into<Option<Duration>>) -> Delivery {
        Delivery {
            ttl: ttl.into(),
            ..self
        }
    }

    /// Keeps the order of messages in which the frame with this index is the same, as `0` for the first one: a PUSH sends each of them only when the one
    /// before is settled, or a [dead letter](crate::Push::dead_letters). So one that is given back holds those behind it back, until it is done; what is behind a
    /// dead letter goes on without it, and if that is [replayed](crate::Push::replay_dead_letter), it comes last. Other messages, and those without
    /// such a frame, do not wait. `None`, as unless set, keeps no order in what is delivered again.
    ///
    /// No two workers have messages of the same order at a time, unless one is still at work on a message that is being delivered again: when its connection is lost,
    /// its time is over, or the PUSH is made anew. All messages count for [`send_hwm`](crate::Options::send_hwm), those that wait for others, too. Peers that do not
    /// know acknowledged delivery get messages one after the other, and are not waited for.
    ///
    /// ```
    /// use zerohop::{Context, Delivery, Options, Pull, Push};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let context = Context::new();
    /// let delivery = Delivery::at_least_once().ordered_by(0);
    /// let push = Push::with_options(&context, Options::new().delivery(delivery))?;
    /// # let pull = Pull::with_options(&context, Options::new().delivery(Delivery::at_least_once()))?;
    /// # push.connect(pull.bind("tcp://127.0.0.1:*")?)?;
    /// push.send(["account 7", "open"])?;
    /// push.send(["account 7", "pay in 100"])?;
    /// push.send(["account 8", "open"])?;
    ///
    /// let seven = pull.recv_job()?;
    /// let eight = pull.recv_job()?; // what follows for account 7 waits
    /// assert_eq!(*eight.message(), ["account 8", "open"]);
    /// seven.settle()?;
    /// let seven = pull.recv_job()?;
    /// assert_eq!(*seven.message(), ["account 7", "pay in 100"]);
    /// # seven.settle()?;
    /// # eight.settle()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn ordered_by(self, frame: impl Into<Option<usize>>) -> Delivery {
        Delivery {
            ordered_by: frame.into(),
            ..self
        }
    }

    /// How many [dead letters](crate::Push::dead_letters) a PUSH keeps, 1000 unless set. Of more the oldest are dropped, and
    /// [counted](crate::DeliveryStats::dead_dropped). With a [spool](Delivery::spool) all are kept.
    #[must_use]
    pub fn keep_dead_letters(self, most: usize) -> Delivery {
        Delivery {
            dead_letters: most,
            ..self
        }
    }

    /// Refuses peers that do not know acknowledged delivery
    /// ([`PeerRefusal::NoDelivery`](crate::PeerRefusal::NoDelivery)). Otherwise messages go to and come from them as without this option, and
    /// [`Event::Unacknowledged`](crate::Event::Unacknowledged) says so.
    #[must_use]
    pub fn required(self) -> Delivery {
        Delivery {
            required: true,
            ..self
        }
    }

    /// Where a PUSH or DEALER keeps the messages that are not settled, so that they survive the process ([`Sync::Os`](crate::spool::Sync::Os)), or the loss of power
    /// ([`Sync::Disk`](crate::spool::Sync::Disk)). None unless set: they are held in memory alone. A PULL needs none, and makes nothing of this; a
    /// ROUTER is not made with one ([`SocketError::Option`](crate::SocketError::Option)).
    ///
    /// Making the socket opens the spool, and fails with [`SocketError::Spool`](crate::SocketError::Spool) if that is not possible. What it holds of
    /// an earlier socket goes first, with the same [ids](crate::JobId); what is sent waits for that to fit into
    /// [`send_hwm`](crate::Options::send_hwm). `send` is done when the message is as safe as [`Spool::sync`](crate::spool::Spool::sync) says; where it cannot be,
    /// it fails with [`SendErrorKind::SpoolFull`](crate::SendErrorKind::SpoolFull) or
    /// [`SpoolFailed`](crate::SendErrorKind::SpoolFailed). Threads that send at once share one write and one sync, and with
    /// [`send_later`](crate::Push::send_later) one thread sends many messages meanwhile.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zerohop::spool::{Spool, Sync};
    /// use zerohop::{Context, Delivery, Options, Pull, Push};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("zerohop-delivery-doc-{}", std::process::id()));
    /// # let context = Context::new();
    /// let delivery = Delivery::at_least_once().spool(Spool::at(&folder).sync(Sync::Disk));
    /// let options = Options::new().delivery(delivery);
    /// let push = Push::with_options(&context, options.clone())?;
    /// push.send("order 1")?; // it is on the disk, though there is no worker yet
    /// assert!(push.close(Duration::ZERO).is_err());
    ///
    /// let push = Push::with_options(&context, options)?;
    /// # let pull = Pull::with_options(&context, Options::new().delivery(Delivery::at_least_once()))?;
    /// # pull.connect(push.bind("tcp://127.0.0.1:*")?)?;
    /// let job = pull.recv_job()?;
    /// assert_eq!(job.message(), "order 1");
    /// job.settle()?;
    /// push.close(Duration::from_secs(5))?;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn spool(self, spool: impl Into<Option<Spool>>) -> Delivery {
        Delivery {
            spool: spool.into(),
            ..self
        }
    }

    pub(super) fn is_allowed(&self) -> bool {
        let times = [self.grace, self.backoff.0, self.backoff.1];
        (1..=65_536).contains(&self.window)
            && self.limit > 0
            && self.backoff.0 <= self.backoff.1
            && times.iter().all(|time| *time <= LONGEST)
            && self
                .spool
                .as_ref()
                .is_none_or(|spool| spool.has_path() && !spool.is_read_only())
            && [self.job_timeout, self.ttl]
                .into_iter()
                .flatten()
                .all(|time| (Duration::from_millis(1)..=LONGEST).contains(&time))
    }
}

/// A name, and behind it what differs from it: `at_least_once, window=16, job_timeout=5 min`. A spool's folder is the last of all, as it may have any
/// name: `at_least_once, sync=os, spool=/var/spool/orders`.
impl OptionValue for Delivery {
    fn render(&self) -> String {
        let plain = Delivery::at_least_once();
        let mut text = String::from(match self.required {
            false => "at_least_once",
            true => "required",
        });
        for ((name, value), (_, usual)) in self.settings().into_iter().zip(plain.settings()) {
            if value != usual {
                text.push_str(&format!(", {name}={value}"));
            }
        }
        for (name, value) in self.spool.iter().flat_map(Spool::parts) {
            text.push_str(&format!(", {name}={value}"));
        }
        text
    }

    fn parse(text: &str) -> Option<Delivery> {
        let (text, folder) = match text.split_once(SPOOL) {
            Some((text, folder)) => (text, Some(folder)),
            None => (text, None),
        };
        let mut spool = Spool::at(folder.unwrap_or_default());
        let mut parts = text.split(',').map(str::trim);
        let mut delivery = match parts.next()? {
            "at_least_once" => Delivery::at_least_once(),
            "required" => Delivery::at_least_once().required(),
            _ => return None,
        };
        for part in parts {
            let (name, value) = part.split_once('=')?;
            let value = value.trim();
            match name.trim() {
                "window" => delivery.window = OptionValue::parse(value)?,
                "job_timeout" => delivery.job_timeout = OptionValue::parse(value)?,
                "grace" => delivery.grace = OptionValue::parse(value)?,
                "backoff_first" => delivery.backoff.0 = OptionValue::parse(value)?,
                "backoff_longest" => delivery.backoff.1 = OptionValue::parse(value)?,
                "limit" => delivery.limit = OptionValue::parse(value)?,
                "ttl" => delivery.ttl = OptionValue::parse(value)?,
                "ordered_by" => delivery.ordered_by = OptionValue::parse(value)?,
                "keep_dead_letters" => delivery.dead_letters = OptionValue::parse(value)?,
                name => {
                    folder?;
                    spool = spool.with_part(name, value)?;
                }
            }
        }
        delivery.spool = folder.map(|_| spool);
        Some(delivery)
    }
}

impl Delivery {
    fn settings(&self) -> [(&'static str, String); 9] {
        [
            ("window", self.window.render()),
            ("job_timeout", self.job_timeout.render()),
            ("grace", self.grace.render()),
            ("backoff_first", self.backoff.0.render()),
            ("backoff_longest", self.backoff.1.render()),
            ("limit", self.limit.render()),
            ("ttl", self.ttl.render()),
            ("ordered_by", self.ordered_by.render()),
            ("keep_dead_letters", self.dead_letters.render()),
        ]
    }
}

/// Begins the last setting of all.
const SPOOL: &str = ", spool=";

impl Options {
    /// The spool of a socket of this type.
    pub(crate) fn spool_for(&self, socket_type: SocketType) -> Option<&Spool> {
        match socket_type {
            SocketType::Push | SocketType::Dealer => self.delivery.as_ref()?.spool.as_ref(),
            _ => None,
        }
    }

    /// What a socket of this type cannot do with messages that are to be settled.
    pub(crate) fn check_delivery_for(&self, socket_type: SocketType) -> Result<(), OptionError> {
        let (dealer, router) = (SocketType::Dealer, SocketType::Router);
        let Some(delivery) = self.delivery.as_ref() else {
            return Ok(());
        };
        if socket_type != dealer && socket_type != router {
            return Ok(());
        }
        if delivery.spool.is_some() && socket_type == router {
            let expected = "without a spool on a ROUTER: only a PUSH or a DEALER has one";
            return Err(OptionError::new("delivery", delivery.render(), expected));
        }
        if self.router_raw && socket_type == router {
            let expected = "false where delivery is set: that is agreed on in the handshake";
            return Err(OptionError::new("router_raw", "true".into(), expected));
        }
        match self.unsettled_message() {
            Some((option, expected)) => {
                let given = self.get(option).unwrap_or_default();
                Err(OptionError::new(option, given, expected))
            }
            None => Ok(()),
        }
    }

    /// The first option by which a DEALER or ROUTER sends or receives messages that nobody can settle, and what it has to be where messages are settled.
    pub(crate) fn unsettled_message(&self) -> Option<(&'static str, &'static str)> {
        [
            ("probe_router", self.probe_router),
            ("hello_message", !self.hello_message.is_empty()),
            ("disconnect_message", !self.disconnect_message.is_empty()),
            ("hiccup_message", !self.hiccup_message.is_empty()),
        ]
        .into_iter()
        .find(|(_, is_set)| *is_set)
        .map(|(option, _)| {
            (
                option,
                "unset where delivery is: nobody settles such a message",
            )
        })
    }

    /// A message that is replaced by a newer one is never settled.
    pub(super) fn check_delivery(&self) -> Result<(), OptionError> {
        if self.conflate && self.delivery.is_some() {
            let expected = "false where delivery is set: what is replaced is never settled";
            return Err(OptionError::new("conflate", "true".into(), expected));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let plain = Delivery::at_least_once;
        let second = Duration::from_secs(1);
        for delivery in [
            plain().window(0),
            plain().window(65_537),
            plain().limit(0),
            plain().job_timeout(Duration::ZERO),
            plain().ttl(Duration::ZERO),
            plain().grace(LONGEST + second),
            plain().backoff(second, Duration::ZERO),
            plain().spool(Spool::at("")),
            plain().spool(Spool::at("orders").read_only(true)),
        ] {
            let error = Options::new().delivery(delivery).validate();
            assert_eq!(error.expect_err("out of range").option(), "delivery");
        }
        let most = plain().window(65_536).limit(1).job_timeout(None);
        assert!(Options::new().delivery(most).validate().is_ok());
    }

    #[test]
    fn it_has_names() {
        let mut options = Options::new();
        for name in ["at_least_once", "required", "none"] {
            options.set("delivery", name).expect("a name");
            assert_eq!(options.get("delivery").as_deref(), Some(name));
        }
        assert_eq!(options, Options::new());
        for wrong in [
            "exactly_once",
            "at_least_once, window",
            "at_least_once, window=0",
            "required, haste=1",
            "required, sync=os",
            "required, sync=never, spool=orders",
            "required, spool=",
        ] {
            assert!(options.set("delivery", wrong).is_err(), "{wrong}");
        }
        let all = "required, window=16, job_timeout=none, grace=2 s, backoff_first=1 ms, backoff_longest=10 s, limit=3, ttl=3600 s, ordered_by=0, keep_dead_letters=7";
        options.set("delivery", all).expect("all settings");
        assert_eq!(options.get("delivery").as_deref(), Some(all));
        for spool in [
            "at_least_once, spool=orders, and=more",
            "required, limit=3, sync=os, segment_size=8192, spool_limit=100000, salvage=true, spool=/a b",
        ] {
            options.set("delivery", spool).expect("a spool");
            assert_eq!(options.get("delivery").as_deref(), Some(spool));
        }
    }

    #[test]
    fn nothing_is_conflated_that_is_to_be_settled() {
        let options = Options::new().delivery(Delivery::at_least_once());
        assert!(options.check_delivery().is_ok());
        let error = options.conflate(true).check_delivery().expect_err("both");
        assert_eq!(error.option(), "conflate");
    }
}
