//! Tests of the configuration through the same call that `main` makes: by subject, in the files
//! below; here are the helpers and the smallest configuration.

mod auth;
mod documented;
mod input;
mod layers;
mod limits;
mod listeners;
mod peers;
mod relay;

use std::ffi::OsString;

use causeway_daemon::config::{Scope, load};
use causeway_relay::ChannelPermission;
use causeway_wire::ChannelRange;

use super::*;

/// The documented address of the admin listener.
const ADMIN: &str = "127.0.0.1:9641";

/// A minimal valid configuration: a realm, a user, an address.
pub(super) const GOOD: [&str; 6] =
    ["--realm", "example.org", "--user", "alice:secret", "--relay-address", "203.0.113.7"];

/// The configuration of a command line and an environment, or the error's text.
pub(super) fn configure(args: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
    let flags = causeway_cli::parse_from::<Flags>([&["turnd"], args].concat())
        .map_err(|error| error.to_string())?;
    let environment =
        environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let loaded = load::<Schema>(&SERVICE, &flags.common, flags.settings(), environment);
    loaded
        .and_then(|loaded| loaded.resolve(|schema| schema.resolve(flags.insecure)))
        .map_err(|error| error.to_string())
}

/// [`GOOD`] with more arguments; a flag among them replaces the one of [`GOOD`].
pub(crate) fn with(more: &[&str]) -> Result<Config, String> {
    let kept = GOOD.chunks(2).filter(|pair| !more.contains(&pair[0]));
    configure(&[&kept.collect::<Vec<_>>().concat(), more].concat(), &[])
}

#[track_caller]
pub(super) fn refused(outcome: Result<Config, String>, words: &[&str]) {
    let error = outcome.expect_err("it must be refused");
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
}

/// A folder of the kit that returns paths as text, for flags.
pub(super) struct Scratch(causeway_kit::Scratch);

impl Scratch {
    pub(super) fn new() -> Self {
        Self(causeway_kit::Scratch::new())
    }

    pub(super) fn write(&self, name: &str, text: &str) -> String {
        self.0.write(name, text).to_str().unwrap().to_owned()
    }
}

#[test]
fn a_realm_a_user_and_an_address_are_enough() {
    let config = with(&[]).unwrap();
    assert_eq!(config.realm, "example.org");
    assert_eq!(config.auth.users[0].name, "alice");
    assert_eq!(config.auth.users[0].password.expose(), "secret");
    assert_eq!(config.listen[0].address, "0.0.0.0:3478".parse().unwrap());
    let ip = "203.0.113.7".parse().unwrap();
    assert_eq!(config.relay.addresses, [RelayAddress { bound: ip, advertised: ip }]);
    assert_eq!((config.relay.ports, config.relay.scope), (49_152..=65_535, Scope::Public));
    assert_eq!(config.admin.listen, Some(ADMIN.parse().unwrap()));
    assert_eq!(config.protocol.channel_numbers, ChannelRange::Rfc8656);
    assert_eq!(config.protocol.software, None);
    assert_eq!(config.protocol.channel_permission, ChannelPermission::WithChannel);
    let letter = with(&["--set", "protocol.channel_permission=rfc8656"]).unwrap();
    assert_eq!(letter.protocol.channel_permission, ChannelPermission::Rfc8656);
}
