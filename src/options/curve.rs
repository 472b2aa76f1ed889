//! The values of the options of CURVE, and what they mean together.

use super::Options;
use super::value::OptionValue;
use crate::error::OptionError;

#[cfg(feature = "curve")]
pub(super) use crate::curve::{PublicKey, SecretKey};
#[cfg(feature = "curve")]
pub use with_feature::CurveServer;
#[cfg(not(feature = "curve"))]
pub use without_feature::CurveServer;
#[cfg(not(feature = "curve"))]
pub(super) use without_feature::{NoKey as PublicKey, NoKey as SecretKey};

#[cfg(feature = "curve")]
mod with_feature {
    use std::sync::Arc;

    use super::*;
    use crate::curve::KeyPair;
    use crate::zmtp::{CurveConfig, CurveRole, Entropy, MechanismConfig};

    /// Whether a socket is a server of CURVE, for [`Options::curve_server`]: `true` with the key of
    /// [`curve_secretkey`](Options::curve_secretkey), or a [`KeyPair`], which brings its own.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CurveServer {
        pub(super) on: bool,
        pub(super) keys: Option<KeyPair>,
    }

    impl From<bool> for CurveServer {
        fn from(on: bool) -> CurveServer {
            CurveServer { on, keys: None }
        }
    }

    impl From<KeyPair> for CurveServer {
        fn from(keys: KeyPair) -> CurveServer {
            CurveServer {
                on: true,
                keys: Some(keys),
            }
        }
    }

    impl From<&KeyPair> for CurveServer {
        fn from(keys: &KeyPair) -> CurveServer {
            CurveServer::from(keys.clone())
        }
    }

    impl OptionValue for CurveServer {
        fn render(&self) -> String {
            self.on.render()
        }

        fn parse(text: &str) -> Option<CurveServer> {
            bool::parse(text).map(CurveServer::from)
        }
    }

    impl OptionValue for PublicKey {
        fn render(&self) -> String {
            self.to_z85()
        }

        fn parse(text: &str) -> Option<PublicKey> {
            text.parse().ok()
        }
    }

    /// Not to be read again: whoever sets it knows it.
    impl OptionValue for SecretKey {
        fn render(&self) -> String {
            String::from("***")
        }

        fn parse(text: &str) -> Option<SecretKey> {
            text.parse().ok()
        }

        fn quote(_: &str) -> String {
            String::from("what was given")
        }
    }

    impl Options {
        /// Makes the socket a client of CURVE, which is known by its keys, and talks to the server with this public key and to nobody else. See
        /// [`curve_server`](Options::curve_server).
        ///
        /// ```
        /// use std::time::Duration;
        /// use zerohop::{Context, KeyPair, Options, Pull, Push};
        ///
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// let (server, alice) = (KeyPair::generate()?, KeyPair::generate()?);
        /// let context = Context::new();
        /// let options = Options::new().curve_server(&server).allow(&[alice.public()]);
        /// let pull = Pull::with_options(&context, options)?;
        /// let endpoint = pull.bind("tcp://127.0.0.1:*")?;
        ///
        /// let options = Options::new().curve_client(&alice, server.public());
        /// let push = Push::with_options(&context, options)?;
        /// push.connect(endpoint)?;
        /// push.send("for nobody else to read")?;
        /// assert_eq!(pull.recv_timeout(Duration::from_secs(10))?, "for nobody else to read");
        /// # Ok(())
        /// # }
        /// ```
        #[must_use]
        pub fn curve_client(self, keys: &KeyPair, server: PublicKey) -> Options {
            self.curve_secretkey(keys.secret().clone())
                .curve_publickey(keys.public())
                .curve_serverkey(server)
        }

        /// Whether any option of CURVE is set.
        pub(crate) fn is_curve(&self) -> bool {
            self.curve_server.on
                || self.curve_secretkey.is_some()
                || self.curve_publickey.is_some()
                || self.curve_serverkey.is_some()
        }

        /// What is missing, or does not go together.
        pub(in crate::options) fn check_curve(&self) -> Result<(), OptionError> {
            let wrong = |option, expected| Err(OptionError::new(option, "none".into(), expected));
            if !self.is_curve() {
                return Ok(());
            }
            if self.curve_server.on && self.curve_serverkey.is_some() {
                let given = String::from("set");
                let expected = "none where curve_server is set: a socket is a server or a client";
                return Err(OptionError::new("curve_serverkey", given, expected));
            }
            if self.curve_server.on && self.curve_server.keys.is_some() {
                return Ok(());
            }
            if !self.curve_server.on && self.curve_serverkey.is_none() {
                return wrong(
                    "curve_serverkey",
                    "the public key of the server, where the socket has keys and is no server",
                );
            }
            let Some(secret) = &self.curve_secretkey else {
                return wrong(
                    "curve_secretkey",
                    "a secret key, where another option of CURVE is set",
                );
            };
            match self.curve_publickey {
                Some(public) if public != secret.public_key() => {
                    let expected = "the public key that belongs to curve_secretkey, or none";
                    Err(OptionError::new(
                        "curve_publickey",
                        public.to_z85(),
                        expected,
                    ))
                }
                Some(_) | None => Ok(()),
            }
        }

        /// The mechanism, if these options are set and go together.
        pub(in crate::options) fn curve(&self) -> Option<MechanismConfig> {
            let own = || self.curve_secretkey.clone().map(KeyPair::from);
            let (keys, role) = match (&self.curve_server, self.curve_serverkey) {
                (CurveServer { on: true, keys }, _) => {
                    (keys.clone().or_else(own)?, CurveRole::Server)
                }
                (CurveServer { on: false, .. }, Some(server)) => {
                    (own()?, CurveRole::Client(server))
                }
                (CurveServer { on: false, .. }, None) => return None,
            };
            Some(MechanismConfig::Curve(Arc::new(CurveConfig {
                keys,
                role,
                entropy: Entropy::System,
            })))
        }
    }
}

#[cfg(not(feature = "curve"))]
mod without_feature {
    use super::*;
    use crate::zmtp::MechanismConfig;

    const FEATURE: Option<&str> = Some("curve");

    /// Whether a socket is a server of CURVE. It can't be: the library was built without its feature `curve`.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CurveServer(bool);

    impl From<bool> for CurveServer {
        fn from(on: bool) -> CurveServer {
            CurveServer(on)
        }
    }

    impl OptionValue for CurveServer {
        const MISSING_FEATURE: Option<&str> = FEATURE;

        fn render(&self) -> String {
            self.0.render()
        }

        fn parse(text: &str) -> Option<CurveServer> {
            (bool::parse(text) == Some(false)).then(CurveServer::default)
        }
    }

    /// A key of CURVE. There is none: the library was built without its feature `curve`.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum NoKey {}

    impl OptionValue for NoKey {
        const MISSING_FEATURE: Option<&str> = FEATURE;

        fn render(&self) -> String {
            match *self {}
        }

        fn parse(_: &str) -> Option<NoKey> {
            None
        }

        fn quote(_: &str) -> String {
            String::from("what was given")
        }
    }

    impl Options {
        pub(crate) fn is_curve(&self) -> bool {
            self.curve_server.0
        }

        pub(in crate::options) fn check_curve(&self) -> Result<(), OptionError> {
            match self.curve_server.0 {
                true => Err(OptionError::needs_feature("curve_server", "curve")),
                false => Ok(()),
            }
        }

        pub(in crate::options) fn curve(&self) -> Option<MechanismConfig> {
            None
        }
    }
}
