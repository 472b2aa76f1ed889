//! How much of a socket one address may take: connections, handshakes under way, handshakes in a second.
//!
//! Pure data: addresses and the time come in, and whether a connection is taken comes out. Of IPv6 addresses the first 64 bits count, since
//! whoever has one of these networks has all addresses in it.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

/// Addresses that are remembered although nothing comes from them.
const MOST_IDLE: usize = 4096;

/// Which limit of an address a connection went beyond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum AddressLimit {
    /// [`max_connections_per_address`](crate::Options::max_connections_per_address)
    Connections,
    /// [`max_handshakes_per_address`](crate::Options::max_handshakes_per_address)
    Handshakes,
    /// [`max_handshake_rate_per_address`](crate::Options::max_handshake_rate_per_address)
    HandshakeRate,
}

impl fmt::Display for AddressLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressLimit::Connections => "too many connections from its address",
            AddressLimit::Handshakes => "too many connections from its address in their handshake",
            AddressLimit::HandshakeRate => "too many connections from its address in a second",
        })
    }
}

/// The limits, as the options say: 0 is none, and `None` the default for other machines and none for this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) connections: Option<usize>,
    pub(super) handshakes: Option<usize>,
    pub(super) rate: Option<usize>,
}

impl Limits {
    /// For connections, handshakes, and handshakes in a second; `None` where there is none.
    fn of(self, address: IpAddr) -> [Option<usize>; 3] {
        let limits = [
            (self.connections, 512),
            (self.handshakes, 128),
            (self.rate, 256),
        ];
        let local = address.is_loopback();
        limits.map(|(set, default)| {
            set.or((!local).then_some(default))
                .filter(|&limit| limit > 0)
        })
    }
}

/// What one address has.
#[derive(Debug)]
struct Taken {
    connections: usize,
    handshakes: usize,
    /// So many more handshakes may begin, as of this time. They come back at the rate that is allowed.
    spare: f64,
    at: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    taken: HashMap<IpAddr, Taken>,
    /// How many had connections when the others were last forgotten.
    busy: usize,
}

/// What stands for all addresses that one machine may well have.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

impl Addresses {
    /// A connection comes, whose handshake begins if it is taken.
    pub(super) fn admit(
        &mut self,
        address: IpAddr,
        limits: Limits,
        now: Instant,
    ) -> Result<(), AddressLimit> {
        let address = network(address);
        let [connections, handshakes, rate] = limits.of(address);
        // Not with each connection, where there are many that stay.
        if self.taken.len() > MOST_IDLE + 2 * self.busy {
            self.taken.retain(|_, taken| taken.connections > 0);
            self.busy = self.taken.len();
        }
        let full = rate.map_or(f64::MAX, |rate| rate as f64);
        let taken = self.taken.entry(address).or_insert(Taken {
            connections: 0,
            handshakes: 0,
            spare: full,
            at: now,
        });
        if let Some(rate) = rate {
            let passed = now.saturating_duration_since(taken.at).as_secs_f64();
            taken.spare = (taken.spare + passed * rate as f64).min(full);
            taken.at = now;
        }
        if connections.is_some_and(|most| taken.connections >= most) {
            return Err(AddressLimit::Connections);
        }
        if handshakes.is_some_and(|most| taken.handshakes >= most) {
            return Err(AddressLimit::Handshakes);
        }
        if rate.is_some() && taken.spare < 1.0 {
            return Err(AddressLimit::HandshakeRate);
        }
        if rate.is_some() {
            taken.spare -= 1.0;
        }
        taken.connections += 1;
        taken.handshakes += 1;
        Ok(())
    }

    /// The handshake of a connection that was taken is over, well or not.
    pub(super) fn shaken_hands(&mut self, address: IpAddr) {
        if let Some(taken) = self.taken.get_mut(&network(address)) {
            taken.handshakes = taken.handshakes.saturating_sub(1);
        }
    }

    /// Such a connection has ended.
    pub(super) fn closed(&mut self, address: IpAddr) {
        if let Some(taken) = self.taken.get_mut(&network(address)) {
            taken.connections = taken.connections.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FEW: Limits = Limits {
        connections: Some(3),
        handshakes: Some(2),
        rate: Some(4),
    };

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_takes_no_more_than_its_share() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        let (one, other) = (address("10.0.0.1"), address("10.0.0.2"));
        assert_eq!(addresses.admit(one, FEW, now), Ok(()));
        assert_eq!(addresses.admit(one, FEW, now), Ok(()));
        assert_eq!(
            addresses.admit(one, FEW, now),
            Err(AddressLimit::Handshakes)
        );
        assert_eq!(addresses.admit(other, FEW, now), Ok(()));
        addresses.shaken_hands(one);
        assert_eq!(addresses.admit(one, FEW, now), Ok(()));
        addresses.shaken_hands(one);
        addresses.shaken_hands(one);
        assert_eq!(
            addresses.admit(one, FEW, now),
            Err(AddressLimit::Connections)
        );
        addresses.closed(one);
        assert_eq!(addresses.admit(one, FEW, now), Ok(()));
    }

    #[test]
    fn handshakes_come_back_at_their_rate() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        let one = address("10.0.0.1");
        let mut come = |now: Instant| {
            let admitted = addresses.admit(one, FEW, now);
            if admitted.is_ok() {
                addresses.shaken_hands(one);
                addresses.closed(one);
            }
            admitted
        };
        for _ in 0..4 {
            assert_eq!(come(now), Ok(()));
        }
        assert_eq!(come(now), Err(AddressLimit::HandshakeRate));
        let later = now + Duration::from_millis(250);
        assert_eq!(come(later), Ok(()));
        assert_eq!(come(later), Err(AddressLimit::HandshakeRate));
        let much_later = now + Duration::from_secs(60);
        for _ in 0..4 {
            assert_eq!(come(much_later), Ok(()));
        }
        assert_eq!(come(much_later), Err(AddressLimit::HandshakeRate));
    }

    #[test]
    fn this_machine_is_limited_only_if_that_is_said() {
        let default = Limits {
            connections: None,
            handshakes: None,
            rate: None,
        };
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        for _ in 0..10_000 {
            for local in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(addresses.admit(address(local), default, now), Ok(()));
            }
        }
        let far = address("10.0.0.1");
        let admitted = (0..10_000).filter(|_| addresses.admit(far, default, now).is_ok());
        assert_eq!(admitted.count(), 128);
        let none = Limits {
            connections: Some(0),
            handshakes: Some(0),
            rate: Some(0),
        };
        let free = (0..10_000).filter(|_| addresses.admit(far, none, now).is_ok());
        assert_eq!(free.count(), 10_000);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        assert_eq!(addresses.admit(address("2001:db8::1"), FEW, now), Ok(()));
        assert_eq!(
            addresses.admit(address("2001:db8::2:3:4:5"), FEW, now),
            Ok(())
        );
        let third = addresses.admit(address("2001:db8::9"), FEW, now);
        assert_eq!(third, Err(AddressLimit::Handshakes));
        assert_eq!(
            addresses.admit(address("2001:db8:0:1::1"), FEW, now),
            Ok(())
        );
    }

    /// Otherwise each connection would take a look at all others.
    #[test]
    fn those_who_stay_are_not_looked_at_each_time() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        let numbered = |number: u32| IpAddr::from((number | 0x0a00_0000).to_be_bytes());
        let stay = 2 * MOST_IDLE as u32;
        for number in 0..stay {
            assert_eq!(addresses.admit(numbered(number), FEW, now), Ok(()));
        }
        let mut looks = 0;
        for number in stay..100_000 {
            let (one, before) = (numbered(number), addresses.taken.len());
            assert_eq!(addresses.admit(one, FEW, now), Ok(()));
            addresses.shaken_hands(one);
            addresses.closed(one);
            looks += u32::from(addresses.taken.len() <= before);
            assert!(addresses.taken.len() <= MOST_IDLE + 3 * stay as usize);
        }
        assert!(looks < 20, "{looks}");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut addresses, now) = (Addresses::default(), Instant::now());
        for number in 0..100_000_u32 {
            let one = IpAddr::from((number | 0x0a00_0000).to_be_bytes());
            assert_eq!(addresses.admit(one, FEW, now), Ok(()));
            addresses.shaken_hands(one);
            addresses.closed(one);
        }
        assert!(addresses.taken.len() <= MOST_IDLE + 1);
    }
}
