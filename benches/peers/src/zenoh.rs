//! zenoh, peer to peer: a publisher and its subscribers, and queries in the place of requests. Its discovery is off; a peer is told
//! where the other is.

use std::collections::HashMap;
use std::future::Future;

use bytes::Bytes;
use zenoh::bytes::ZBytes;
use zenoh::handlers::{FifoChannel, FifoChannelHandler};
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;
use zenoh::query::{ConsolidationMode, Query, Queryable};
use zenoh::sample::Sample;
use zenoh::{Config, Session};

use crate::child::contestant::{Absent, Contestant, Receiver, Replier, Requester, Sender};
use crate::child::system::now;
use crate::child::{Fallible, Fault, TOPIC_LEN};
use crate::runtime::{many_threads, wait_until};

/// What is asked for.
const KEY: &str = "echo";

/// Room for messages that a subscriber has not taken: more than one of several can be behind the others, which is what connections hold.
///
/// Where there is no room, the thread waits that has received the message, and there are two for all sessions of a process. With the usual 256
/// both wait for subscribers whose turn is yet to come, while the loop waits for another, to which nothing comes any more.
const ROOM: usize = 1 << 17;

/// How long to look for who replies: a session is open before it has heard of what its peer has declared.
const PATIENCE: u64 = 5_000_000_000;

/// The runtime runs the loop; zenoh has threads of its own.
pub(crate) struct Zenoh(tokio::runtime::Runtime);

impl Zenoh {
    pub(crate) fn new() -> Fallible<Zenoh> {
        Ok(Zenoh(many_threads()?))
    }
}

/// A session that listens or connects there.
async fn open(way: &str, endpoint: &str) -> Fallible<Session> {
    let place = match endpoint.split_once("://") {
        Some(("tcp", place)) => format!("tcp/{place}"),
        Some(("ipc", place)) => format!("unixsock-stream/{place}"),
        _ => return Err(Fault::from("a transport that it does not have")),
    };
    let mut config = Config::default();
    let places = serde_json::to_string(&[place])?;
    for (key, value) in [
        ("mode", "\"peer\""),
        ("scouting/multicast/enabled", "false"),
        ("scouting/gossip/enabled", "false"),
        // Otherwise a session waits for others to be found before it is open.
        ("scouting/delay", "0"),
        ("open/return_conditions/connect_scouted", "false"),
        ("listen/endpoints", "[]"),
        (&format!("{way}/endpoints"), &places),
    ] {
        config.insert_json5(key, value)?;
    }
    Ok(zenoh::open(config).await?)
}

fn name(topic: &[u8]) -> Fallible<String> {
    Ok(std::str::from_utf8(topic)?.to_owned())
}

impl Contestant for Zenoh {
    type Pull = Absent;
    type Push = Absent;
    type Sub = Subscribed;
    type Pub = Published;
    type Req = Asking;
    type Rep = Answering;

    fn run<T>(&self, role: impl Future<Output = T>) -> T {
        self.0.block_on(role)
    }

    async fn bind_pull(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn connect_push(&self, _endpoint: &str) -> Fallible<Absent> {
        Absent::refuse()
    }

    async fn bind_pub(&self, endpoint: &str) -> Fallible<Published> {
        Ok(Published {
            session: open("listen", endpoint).await?,
            publishers: HashMap::new(),
        })
    }

    async fn connect_sub(
        &self,
        endpoint: &str,
        topics: &[[u8; TOPIC_LEN]],
    ) -> Fallible<Subscribed> {
        let session = open("connect", endpoint).await?;
        // All topics begin alike, and each is of one piece: one key stands for all, which is less work than one for each.
        let key = match topics {
            [topic] => name(topic)?,
            _ => String::from("*"),
        };
        let declared = session.declare_subscriber(key);
        let subscriber = declared.with(FifoChannel::new(ROOM)).await?;
        Ok(Subscribed {
            subscriber,
            _session: session,
        })
    }

    async fn bind_rep(&self, endpoint: &str) -> Fallible<Answering> {
        let session = open("listen", endpoint).await?;
        let queryable = session.declare_queryable(KEY).complete(true).await?;
        Ok(Answering {
            queryable,
            _session: session,
        })
    }

    async fn connect_req(&self, endpoint: &str) -> Fallible<Asking> {
        Ok(Asking {
            session: open("connect", endpoint).await?,
            is_known: false,
        })
    }

    async fn wait_until(&self, time: u64) {
        wait_until(time).await;
    }
}

/// A publisher for each topic, declared when it is first used.
pub(crate) struct Published {
    session: Session,
    publishers: HashMap<Box<[u8]>, Publisher<'static>>,
}

impl Published {
    async fn put(&mut self, topic: &[u8], payload: ZBytes) -> Fallible<()> {
        if !self.publishers.contains_key(topic) {
            let publisher = self.session.declare_publisher(name(topic)?);
            // Waits for slow subscribers instead of dropping.
            let publisher = publisher.congestion_control(CongestionControl::Block);
            self.publishers.insert(topic.into(), publisher.await?);
        }
        Ok(self.publishers[topic].put(payload).await?)
    }
}

impl Sender for Published {
    async fn send(&mut self, message: &[u8]) -> Fallible<()> {
        self.put(&message[..TOPIC_LEN], ZBytes::from(message)).await
    }

    async fn send_shared(&mut self, message: &Bytes) -> Fallible<()> {
        self.put(&message[..TOPIC_LEN], ZBytes::from(message.clone()))
            .await
    }
}

pub(crate) struct Subscribed {
    subscriber: Subscriber<FifoChannelHandler<Sample>>,
    _session: Session,
}

impl Receiver for Subscribed {
    async fn recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let sample = self.subscriber.recv_async().await?;
        Ok(show(&sample.payload().to_bytes()))
    }

    fn try_recv<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<Option<T>> {
        let sample = self.subscriber.try_recv()?;
        Ok(sample.map(|sample| show(&sample.payload().to_bytes())))
    }
}

pub(crate) struct Asking {
    session: Session,
    /// Whether somebody has replied, and so will again.
    is_known: bool,
}

impl Requester for Asking {
    async fn ask<T>(&mut self, request: &[u8], show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let give_up = now() + PATIENCE;
        loop {
            let query = self.session.get(KEY).payload(request);
            // A reply is handed out when it comes, and not when it is known to be the last.
            let replies = query.consolidation(ConsolidationMode::None).await?;
            match replies.recv_async().await {
                Ok(reply) => {
                    self.is_known = true;
                    let sample = reply.into_result().map_err(|_| "an error for a reply")?;
                    return Ok(show(&sample.payload().to_bytes()));
                }
                // Nobody who would reply is known yet.
                Err(_) if !self.is_known && now() < give_up => {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

pub(crate) struct Answering {
    queryable: Queryable<FifoChannelHandler<Query>>,
    _session: Session,
}

impl Replier for Answering {
    async fn echo<T>(&mut self, show: impl FnOnce(&[u8]) -> T) -> Fallible<T> {
        let query = self.queryable.recv_async().await?;
        let request = query.payload().ok_or("a query without a payload")?.clone();
        let shown = show(&request.to_bytes());
        query.reply(KEY, request).await?;
        Ok(shown)
    }
}
