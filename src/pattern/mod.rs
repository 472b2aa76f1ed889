//! What makes a PUSH a PUSH: pure data structures over peer ids.
//!
//! Which peer takes the next message, which peer is read next, and what a message means. Nothing here does I/O,
//! knows a socket, or allocates per message.
//!
//! | part | answers | used by |
//! |---|---|---|
//! | [`FairQueue`] | who is read next? | PULL, SUB, REP, REQ |
//! | [`LoadBalancer`] | who takes the next message? | PUSH, REQ |
//! | [`Subscriptions`] | who wants this message? | PUB |
//! | [`TopicFilter`] | do I want this message? | SUB |
//! | [`envelope`] | where does the body start? | REQ, REP |
//!
//! A peer id is the peer's key in its socket's slab. It is small, and used again after the peer has gone, so tables
//! here are indexed by it and grow to the largest id seen; an id must leave every structure before it names
//! someone else.

mod fair_queue;
mod load_balancer;
mod prefix_trie;
mod subscriptions;
mod topic_filter;

pub(crate) mod envelope;

pub(crate) use fair_queue::FairQueue;
pub(crate) use load_balancer::LoadBalancer;
pub(crate) use subscriptions::{Inserted, Removed, Subscriptions};
pub(crate) use topic_filter::TopicFilter;
