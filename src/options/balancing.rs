//! Which peer a message goes to, where it goes to one of several.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::value::OptionValue;
use crate::Origin;

/// How a PUSH, DEALER or REQ, or a SCATTER or CLIENT, chooses the peer that a message goes to: the value of
/// [`Options::balancing`](crate::Options::balancing).
///
/// Whatever it is, a peer at its high-water mark is passed over, and so is one that does not take a message of that size.
///
/// ```
/// use zerohop::{Balancing, Context, Options, Req};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The server with the fewest requests under way; those on this host before all others.
/// let balancing = Balancing::least_outstanding().local_first();
/// let req = Req::with_options(&Context::new(), Options::new().balancing(balancing))?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Balancing {
    least_outstanding: bool,
    preference: Preference,
}

#[derive(Clone, Default)]
enum Preference {
    #[default]
    Alike,
    Local,
    By(Arc<dyn Weigh>),
}

/// How a socket chooses, without the code that says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// By what is outstanding.
    pub(crate) least_outstanding: bool,
    /// Each peer has a share, which is not known before its connection stands.
    pub(crate) weighs: bool,
}

/// Who says a peer's share.
pub(crate) enum Weighing {
    Known(Share),
    /// To be asked with no lock held.
    By(Arc<dyn Weigh>),
}

/// Says how much a peer is to get of what a socket sends, for [`Balancing::by`]. Closures do.
pub trait Weigh: Send + Sync {
    /// The share of this peer. It is asked once for each connection, when the handshake is done, and for each that stands when
    /// [`balancing`](crate::Options::balancing) is set anew; with no lock held, by whichever thread drives the socket, so it should not wait.
    /// Until it has answered, all others are preferred. If it panics, the peer has a [`Share`] like any other.
    fn weigh(&self, peer: &Origin) -> Share;
}

impl<F: Fn(&Origin) -> Share + Send + Sync> Weigh for F {
    fn weigh(&self, peer: &Origin) -> Share {
        self(peer)
    }
}

/// How much a peer gets of what a socket sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Share {
    pub(crate) priority: u8,
    pub(crate) weight: u16,
}

impl Share {
    /// A share with this weight, and the priority 0. A peer with twice the weight of another gets two messages where that one gets one; 0 counts as 1.
    pub fn new(weight: u16) -> Share {
        Share {
            priority: 0,
            weight: weight.max(1),
        }
    }

    /// The same with another priority: a peer gets messages only when all with a lower number are at their high-water mark, or gone.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Share {
        self.priority = priority;
        self
    }

    /// What [`local_first`](Balancing::local_first) gives a peer: the priority 0 within the process, 1 on this host (over ipc, or a loopback
    /// address), 2 elsewhere.
    pub fn by_distance(peer: &Origin) -> Share {
        Share::at(peer.address())
    }

    fn at(address: &str) -> Share {
        let is_loopback = |address: &str| {
            let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
            let host = host.trim_start_matches('[').trim_end_matches(']');
            host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        let priority = match address.split_once("://") {
            Some(("inproc", _)) => 0,
            Some(("ipc", _)) => 1,
            Some((_, rest)) if is_loopback(rest) => 1,
            Some(_) | None => 2,
        };
        Share::default().priority(priority)
    }
}

impl Default for Share {
    /// The weight 1 and the priority 0.
    fn default() -> Share {
        Share::new(1)
    }
}

impl Balancing {
    /// Peers take turns: the default, and what libzmq does.
    pub fn round_robin() -> Balancing {
        Balancing::default()
    }

    /// A message goes to the peer with the least outstanding, and in turn among those that have as little. That is, in proportion to its weight:
    ///
    /// - of a REQ, the requests that wait for their reply;
    /// - of a DEALER or CLIENT, the messages that were sent to the peer, less those that came from it: right where each is answered by one;
    /// - of a PUSH with [`delivery`](crate::Options::delivery), the messages that are not settled. It does so whatever is set here.
    ///
    /// Other PUSH sockets, and SCATTER, have nothing to count: there peers take turns.
    pub fn least_outstanding() -> Balancing {
        Balancing {
            least_outstanding: true,
            ..Balancing::default()
        }
    }

    /// Peers that are nearer come first, by the priorities of [`Share::by_distance`].
    #[must_use]
    pub fn local_first(mut self) -> Balancing {
        self.preference = Preference::Local;
        self
    }

    /// Each peer has the share that this says, in the place of any other preference.
    ///
    /// ```
    /// use zerohop::{Balancing, Origin, Share};
    ///
    /// // What the worker itself says of its size: "4:worker-17".
    /// let balancing = Balancing::round_robin().by(|peer: &Origin| {
    ///     let id = String::from_utf8_lossy(peer.routing_id());
    ///     let size = id.split(':').next().and_then(|size| size.parse().ok());
    ///     Share::new(size.unwrap_or(1))
    /// });
    /// ```
    #[must_use]
    pub fn by(mut self, weigh: impl Weigh + 'static) -> Balancing {
        self.preference = Preference::By(Arc::new(weigh));
        self
    }

    /// `None`: peers take turns, and no share matters.
    pub(crate) fn choice(&self) -> Option<Choice> {
        let weighs = !matches!(self.preference, Preference::Alike);
        (weighs || self.least_outstanding).then_some(Choice {
            least_outstanding: self.least_outstanding,
            weighs,
        })
    }

    /// The same where nothing can be counted.
    pub(crate) fn choice_without_count(&self) -> Option<Choice> {
        let counted = self.choice()?;
        counted.weighs.then_some(Choice {
            least_outstanding: false,
            ..counted
        })
    }

    pub(crate) fn weighing(&self, peer: &Origin) -> Weighing {
        match &self.preference {
            Preference::Alike => Weighing::Known(Share::default()),
            Preference::Local => Weighing::Known(Share::by_distance(peer)),
            Preference::By(weigh) => Weighing::By(Arc::clone(weigh)),
        }
    }
}

/// Code is equal to itself.
impl PartialEq for Balancing {
    fn eq(&self, other: &Balancing) -> bool {
        let same = match (&self.preference, &other.preference) {
            (Preference::Alike, Preference::Alike) | (Preference::Local, Preference::Local) => true,
            (Preference::By(one), Preference::By(two)) => Arc::ptr_eq(one, two),
            _ => false,
        };
        same && self.least_outstanding == other.least_outstanding
    }
}

impl Eq for Balancing {}

/// As the option is set by name, where there is no code.
impl fmt::Display for Balancing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.least_outstanding {
            true => "least_outstanding",
            false => "round_robin",
        })?;
        f.write_str(match &self.preference {
            Preference::Alike => "",
            Preference::Local => ", local_first",
            Preference::By(_) => ", code of the application",
        })
    }
}

impl fmt::Debug for Balancing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Balancing({self})")
    }
}

impl OptionValue for Balancing {
    fn render(&self) -> String {
        self.to_string()
    }

    fn parse(text: &str) -> Option<Balancing> {
        let (choice, preference) = match text.split_once(',') {
            Some((choice, preference)) => (choice, Some(preference.trim())),
            None => (text, None),
        };
        let balancing = match choice.trim() {
            "round_robin" => Balancing::round_robin(),
            "least_outstanding" => Balancing::least_outstanding(),
            _ => return None,
        };
        match preference {
            None => Some(balancing),
            Some("local_first") => Some(balancing.local_first()),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_says() {
        for text in [
            "round_robin",
            "least_outstanding",
            "round_robin, local_first",
            "least_outstanding, local_first",
        ] {
            let balancing = Balancing::parse(text).expect(text);
            assert_eq!(balancing.to_string(), text);
        }
        for text in [
            "",
            "random",
            "round_robin, code of the application",
            "local_first",
        ] {
            assert_eq!(Balancing::parse(text), None, "{text}");
        }
        let by = Balancing::round_robin().by(|_: &Origin| Share::default());
        assert_eq!(by, by.clone());
        assert_ne!(by, Balancing::round_robin());
        assert_eq!(Balancing::default().choice(), None);
    }

    #[test]
    fn knows_who_is_near() {
        for (address, priority) in [
            ("inproc://name", 0),
            ("ipc:///run/name", 1),
            ("tcp://127.0.0.3:5555", 1),
            ("tcp://[::1]:5555", 1),
            ("tcp://192.0.2.7:5555", 2),
            ("tcp://[2001:db8::1]:5555", 2),
            ("", 2),
        ] {
            assert_eq!(Share::at(address).priority, priority, "{address}");
        }
        assert_eq!(Share::new(0), Share::new(1));
    }
}
