//! The inproc names of a context: who has bound them, and who waits for that.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::channel::Channel;
use super::link::Remote;
use crate::engine::driving::later::Later;
use crate::engine::{Note, SocketMailbox};
use crate::monitor::ConnectionId;
use crate::zmtp::{PeerFacts, SocketType};

/// One socket's offer to be the peer of another.
pub(crate) struct Offer {
    pub(crate) name: Arc<str>,
    pub(crate) socket_type: SocketType,
    pub(crate) facts: PeerFacts,
    pub(crate) recv_hwm: usize,
    /// From the connecting to the binding side, and back.
    pub(crate) forth: Arc<Channel>,
    pub(crate) back: Arc<Channel>,
    pub(crate) from: Remote,
    /// Where the binding side says who it is.
    pub(crate) taker: Arc<OnceLock<Remote>>,
}

impl Offer {
    /// The name is no longer bound: notifies the socket that has connected to it.
    pub(crate) fn refuse(&self) {
        self.back.close();
        let Remote { mailbox, place } = &self.from;
        mailbox.post(Note::InprocReadable(*place));
    }
}

/// The answer to an offer.
pub(crate) struct Accepted {
    pub(crate) recv_hwm: usize,
    pub(crate) facts: PeerFacts,
}

/// The inproc names of a context.
#[derive(Default)]
pub(crate) struct Names {
    names: HashMap<Arc<str>, Name>,
}

enum Name {
    Bound {
        socket_type: SocketType,
        mailbox: Arc<SocketMailbox>,
        /// From sockets that had connected before, of a type that does not fit. They wait for whoever binds the name next.
        unfit: Vec<Offer>,
    },
    /// Connected before it is bound.
    Awaited(Vec<Offer>),
}

impl Names {
    /// Binds a name; `false` if it is taken. Offers that were waiting for it go to the binder.
    pub(crate) fn bind(
        &mut self,
        name: &Arc<str>,
        socket_type: SocketType,
        mailbox: &Arc<SocketMailbox>,
        later: &mut Later,
    ) -> bool {
        let waiting = match self.names.remove(name) {
            Some(bound @ Name::Bound { .. }) => {
                self.names.insert(Arc::clone(name), bound);
                return false;
            }
            Some(Name::Awaited(offers)) => offers,
            None => Vec::new(),
        };
        let (fitting, others) = waiting
            .into_iter()
            .partition::<Vec<_>, _>(|offer| socket_type.accepts(offer.socket_type));
        for offer in &others {
            warn_of_misfit(offer, socket_type, later);
        }
        for offer in fitting {
            mailbox.post(Note::InprocConnect(Box::new(offer)));
        }
        let bound = Name::Bound {
            socket_type,
            mailbox: Arc::clone(mailbox),
            unfit: others,
        };
        self.names.insert(Arc::clone(name), bound);
        true
    }

    /// Connects to a name, bound or not yet; the type of the binder if it does not fit, unless that is to be waited for.
    pub(crate) fn connect(
        &mut self,
        offer: Offer,
        misfit: Misfit,
        later: &mut Later,
    ) -> Result<(), SocketType> {
        match self.names.get_mut(&offer.name) {
            Some(Name::Bound {
                socket_type,
                mailbox,
                unfit,
            }) => {
                if !socket_type.accepts(offer.socket_type) {
                    match misfit {
                        Misfit::IsAnError => return Err(*socket_type),
                        Misfit::IsWaitedFor => {
                            warn_of_misfit(&offer, *socket_type, later);
                            unfit.push(offer);
                            return Ok(());
                        }
                    }
                }
                mailbox.post(Note::InprocConnect(Box::new(offer)));
            }
            Some(Name::Awaited(offers)) => offers.push(offer),
            None => {
                let name = Arc::clone(&offer.name);
                self.names.insert(name, Name::Awaited(vec![offer]));
            }
        }
        Ok(())
    }

    /// Whether a socket has bound the name that goes with this type.
    pub(crate) fn is_bound_for(&self, name: &str, socket_type: SocketType) -> bool {
        matches!(self.names.get(name), Some(Name::Bound { socket_type: bound, .. }) if bound.accepts(socket_type))
    }

    /// Frees a name that this socket has bound; `false` if it has not.
    pub(crate) fn unbind(&mut self, name: &str, mailbox: &Arc<SocketMailbox>) -> bool {
        let freed = self.names.get_mut(name).is_some_and(|it| it.free(mailbox));
        self.remove_idle(name);
        freed
    }

    fn remove_idle(&mut self, name: &str) {
        if self.names.get(name).is_some_and(Name::is_idle) {
            self.names.remove(name);
        }
    }

    /// Frees all names that this socket has bound.
    pub(crate) fn forget(&mut self, mailbox: &Arc<SocketMailbox>) {
        for name in self.names.values_mut() {
            name.free(mailbox);
        }
        self.names.retain(|_, name| !name.is_idle());
    }

    /// Withdraws an offer that nobody has taken up.
    pub(crate) fn withdraw(&mut self, name: &str, connection: ConnectionId) {
        if let Some(Name::Awaited(offers) | Name::Bound { unfit: offers, .. }) =
            self.names.get_mut(name)
        {
            offers.retain(|offer| offer.from.place.connection != connection);
        }
        self.remove_idle(name);
    }
}

/// What it means for who connects that the name is bound by a socket of a type that does not fit.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Misfit {
    IsAnError,
    /// The socket that binds the name next may fit.
    IsWaitedFor,
}

fn warn_of_misfit(offer: &Offer, bound: SocketType, later: &mut Later) {
    let Offer {
        name, socket_type, ..
    } = offer;
    let text =
        format_args!("inproc://{name}: a {socket_type} cannot talk to the {bound} that is bound");
    later.log(log::Level::Warn, text);
}

impl Name {
    /// Ends its being bound by this socket; `false` if it is not.
    fn free(&mut self, by: &Arc<SocketMailbox>) -> bool {
        let Name::Bound { mailbox, unfit, .. } = self else {
            return false;
        };
        let ours = Arc::ptr_eq(mailbox, by);
        if ours {
            *self = Name::Awaited(std::mem::take(unfit));
        }
        ours
    }

    /// Nobody has bound it or waits for that.
    fn is_idle(&self) -> bool {
        matches!(self, Name::Awaited(offers) if offers.is_empty())
    }
}
