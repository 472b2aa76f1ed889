//! Which security mechanism the options mean.

use super::{OPTION_TABLE, Options};
use crate::error::OptionError;
use crate::zmtp::{MechanismConfig, SocketType};

impl Options {
    /// Makes the socket a client of the mechanism PLAIN, which shows this name and password, in clear: see
    /// [`plain_server`](Options::plain_server).
    ///
    /// ```
    /// use std::time::Duration;
    /// use zerohop::{Allow, Context, Options, Pull, Push};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let context = Context::new();
    /// let users = Allow::new().user("alice", "tiger");
    /// let server = Pull::with_options(&context, Options::new().plain_server(true).allow(users))?;
    /// let endpoint = server.bind("ipc://*")?;
    ///
    /// let push = Push::with_options(&context, Options::new().plain_client("alice", "tiger"))?;
    /// push.connect(endpoint)?;
    /// push.send("from alice")?;
    /// assert_eq!(server.recv_timeout(Duration::from_secs(10))?, "from alice");
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn plain_client(
        self,
        username: impl Into<String>,
        password: impl Into<crate::Secret>,
    ) -> Options {
        self.plain_username(username).plain_password(password)
    }

    /// Lets everyone in who reaches the socket: see [`allow_insecure`](Options::allow_insecure).
    ///
    /// ```no_run
    /// use zerohop::{BindError, Context, Options, Pull};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let context = Context::new();
    /// let pull = Pull::new(&context)?;
    /// assert!(matches!(pull.bind("tcp://*:5555"), Err(BindError::Insecure { .. })));
    ///
    /// let open = Pull::with_options(&context, Options::new().insecure())?;
    /// open.bind("tcp://*:5555")?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn insecure(self) -> Options {
        self.allow_insecure(true)
    }

    /// Whether listeners are for this machine alone: nobody would keep others out. A client of PLAIN asks nobody who its server is.
    pub(crate) fn loopback_only(&self) -> bool {
        let lets_everyone_in = match self.mechanism() {
            MechanismConfig::Null => self.allow.is_anyone() && !self.insists_on_handler(),
            MechanismConfig::PlainClient { .. } => true,
            MechanismConfig::PlainServer => false,
            #[cfg(feature = "curve")]
            MechanismConfig::Curve(_) => false,
        };
        lets_everyone_in && !self.allow_insecure
    }

    /// Whether a ZAP handler has to be there for anybody to be let in.
    fn insists_on_handler(&self) -> bool {
        !self.zap_domain.is_empty() && self.zap_enforce_domain
    }

    /// The mechanism that is set.
    pub(crate) fn mechanism(&self) -> MechanismConfig {
        if let Some(curve) = self.curve() {
            curve
        } else if self.plain_server {
            MechanismConfig::PlainServer
        } else if self.is_plain_client() {
            MechanismConfig::PlainClient {
                username: self.plain_username.clone(),
                password: self.plain_password.clone(),
            }
        } else {
            MechanismConfig::Null
        }
    }

    fn is_plain_client(&self) -> bool {
        !self.plain_username.is_empty() || !self.plain_password.is_empty()
    }

    /// Where no ZMTP is spoken nobody can be asked who they are, and nothing be kept from others: an option that wants that is refused.
    pub(crate) fn check_unsecured(&self, socket_type: SocketType) -> Result<(), OptionError> {
        const SECURITY: &[&str] = &[
            "plain_server",
            "plain_username",
            "plain_password",
            "curve_server",
            "curve_publickey",
            "curve_secretkey",
            "curve_serverkey",
            "zap_domain",
            "allow",
        ];
        for ((name, value), row) in self.rendered().into_iter().zip(OPTION_TABLE) {
            if !SECURITY.contains(&name) || value == row.default {
                continue;
            }
            return Err(match socket_type {
                SocketType::Stream => OptionError::not_for(row, socket_type),
                _ => {
                    let expected = "false where an option is set that says who is let in";
                    OptionError::new("router_raw", "true".into(), expected)
                }
            });
        }
        Ok(())
    }

    /// A socket has one mechanism, and is a client or a server of it, where in libzmq the option that is set last decides; and a list of
    /// those who are let in is asked, and has somebody on it who can be recognised.
    pub(super) fn check_security(&self) -> Result<(), OptionError> {
        if self.plain_server && self.is_plain_client() {
            let expected = "false where plain_username or plain_password is set";
            return Err(OptionError::new("plain_server", "true".into(), expected));
        }
        if self.is_curve() && (self.plain_server || self.is_plain_client()) {
            let expected = "none where an option of PLAIN is set: a socket has one mechanism";
            return Err(OptionError::new("curve_secretkey", "set".into(), expected));
        }
        self.check_curve()?;
        self.check_allow()
    }

    fn check_allow(&self) -> Result<(), OptionError> {
        let wrong = |expected| Err(OptionError::new("allow", self.allow.describe(), expected));
        let mechanism = self.mechanism();
        if mechanism.is_client() && !self.allow.is_anyone() {
            return wrong(
                "anyone where the socket is a client of PLAIN or CURVE: it asks about nobody",
            );
        }
        let Some(recognised) = self.allow.recognised() else {
            return Ok(());
        };
        match mechanism {
            MechanismConfig::Null if !recognised.by_uid => wrong(
                "a list with a uid where there is neither plain_server nor curve_server, by which others are recognised",
            ),
            MechanismConfig::PlainServer if !recognised.by_password => {
                wrong("a list with a user where plain_server is set")
            }
            #[cfg(feature = "curve")]
            MechanismConfig::Curve(_) if !recognised.by_key => {
                wrong("a list with a public key where curve_server is set")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Allow, AuthRequest};

    #[test]
    fn options_mean_one_mechanism() {
        let name = |options: Options| options.mechanism().name();
        assert_eq!(name(Options::new()), "NULL");
        assert_eq!(name(Options::new().plain_server(true)), "PLAIN");
        assert_eq!(name(Options::new().plain_client("alice", "")), "PLAIN");
        assert_eq!(name(Options::new().plain_password("tiger")), "PLAIN");
        let both = Options::new().plain_client("alice", "").plain_server(true);
        let error = both.validate().expect_err("both");
        assert_eq!(
            error.to_string(),
            "option plain_server can't be true; allowed is false where plain_username or plain_password is set"
        );
    }

    /// A list that is never asked, or on which nobody can be recognised, is a slip.
    #[test]
    fn a_list_of_those_let_in_goes_with_the_mechanism() {
        let user = || Allow::new().user("alice", "tiger");
        let key = || Allow::new().key([7; 32]);
        let uid = || Allow::new().uid(1000);
        let server = || Options::new().plain_server(true);
        let client = || Options::new().plain_client("alice", "tiger");
        for wrong in [
            Options::new().allow(user()),
            Options::new().allow(key()),
            server().allow(key()),
            server().allow(uid()),
            client().allow(user()),
            client().allow(Allow::new()),
            client().allow(Allow::by(|_: &AuthRequest| true)),
        ] {
            let error = wrong.validate().expect_err("a slip");
            assert_eq!(error.option(), "allow", "{error}");
            assert!(!error.to_string().contains("tiger"), "{error}");
        }
        for right in [
            Options::new().allow(uid()),
            Options::new().allow(uid().key([7; 32])),
            // Nobody, which says what it means.
            Options::new().allow(Allow::new()),
            Options::new().allow(Allow::by(|_: &AuthRequest| true)),
            server().allow(user()),
            server().allow(user().uid(1000)),
            server().allow(Allow::path("/etc/allowed")),
            client().allow(Allow::anyone()),
        ] {
            assert_eq!(right.validate(), Ok(()));
        }
    }

    #[test]
    fn passwords_are_not_shown() {
        let options = Options::new().plain_client("alice", "tiger");
        assert_eq!(options.get("plain_password").as_deref(), Some("***"));
        assert!(!format!("{options:?}").contains("tiger"));
        let long = Options::new().plain_password("tiger".repeat(100));
        let error = long.validate().expect_err("too long");
        assert!(!error.to_string().contains("tiger"), "{error}");
        let text = "tiger".repeat(100);
        let error = Options::new()
            .set("plain_password", &text)
            .expect_err("too long");
        assert!(!error.to_string().contains("tiger"), "{error}");
    }
}
