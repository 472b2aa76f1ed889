//! `zerohop xpub`.

use std::time::Duration;

use zerohop::{Upstream, Xpub};

use crate::console;
use crate::failure::Outcome;
use crate::output;
use crate::push::wait_failure;
use crate::send::{self, SenderArgs};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
As pub, and for XSUB as well as SUB. With --subscriptions it tells on standard error what is subscribed to: +TOPIC when a topic has its \
first subscriber, -TOPIC when it has lost its last one. Messages that an XSUB sends are dropped.

Example:
  tail -f prices.log | zerohop xpub --bind 'tcp://127.0.0.1:5556' --subscriptions")]
pub(crate) struct Args {
    /// Tell on standard error which topics are wanted (+TOPIC) and no longer wanted (-TOPIC)
    #[arg(long)]
    subscriptions: bool,
    /// Wait for so many peers that have subscribed to something before the first message
    #[arg(long, value_name = "N")]
    wait_subscribers: Option<usize>,
    #[command(flatten)]
    sender: SenderArgs,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let mut session = args.sender.open::<Xpub>()?;
    let tells = args.subscriptions;
    session.accompany(move |xpub| listen(xpub, tells));
    let wait = session.timeout.unwrap_or(Duration::MAX);
    if let Some(subscribers) = args.wait_subscribers
        && let Err(error) = session.socket.wait_for_any_subscribers(subscribers, wait)
    {
        let failure = wait_failure(&session, "subscribers", error);
        return session.close(Err(failure));
    }
    send::run(session, &args.sender)
}

/// Receives until the socket is shut down: what nobody receives holds peers up.
fn listen(xpub: &Xpub, tells: bool) {
    while let Ok(upstream) = xpub.recv_upstream_timeout(Duration::MAX) {
        let (sign, subscription) = match &upstream {
            Upstream::Subscribe(subscription) => ('+', subscription),
            Upstream::Unsubscribe(subscription) => ('-', subscription),
            _ => continue,
        };
        if tells {
            let topic = output::in_a_line(subscription.topic());
            console::say(&format!("{sign}{topic}"));
        }
    }
}
