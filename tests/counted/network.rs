//! Two machines with a cable between them: network namespaces of this one.

use std::process::{Command, Stdio};

use crate::common::unique;

/// Two namespaces, joined by a link. Needs root. Gone when dropped.
pub(crate) struct Network {
    sender: String,
    receiver: String,
}

/// The receiver's address.
pub(crate) const RECEIVER: &str = "10.83.71.2";

impl Network {
    /// `None` where this is not permitted, or not possible.
    pub(crate) fn lay() -> Option<Network> {
        let tag = format!("{:x}-{}", std::process::id(), unique::number());
        let network = Network {
            sender: format!("zh-s-{tag}"),
            receiver: format!("zh-r-{tag}"),
        };
        let Network { sender, receiver } = &network;
        let steps = [
            format!("netns add {sender}"),
            format!("netns add {receiver}"),
            format!("-n {sender} link add cable type veth peer name cable netns {receiver}"),
            format!("-n {sender} addr add 10.83.71.1/24 dev cable"),
            format!("-n {receiver} addr add {RECEIVER}/24 dev cable"),
            format!("-n {sender} link set cable up"),
            format!("-n {receiver} link set cable up"),
        ];
        steps.iter().all(|step| ip(step)).then_some(network)
    }

    /// What a command line begins with to be run on the sender's side.
    pub(crate) fn on_sender(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.sender]
    }

    /// And on the receiver's.
    pub(crate) fn on_receiver(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.receiver]
    }

    /// Nothing gets through any more, and nobody is told.
    pub(crate) fn cut(&self) {
        // Taking the far end down takes the carrier away; packets are dropped in silence.
        assert!(ip(&format!("-n {} link set cable down", self.receiver)));
    }

    /// The receiver loses its power: the cable still stands, and nobody there answers anything.
    pub(crate) fn power_off(&self) {
        assert!(ip(&format!("-n {} addr flush dev cable", self.receiver)));
    }

    /// What the receiver sends is lost on its way; it goes on hearing.
    pub(crate) fn lose_answers(&self) {
        let blackhole = "route add blackhole 10.83.71.1/32";
        assert!(ip(&format!("-n {} {blackhole}", self.receiver)));
    }

    pub(crate) fn mend(&self) {
        assert!(ip(&format!("-n {} link set cable up", self.receiver)));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The link goes with its ends. What was not made cannot be taken down.
        ip(&format!("netns del {}", self.sender));
        ip(&format!("netns del {}", self.receiver));
    }
}

fn ip(arguments: &str) -> bool {
    let status = Command::new("ip")
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}
