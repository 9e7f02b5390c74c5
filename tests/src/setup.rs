//! The parameters of a laboratory.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use causeway_auth::{
    Authenticator, Credential, Credentials, FurtherSource, LimiterSettings, NonceKey, NonceKeys,
    RestName, RestSecret,
};
use causeway_relay::{ChannelPermission, Config, DeniedPeers, Families, Limits, PeerPolicy, Rule};
use causeway_wire::ChannelRange;

use crate::addresses::{LISTENER, LISTENER_V6, RELAY, RELAY_BOUND, RELAY_V6};
use crate::port_pool::PORTS;

/// The realm, unless a test says otherwise.
pub const REALM: &str = "example.org";

/// The parameters of a [`crate::Lab`]; a test changes those that it is about.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The realm of all users.
    pub realm: &'static str,
    /// Users and their passwords.
    pub users: Vec<(&'static str, &'static str)>,
    /// The secret of REST credentials; empty: none.
    pub rest_secret: &'static [u8],
    /// How REST names are written.
    pub rest_name: RestName,
    /// Whether there are users elsewhere: [`crate::Lab::wanted`] lists those that are asked for.
    pub further_source: bool,
    /// How many seconds an expired credential still works.
    pub grace: u64,
    /// How many seconds a nonce is valid.
    pub nonce_lifetime: u64,
    /// Maximum number of allocations per user.
    pub quota: usize,
    /// Number of relayed ports of each family.
    pub ports: u16,
    /// The operator's rules on peers.
    pub rules: Vec<Rule>,
    /// The answer to a client that asks for a denied peer.
    pub denied: DeniedPeers,
    /// Families of relayed addresses.
    pub families: Families,
    /// The numbers that channels may have.
    pub channels: ChannelRange,
    /// How long a peer with a channel is permitted.
    pub channel_permission: ChannelPermission,
    /// The bounds on what clients may hold.
    pub limits: Limits,
    /// Whether changes are recorded for a directory.
    pub track_changes: bool,
    /// Limit on answers to datagrams whose source may be forged; `None`: unlimited.
    pub unauthenticated: Option<LimiterSettings>,
    /// The value of SOFTWARE.
    pub software: Option<&'static str>,
    /// The seed of the generator.
    pub seed: u64,
}

/// The limits of a laboratory's server. Those of `turnd` are in its `default.toml`.
pub const LIMITS: Limits = Limits {
    default_lifetime: Duration::from_secs(600),
    max_lifetime: Duration::from_secs(3600),
    permissions_per_allocation: 256,
    channels_per_allocation: 256,
    allocations_per_prefix: 4096,
    allocations: 65_536,
};

impl Default for Setup {
    fn default() -> Self {
        Self {
            realm: REALM,
            users: vec![("alice", "wonderland"), ("bob", "builder")],
            rest_secret: b"north",
            rest_name: RestName::TimeName,
            further_source: false,
            grace: 0,
            nonce_lifetime: 3600,
            quota: 100,
            ports: 100,
            rules: Vec::new(),
            denied: DeniedPeers::default(),
            families: Families { ipv4: true, ipv6: true },
            channels: ChannelRange::Rfc8656,
            channel_permission: ChannelPermission::default(),
            limits: LIMITS,
            track_changes: false,
            unauthenticated: Some(LimiterSettings::default()),
            software: None,
            seed: 1,
        }
    }
}

impl Setup {
    /// The default with a change.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut setup = Self::default();
        change(&mut setup);
        setup
    }

    /// The rules, the built-in denials, and the laboratory's own addresses.
    #[must_use]
    pub fn policy(&self) -> PeerPolicy {
        let listeners: Vec<SocketAddr> = vec![LISTENER, LISTENER_V6];
        let relays: Vec<IpAddr> = vec![RELAY_BOUND, RELAY, RELAY_V6];
        PeerPolicy::new(&self.rules, listeners, relays, PORTS)
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            worker: 3,
            families: self.families,
            channels: self.channels,
            channel_permission: self.channel_permission,
            limits: self.limits.clone(),
            policy: self.policy(),
            denied: self.denied,
            track_changes: self.track_changes,
            unauthenticated: self.unauthenticated,
            external: vec![(RELAY_BOUND, RELAY)],
            software: self.software.map(Into::into),
        }
    }

    /// Users, REST secret and nonce keys.
    #[must_use]
    pub fn authenticator(&self) -> Arc<Authenticator> {
        let mut credentials = Credentials::new();
        for (name, password) in &self.users {
            credentials.add_user(
                Credential::with_password(name, self.realm, password)
                    .expect("the names and passwords are valid"),
            );
        }
        credentials.set_rest_name(self.rest_name);
        if !self.rest_secret.is_empty() {
            credentials.add_rest_secret(RestSecret::new(self.rest_secret));
        }
        if self.further_source {
            credentials.set_further_source(FurtherSource::default());
        }
        let nonces = NonceKeys::new(NonceKey::new(&[7; 32]), None, self.nonce_lifetime);
        Arc::new(Authenticator::new(self.realm, credentials, nonces, self.grace))
    }
}

/// An operator's rule that allows a range.
///
/// # Panics
/// When `net` is not a range of addresses.
#[must_use]
pub fn allow(net: &str) -> Rule {
    Rule { allow: true, net: net.parse().expect("a range of addresses") }
}

/// An operator's rule that denies a range.
///
/// # Panics
/// When `net` is not a range of addresses.
#[must_use]
pub fn deny(net: &str) -> Rule {
    Rule { allow: false, net: net.parse().expect("a range of addresses") }
}
