//! How what stands in [`Stats`](crate::Stats) is written: as numbers and texts.

use serde::{Serialize, Serializer};

use crate::{ConnectionId, Principal};

/// The number (feature `serde`).
impl Serialize for ConnectionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.get())
    }
}

/// The text of `Display`, such as `user alice` (feature `serde`).
impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PeerStats, Stats};

    #[test]
    fn everything_is_written() {
        let stats = Stats {
            peers: vec![PeerStats {
                connection: Some(ConnectionId::new(3)),
                principal: Some(Principal::Uid(1000)),
                mechanism: "NULL",
                ..PeerStats::default()
            }],
            messages_in: 5,
            ..Stats::default()
        };
        let json = serde_json::to_value(&stats).expect("JSON");
        assert_eq!(json["messages_in"], 5);
        assert_eq!(json["dropped"]["high_water_mark"], 0);
        assert_eq!(json["peers"][0]["connection"], 3);
        assert_eq!(json["peers"][0]["principal"], "uid 1000");
        assert_eq!(json["peers"][0]["mechanism"], "NULL");
    }
}
