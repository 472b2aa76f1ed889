//! What makes a PUSH a PUSH: pure data structures over peer ids.
//!
//! Which peer takes the next message, which peer is read next, and what a message means. Nothing here does I/O,
//! knows a socket, or allocates per message.
//!
//! | part | answers | used by |
//! |---|---|---|
//! | [`FairQueue`] | who is read next? | PULL, SUB, REP, REQ, DEALER, ROUTER, PAIR, XSUB |
//! | [`LoadBalancer`] | who takes the next message? | PUSH, REQ, DEALER |
//! | [`Preferences`](preferences::Preferences) | and where it is not just whose turn it is? | the same |
//! | [`Outlet`](outlet::Outlet) | where does the message of a lost peer go? | PUSH, DEALER |
//! | [`BalancedOut`](balanced_out::BalancedOut) | is it held until it is settled? | the same |
//! | [`Distributor`](distributor::Distributor), [`Subscriptions`](subscriptions::Subscriptions) | who wants this message? | PUB, XPUB, RADIO |
//! | [`acked_out`], [`acked_in`], [`acked_to`] | which messages are settled? | PUSH, PULL, DEALER, ROUTER, where that is asked for |
//! | [`logged_out`], [`logged_in`] | which messages of a log has a subscriber had? | PUB with a log, SUB |
//! | [`stored`] | what is to be written of them? | PUSH with a spool |
//! | [`repeated_in`] | has this been asked before? | REP, where that is asked for |
//! | [`TopicFilter`] | do I want this message? | SUB, DISH |
//! | [`Publisher`](publisher::Publisher) | which topics is this publisher told? | SUB, XSUB, DISH |
//! | [`routes`] | whose name is this? | ROUTER, SERVER, PEER |
//! | [`form`] | how many frames has a message? | the draft types that are another type but for that |
//! | [`matching`] | what is a subscription compared with? | PUB and SUB, RADIO and DISH |
//! | [`envelope`] | where does the body start? | REQ, REP |
//!
//! A peer id is the peer's key in its socket's slab. It is small, and used again after the peer has gone, so tables
//! here are indexed by it and grow to the largest id seen; an id must leave every structure before it names
//! someone else.

mod acked_in;
mod acked_out;
mod acked_to;
mod balanced_out;
mod dealer;
mod distributor;
mod fair_queue;
mod fair_turns;
mod form;
mod load_balancer;
mod logged_in;
mod logged_out;
mod matching;
mod outlet;
mod pair;
mod preferences;
mod prefix_trie;
mod publish;
mod publisher;
mod pull;
mod push;
mod repeated_in;
mod reply;
mod request;
mod router;
mod routes;
mod stored;
mod subscribe;
mod subscriptions;
mod topic_filter;
mod upstream;
mod xpub;
mod xsub;

pub(crate) mod envelope;

pub(crate) use fair_queue::FairQueue;
pub(crate) use load_balancer::LoadBalancer;
pub(crate) use publisher::TopicLimits;
pub(crate) use subscriptions::Subscriptions;
pub(crate) use topic_filter::TopicFilter;

#[cfg(test)]
pub(crate) use matching::{Groups, Matching, Topics};
#[cfg(test)]
pub(crate) use publish::PubOf;
#[cfg(test)]
pub(crate) use subscribe::SubOf;

pub(crate) use acked_in::{AckedIn, HeldJob};
pub(crate) use acked_out::{AckedOut, RelayId};
pub use acked_out::{DeadLetter, DeadReason, JobId, Settled};
pub(crate) use dealer::{ClientPattern, DealerPattern};
pub(crate) use logged_in::LostRange;
pub use logged_in::Source;
pub(crate) use logged_out::{Done, Item, LogShared, LoggedOut, Work};
pub(crate) use pair::{ChannelPattern, PairPattern};
pub use publish::Published;
pub(crate) use publish::{PubPattern, RadioPattern};
pub(crate) use pull::{GatherPattern, PullPattern};
pub(crate) use push::{PushPattern, ScatterPattern};
pub(crate) use reply::{RepPattern, ReturnAddress, Undeliverable};
pub(crate) use request::{Outcome, Refusal, ReqPattern, Ticket};
pub use router::Routed;
pub(crate) use router::{NumberedPattern, RouterOf, RouterPattern, Unroutable};
pub(crate) use routes::Name;
pub(crate) use stored::{Resumed, SpoolNote, dead_reason};
pub(crate) use subscribe::{DishPattern, SubPattern};
pub(crate) use xpub::{Subscriber, XpubPattern};
pub use xpub::{Subscription, Upstream};
pub(crate) use xsub::XsubPattern;

use std::time::Instant;

use crate::engine::{Excess, Outgoing, PeerId, Peers, Unsent};
use crate::error::SendErrorKind;
use crate::message::Message;
use crate::monitor::{PeerRefusal, RefusalCause};
use crate::options::{Options, Share};
use crate::stats::DeliveryStats;
use crate::zmtp::delivery::{Hello, Notice};
use crate::zmtp::replay::LogNotice;
use crate::zmtp::{ProtocolError, SocketType};

/// What the engine tells a socket type of its peers. Everything is called under the socket's state lock;
/// nothing may block.
///
/// In the life of a peer: `attached`, then `admit`, `established` and `lost` as often as its connection comes and
/// goes, then `detached`, which may come without `lost`, then `forget`. Of one that was never attached there is only `forget`. A peer that is dialed is attached at once (unless the option
/// `immediate` is set), so that messages can be queued for it; an accepted one when its handshake is done and it has been admitted.
pub(crate) trait Pattern: Send {
    fn socket_type(&self) -> SocketType;

    /// Why an option cannot be changed to what it is here at this moment, by its name.
    fn objection(&self, _options: &Options) -> Option<(&'static str, &'static str)> {
        None
    }

    /// The options are these from now on. Those that cannot be changed are as before.
    fn reconfigure(&mut self, _peers: &mut Peers, _options: &Options) {}

    /// Whether peers speak no ZMTP: bytes are all there is, as they come, over tcp. There is no handshake then, and nothing to keep
    /// strangers out.
    fn is_raw(&self) -> bool {
        false
    }

    /// Whether to let in a peer whose handshake is done, for the first time or again; what it said in it is known
    /// ([`Peers::facts`]). One that is refused is told neither of as `established` nor as `lost`.
    fn admit(&mut self, _peers: &mut Peers, _id: PeerId) -> Admission {
        Admission::Granted
    }

    /// Messages may be sent to this peer from now on.
    fn attached(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// The peer's handshake is done, for the first time or again.
    fn established(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// The peer, which will be dialed again, has ended the connection shortly after it was told of topics. [`lost`](Self::lost) follows.
    fn ended_in_doubt(&mut self, _id: PeerId) {}

    /// The peer has answered the last PING sent by [`Peers::ping`], or has had more time than it takes to end a connection. Says whether
    /// there is [more to say](Self::go_on).
    fn answered(&mut self, _id: PeerId) -> bool {
        false
    }

    /// Says what was waiting for that answer.
    fn go_on(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// Whether more is to be said when the peer has answered, or has had time to.
    fn awaits_answer(&self, _id: PeerId) -> bool {
        false
    }

    /// The peer's connection is gone, and will be dialed again.
    fn lost(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// No message may be sent to this peer any more. `unsent` is what was queued for it, whole messages;
    /// what the peer sent before can still be taken.
    fn detached(&mut self, _peers: &mut Peers, _id: PeerId, _unsent: Vec<Unsent>) {}

    /// What was being written to a peer that has been detached meanwhile: messages older than those that
    /// `detached` brought.
    fn orphaned(&mut self, _peers: &mut Peers, _unsent: Vec<Unsent>) {}

    /// What was queued for a peer before it said, with its handshake, that it takes nothing that large.
    fn refused(&mut self, peers: &mut Peers, id: PeerId, unsent: Vec<Unsent>) {
        for Unsent { message, .. } in unsent {
            if let Some(excess) = peers.excess(id, Outgoing::Message(&message)) {
                peers.give_up(id, message.size(), excess.into());
                self.given_up(&message, excess.into());
            }
        }
    }

    /// A message that was queued has been given up, and is counted: no peer takes it.
    fn given_up(&mut self, _message: &Message, _cause: RefusalCause) {}

    /// What was being written to a peer without the lock is back in its queue, as far as it has not left; `connected`: the
    /// connection that it was written to is still there.
    fn returned(&mut self, _peers: &mut Peers, _id: PeerId, _connected: bool) {}

    /// The peer is no more: its id may name another from now on. Told exactly once, of every peer.
    fn forget(&mut self, _id: PeerId) {}

    /// Whether something is left of a connection of this peer that is gone, which is to be
    /// [forgotten](Self::forget_more) before it has another, or its id names another.
    fn remembers(&self, _id: PeerId) -> bool {
        false
    }

    /// Goes on forgetting until it is `over`, or nothing is left of some peer, which it names.
    fn forget_more(&mut self, _over: &dyn Fn() -> bool) -> Option<PeerId> {
        None
    }

    /// Whether there is more to forget, of any peer.
    fn is_forgetting(&self) -> bool {
        false
    }

    /// Whether the application receives what peers send. If not, peers need not be told which messages would be too large.
    fn receives(&self) -> bool;

    /// Whether peers subscribe to topics. Acting upon those as they are read takes far longer than reading does.
    fn holds_subscriptions(&self) -> bool {
        false
    }

    /// Whether the option `conflate` is of use: not where a message belongs to a dialogue, or has an envelope.
    fn may_conflate(&self) -> bool;

    /// The peer has whole messages to take. Told once per batch, not per message. An error closes the
    /// connection.
    fn readable(&mut self, peers: &mut Peers, id: PeerId) -> Result<(), ProtocolError>;

    /// How much of what this peer has sent the pattern holds for the application. It counts as not received, and keeps the place of a
    /// peer that has gone: each time that some of it is taken, [`Peers::handed_on`] is to be told.
    fn waiting(&self, _id: PeerId) -> usize {
        0
    }

    /// Whether there seem to be more messages to take. It may be wrong in saying so, and never in denying it.
    fn has_more(&self) -> bool {
        false
    }

    /// Whether something is there to be received. Unlike [`has_more`](Self::has_more) it is right: what would be passed over is dropped.
    fn would_receive(&mut self, _peers: &mut Peers) -> bool {
        self.has_more()
    }

    /// Whether a message may be sent without waiting, unless it is too large for those who have room. If not,
    /// [`writable`](Self::writable) tells of a change.
    fn would_send(&mut self, _peers: &mut Peers) -> bool {
        true
    }

    /// What has ended since this was last asked, of what tasks wait for: requests by their tickets, messages by their numbers.
    fn ended(&mut self, _peers: &mut Peers) -> Vec<u64> {
        let acked = self.acked_out();
        acked.map(|acked| acked.take_settled()).unwrap_or_default()
    }

    /// Of messages with lower numbers it is known whether they are safe.
    fn safety_known_below(&mut self) -> u64 {
        let acked = self.acked_out();
        acked.map_or(u64::MAX, |acked| acked.safety_known_below())
    }

    /// Whether there are [shares](crate::Share) to be told: they are asked for when a connection stands.
    fn weighs(&self) -> bool {
        false
    }

    /// The peer's share of the messages is this.
    fn set_share(&mut self, _peers: &mut Peers, _id: PeerId, _share: Share) {}

    /// A peer that was full has room again.
    fn writable(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// Whether messages can be taken that could not be before this peer had room.
    fn take_resumed(&mut self) -> bool {
        false
    }

    /// The peer subscribes to a topic, or no longer.
    fn topic(&mut self, _id: PeerId, _topic: &[u8], _subscribe: bool) -> Result<(), ProtocolError> {
        Ok(())
    }

    /// The peer has joined a group, or has left it.
    fn group(&mut self, _id: PeerId, _group: &[u8], _join: bool) -> Result<(), ProtocolError> {
        Ok(())
    }

    /// Either of them, of a peer in this process, for which there are no limits.
    fn own_topic(&mut self, _id: PeerId, _topic: &[u8], _subscribe: bool) {}

    /// What is said of acknowledged delivery in the handshake, if the socket asks for that.
    fn hello(&self) -> Option<Hello> {
        None
    }

    /// The peer has said something of acknowledged delivery. Where that was not agreed upon, it means nothing.
    fn delivery(
        &mut self,
        _id: PeerId,
        _notice: Notice<'_>,
        _now: Instant,
    ) -> Result<(), ProtocolError> {
        Ok(())
    }

    /// What is said in the handshake of logs, if the socket knows them: the value of the property.
    fn log_property(&self) -> Option<Vec<u8>> {
        None
    }

    /// What is said in the handshake of requests that may be sent again: the value of the property.
    fn idempotent_property(&self) -> Option<Vec<u8>> {
        None
    }

    /// Whether messages go to connected peers alone, whatever the options say: before its handshake nobody knows what a peer does with them.
    fn is_immediate(&self) -> bool {
        self.hello().is_some()
    }

    /// The peer has said something of a log. Where that was not agreed upon, it means nothing.
    fn log(&mut self, _id: PeerId, _notice: LogNotice<'_>) -> Result<(), ProtocolError> {
        Ok(())
    }

    /// What follows from either.
    fn settled(&mut self, _peers: &mut Peers, _id: PeerId) {}

    /// The messages that are held until they are settled, if that is asked for.
    fn acked_out(&mut self) -> Option<&mut AckedOut> {
        None
    }

    /// The messages that came and are to be settled, if that is asked for.
    fn acked_in(&mut self) -> Option<&mut AckedIn> {
        None
    }

    /// The messages that are delivered no more, since this was last asked.
    fn take_dead(&mut self) -> Vec<DeadLetter> {
        let acked = self.acked_out();
        acked.map(|acked| acked.take_dead()).unwrap_or_default()
    }

    /// What has become of the message with this number, which somebody has a receipt of, if that is known.
    fn settled_as(&mut self, number: u64) -> Option<Settled> {
        self.acked_out()?.settled_as(number)
    }

    /// Nobody asks for that any more.
    fn forget_receipt(&mut self, number: u64) {
        if let Some(acked) = self.acked_out() {
            acked.forget_receipt(number);
        }
    }

    /// When acknowledged delivery has something to do: asked where that may have changed.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// That time has come.
    fn handle_timeout(&mut self, _peers: &mut Peers, _now: Instant) {}

    /// What acknowledged delivery has counted.
    fn delivery_stats(&self) -> DeliveryStats {
        DeliveryStats::default()
    }

    /// The socket begins to close: what is still to be said to peers goes into their queues.
    fn closing(&mut self, _peers: &mut Peers) {}

    /// The socket is closed: messages that it still holds go to [`Peers::discard`].
    fn clear(&mut self, _peers: &mut Peers) {}

    /// Whether messages queued for a connection that breaks are kept, for the next one or another peer.
    fn keeps_unsent(&self) -> bool;

    /// Whether messages queued for a peer that is gone can go to another. If not, they are dropped and counted.
    fn moves_unsent(&self) -> bool {
        self.keeps_unsent()
    }

    /// Whether a second connection to the same endpoint would be of no use: it would only repeat messages, or take turns with the
    /// first. As libzmq has it.
    fn connects_once(&self) -> bool {
        false
    }

    /// Whether the next message may come any moment, and alone: sleeping would take longer than waiting for it.
    fn in_dialogue(&self) -> bool {
        false
    }

    /// Whether an application that connects this socket has something to ask, and then waits for the answer.
    fn sends_request_first(&self) -> bool {
        false
    }

    /// Whether the peer has certainly read all that it was sent, since it has answered the last of it.
    fn has_been_read(&self, _id: PeerId) -> bool {
        false
    }

    /// Messages that were accepted and that no peer has room for at the moment.
    fn orphans(&self) -> usize {
        0
    }

    /// Messages that came and could not be made sense of: replies nobody asked for, requests without an
    /// envelope.
    fn unexpected(&self) -> u64 {
        0
    }

    /// Messages that were dropped since no peer has the name they were for.
    fn unroutable(&self) -> u64 {
        0
    }
}

/// Whether a peer is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Granted,
    /// In the place of another peer, which has to go.
    Replaces(PeerId, PeerRefusal),
    /// Its connection is closed. If it is one that we dial, it is dialed again after a wait.
    Refused(PeerRefusal),
}

/// A pattern whose socket receives messages one after the other.
pub(crate) trait Receiving: Pattern {
    /// Takes the next message into `message`, if there is one.
    fn recv(&mut self, peers: &mut Peers, message: &mut Message) -> Option<()>;

    /// The same, and says of which peer it is. `None` inside: that is not known any more.
    fn recv_from(&mut self, peers: &mut Peers, message: &mut Message) -> Option<Option<PeerId>>;
}

/// A pattern whose socket sends messages one after the other.
pub(crate) trait Sending: Pattern {
    /// What is known of a message once it is queued.
    type Sent: Send;

    /// Messages have one frame; others are refused before they get here.
    const SINGLE: bool = false;

    /// Queues the message for the peers that are to have it. `None`: there is no room, and it is to be waited for.
    fn send(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Self::Sent>;

    /// The same, for calls that may have to wait: without the short way that `send` tries first, so that this is compiled into
    /// the application's own functions only.
    fn send_any(&mut self, peers: &mut Peers, outgoing: Outgoing<'_>) -> Option<Self::Sent> {
        self.send(peers, outgoing)
    }

    /// What is known of a message once it is in a spool and [queued](AckedOut::send_stored). `None`: there is no spool for such sockets.
    fn sent_stored() -> Option<Self::Sent> {
        None
    }

    /// Why no peer will ever take a message for which there was no room, if that is so.
    fn excess(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<Excess>;

    /// What else makes it useless to wait.
    fn failure(&self) -> Option<SendErrorKind> {
        None
    }

    /// Why a message for which there was no room will not be sent, if that is so.
    fn refusal(&self, peers: &Peers, outgoing: Outgoing<'_>) -> Option<SendErrorKind> {
        let excess = self.excess(peers, outgoing).map(SendErrorKind::from);
        excess.or_else(|| self.failure())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OPTION_TABLE;

    fn patterns() -> [Box<dyn Pattern>; 20] {
        [
            Box::new(PushPattern::new()),
            Box::new(PullPattern::new()),
            Box::new(PubPattern::new(&Options::new())),
            Box::new(SubPattern::new(Some(2), false)),
            Box::new(ReqPattern::new(true, true, 0)),
            Box::new(RepPattern::new()),
            Box::new(DealerPattern::new(false, false)),
            Box::new(RouterPattern::new(true, true, true, 0)),
            Box::new(RouterPattern::stream(0)),
            Box::new(PairPattern::new()),
            Box::new(XpubPattern::new(&Options::new())),
            Box::new(XsubPattern::new(Some(2), false)),
            Box::new(NumberedPattern::new(SocketType::Server, 0)),
            Box::new(ClientPattern::with_options(&Options::new())),
            Box::new(RadioPattern::new(&Options::new())),
            Box::new(DishPattern::new(Some(2), false)),
            Box::new(GatherPattern::new()),
            Box::new(ScatterPattern::new()),
            Box::new(NumberedPattern::new(SocketType::Peer, 0)),
            Box::new(ChannelPattern::new()),
        ]
    }

    #[test]
    fn the_option_table_says_which_patterns_conflate() {
        let row = OPTION_TABLE.iter().find(|row| row.name == "conflate");
        let row = row.expect("the option");
        for pattern in patterns() {
            let socket_type = pattern.socket_type();
            assert_eq!(
                pattern.may_conflate(),
                row.applies_to(socket_type),
                "{socket_type}"
            );
        }
    }
}
