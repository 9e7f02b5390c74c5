//! The refusals of H44 and the order of the layers, through the same call that `main` makes.

mod reach;

use std::ffi::OsString;
use std::path::PathBuf;

use causeway_daemon::config::{Scope, Transport, load, uncommented, undocumented};
use causeway_relay::ChannelPermission;

use super::*;

/// What runs: a realm, a user, an address.
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

/// A directory of this test's own, removed at its end.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("turnd-config-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
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
    assert_eq!(config.admin.listen, Some(ADMIN));
    assert_eq!(config.protocol.channel_numbers, ChannelNumbers::Rfc8656);
    assert_eq!(config.protocol.software, None);
    assert_eq!(config.protocol.channel_permission, ChannelPermission::WithChannel);
    let letter = with(&["--set", "protocol.channel_permission=rfc8656"]).unwrap();
    assert_eq!(letter.protocol.channel_permission, ChannelPermission::Rfc8656);
}

#[test]
fn the_address_listened_on_by_name_is_relayed_from() {
    let args = ["--realm", "r", "--user", "a:b", "--listen", "203.0.113.7:3478,[2001:db8::7]:3478"];
    let config = configure(&args, &[]).unwrap();
    let bound: Vec<String> =
        config.relay.addresses.iter().map(|address| address.bound.to_string()).collect();
    assert_eq!(bound, ["203.0.113.7", "2001:db8::7"]);
}

#[test]
fn layers_go_over_each_other_in_order() {
    let scratch = Scratch::new("layers");
    let file = scratch.write(
        "turnd.toml",
        "realm = \"file\"\n[relay]\nports = \"50000-50001\"\n[limits]\nallocations_per_user = 1\n",
    );
    let environment =
        [("TURND_REALM", "environment"), ("TURND_RELAY__PORTS", "50002-50003"), ("PATH", "/bin")];
    let base = ["--config", &file, "--user", "a:b", "--relay-address", "203.0.113.7"];
    let from = |more: &[&str], environment: &[(&str, &str)]| {
        configure(&[&base, more].concat(), environment).unwrap()
    };
    assert_eq!(from(&[], &[]).realm, "file");
    assert_eq!(from(&[], &environment).realm, "environment");
    assert_eq!(from(&["--set", "realm=set"], &environment).realm, "set");
    let last = from(&["--set", "realm=set", "--realm", "flag"], &environment);
    assert_eq!(
        (last.realm.as_str(), last.relay.ports, last.limits.allocations_per_user),
        ("flag", 50_002..=50_003, 1)
    );
}

#[test]
fn everything_can_be_said_by_variables() {
    let scratch = Scratch::new("variables");
    let secret = scratch.write("secret", "from a file\n");
    let environment = [
        ("TURND_REALM", "123"),
        ("TURND_LISTEN__0__ADDRESS", "203.0.113.7:3478"),
        ("TURND_LISTEN__0__TRANSPORTS", "udp"),
        ("TURND_LISTEN__1__ADDRESS", "203.0.113.7:3479"),
        ("TURND_AUTH__REST_SECRET_FILE", secret.as_str()),
        ("TURND_AUTH__USERS__1001__PASSWORD", "42"),
        ("TURND_PEERS__RULES", "deny 10.0.0.1, allow 10.0.0.0/8"),
        ("TURND_LIMITS__MAX_LIFETIME", "1200"),
        ("TURND_RELAY__EXTERNAL", "198.51.100.7"),
        // What Kubernetes adds for a Service called turnd.
        ("TURND_PORT", "udp://10.96.0.7:3478"),
        ("TURND_PORT_3478_UDP_ADDR", "10.96.0.7"),
        ("TURND_SERVICE_HOST", "10.96.0.7"),
        ("TURND_SERVICE_PORT", "3478"),
        ("TURND_SERVICE_PORT_TURN_UDP", "3478"),
        ("TURNDX_REALM", "somebody else's"),
    ];
    let config = configure(&[], &environment).unwrap();
    assert_eq!(config.realm, "123", "a number is text where text is asked for");
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.listen[0].transports.len(), 1);
    assert_eq!(config.auth.rest_secrets[0].secret.expose(), "from a file");
    assert_eq!(
        (config.auth.users[0].name.as_str(), config.auth.users[0].password.expose()),
        ("1001", "42")
    );
    assert_eq!(config.peers.rules.len(), 2);
    assert_eq!(config.limits.max_lifetime.as_secs(), 1_200);
    assert_eq!(config.relay.addresses[0].advertised.to_string(), "198.51.100.7");
}

#[test]
fn h44_unknown_keys_are_refused_with_the_place_and_the_nearest_name() {
    let scratch = Scratch::new("unknown");
    let file = scratch.write(
        "turnd.toml",
        "realm = \"r\"\n\n[relay]\nprots = \"50000-50001\"\n[limits]\nports = 1\n",
    );
    let outcome = configure(
        &["--config", &file, "--set", "auth.user.a.password=x"],
        &[("TURND_RELAY_PORTS", "1-2")],
    );
    let lines = [
        format!("relay.prots ({file}:4): unknown key; did you mean relay.ports?"),
        format!("limits.ports ({file}:6): unknown key; did you mean relay.ports?"),
        "auth.user (--set auth.user.a.password): unknown key; did you mean auth.users?".into(),
        "relay_ports (environment variable TURND_RELAY_PORTS): unknown key; did you mean TURND_RELAY__PORTS?".into(),
    ];
    refused(outcome, &lines.each_ref().map(String::as_str));
}

#[test]
fn wrong_types_name_the_key_what_was_expected_and_what_was_found() {
    let scratch = Scratch::new("types");
    let error = |text: &str| {
        let file = scratch.write("turnd.toml", text);
        configure(&["--config", &file], &[]).unwrap_err().replace(&file, "FILE")
    };
    let cases = [
        ("realm = 5", "realm (FILE:1): expected a string, found a whole number"),
        (
            "[limits]\nallocations_per_user = \"many\"",
            "limits.allocations_per_user (FILE:2): expected a whole number, 1 or more, found a string",
        ),
        ("[limits]\nallocations_per_user = 0", "expected a whole number, 1 or more, found 0"),
        (
            "[limits]\nmax_lifetime = \"1 year\"",
            "limits.max_lifetime (FILE:2): expected a duration",
        ),
        (
            "[[listen]]\naddress = \"203.0.113.7\"",
            "listen[0].address (FILE:2): invalid socket address syntax, found \"203.0.113.7\"",
        ),
        ("[[listen]]\ntransports = [\"udp\"]", "listen[0].address (FILE:1): this key is required"),
        ("listen = \"203.0.113.7:1\"", "listen (FILE:1): expected a list, found a string"),
        ("[relay]\nports = 5", "relay.ports (FILE:2): expected a range of ports"),
        (
            "[relay]\nscope = \"privat\"",
            "relay.scope (FILE:2): expected one of public, private, found \"privat\"; did you mean \"private\"?",
        ),
        (
            "[net]\ndont_fragment = false",
            "net.dont_fragment (FILE:2): expected one of small, never, found true or false",
        ),
        (
            "[protocol]\nchannel_permission = 300",
            "channel_permission (FILE:2): expected one of with-channel, rfc8656, found a whole number",
        ),
        ("relay = 5", "relay (FILE:1): expected a table, found a whole number"),
        (
            "[peers]\nrules = [\"deny 10.0.0.1\", \"permit 10.0.0.2\"]",
            "peers.rules[1] (FILE:2): expected \"allow CIDR\"",
        ),
        ("[peers]\nrules = [\"deny 10.0.0.1/8\"]", "write 10.0.0.0/8"),
        ("[log]\nlevel = \"loud\"", "log.level (FILE:2): expected a level"),
        ("realm = \"r\"\nrealm = \"s\"", "FILE:2: no valid TOML"),
    ];
    for (text, expected) in cases {
        let error = error(text);
        assert!(error.contains(expected), "{text:?}: {expected:?} is not in {error:?}");
    }
}

#[test]
fn h44_no_authentication_is_refused() {
    refused(
        configure(&["--realm", "r", "--relay-address", "203.0.113.7"], &[]),
        &["auth: no authentication", "--user"],
    );
}

#[test]
fn h44_an_empty_realm_is_refused() {
    refused(with(&["--realm", ""]), &["realm (--realm): no realm"]);
    refused(with(&["--realm", "a\"b"]), &["realm"]);
    refused(with(&["--realm", &"x".repeat(128)]), &["fewer"]);
}

#[test]
fn h44_a_private_relay_address_needs_an_external_one_or_the_private_scope() {
    for address in [
        "10.0.0.7",
        "172.16.3.4",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "::1",
        "fe80::1",
        "fd00::1",
    ] {
        refused(
            with(&["--relay-address", address]),
            &["relay.addresses", address, "--external-address", "relay.scope"],
        );
        assert!(
            with(&["--relay-address", address, "--set", "relay.scope=private"]).is_ok(),
            "{address}"
        );
    }
    let config =
        with(&["--relay-address", "10.0.0.7", "--external-address", "203.0.113.7"]).unwrap();
    assert_eq!(config.relay.addresses[0].advertised.to_string(), "203.0.113.7");
    refused(with(&["--external-address", "10.0.0.7"]), &["relay.external", "10.0.0.7 (private)"]);
}

#[test]
fn h44_relay_addresses_that_no_peer_could_answer_to_are_refused() {
    refused(
        with(&["--relay-address", "0.0.0.0"]),
        &["relay.addresses (--relay-address)", "every address"],
    );
    refused(with(&["--relay-address", "::"]), &["every address"]);
    refused(with(&["--relay-address", "224.0.0.1"]), &["no host's address"]);
    refused(with(&["--relay-address", "::ffff:203.0.113.7"]), &["write 203.0.113.7"]);
    refused(with(&["--relay-address", "203.0.113.8,203.0.113.8"]), &["named twice"]);
    let none = configure(&["--realm", "r", "--user", "a:b"], &[]);
    refused(none, &["relay.addresses: no address to relay from", "--relay-address"]);
}

#[test]
fn external_addresses_are_paired_by_family_or_by_name() {
    let two = ["--relay-address", "10.0.0.7,10.0.0.8"];
    let with_two = |external: &str| with(&[&two[..], &["--external-address", external]].concat());
    refused(with_two("203.0.113.7"), &["relay.external", "not clear", "table"]);
    let config = with_two("10.0.0.7=203.0.113.7,10.0.0.8=203.0.113.8").unwrap();
    assert_eq!(config.relay.addresses[1].advertised.to_string(), "203.0.113.8");
    refused(with_two("10.0.0.9=203.0.113.7"), &["10.0.0.9 is not among"]);
    refused(with_two("10.0.0.7=2001:db8::7"), &["different families"]);
    refused(
        with_two("10.0.0.7=203.0.113.7,10.0.0.8=203.0.113.7"),
        &["relay.external", "both 203.0.113.7 from outside"],
    );
    refused(
        with(&["--external-address", "2001:db8::7"]),
        &["relay.external", "no address of the family of 2001:db8::7 among relay.addresses"],
    );
    refused(with(&["--external-address", "stun"]), &["not built yet"]);
}

#[test]
fn h44_peer_rules_that_allow_everything_need_the_flag() {
    for rules in
        ["allow 0.0.0.0/0", "allow ::/0", "deny 10.0.0.1,allow 0.0.0.0/1,allow 128.0.0.0/1"]
    {
        let set = format!("peers.rules={rules}");
        refused(with(&["--set", &set]), &["peers.rules", "--insecure-allow-all-peers"]);
        assert!(with(&["--set", &set, "--insecure-allow-all-peers"]).is_ok());
    }
    assert!(with(&["--set", "peers.rules=deny 0.0.0.0/0"]).is_ok());
}

#[test]
fn h41_an_admin_listener_that_others_reach_needs_a_token() {
    for address in ["0.0.0.0:9641", "203.0.113.7:9641", "[::]:9641", "[::ffff:10.0.0.1]:9641"] {
        refused(with(&["--admin-listen", address]), &["admin.listen (--admin-listen)", "token"]);
        assert!(with(&["--admin-listen", address, "--set", "admin.token=t"]).is_ok(), "{address}");
    }
    for address in ["127.0.0.1:9641", "127.9.9.9:1", "[::1]:9641", "[::ffff:127.0.0.1]:9641"] {
        assert!(with(&["--admin-listen", address]).is_ok(), "{address}");
    }
    assert_eq!(with(&["--set", "admin.listen=off"]).unwrap().admin.listen, None);
}

#[test]
fn h44_relay_ports_must_be_such_as_may_be_lent() {
    refused(with(&["--relay-ports", "1000-2000"]), &["relay.ports (--relay-ports)", "well-known"]);
    refused(with(&["--relay-ports", "2000-1000"]), &["ends before it starts"]);
    refused(with(&["--relay-ports", "3000-4000"]), &["listen[0].address", "3478", "relay.ports"]);
    assert!(with(&["--relay-ports", "50000-50000"]).is_ok());
}

#[test]
fn h44_listeners_that_cannot_be_meant_are_refused() {
    refused(
        with(&["--listen", "203.0.113.7:3478,203.0.113.7:3478"]),
        &["listen[1].address", "named by an entry before"],
    );
    refused(with(&["--listen", "203.0.113.7:0"]), &["listen[0].address", "port 0"]);
    refused(with(&["--listen", "127.0.0.1:9641"]), &["listen[0].address", "admin.listen"]);
    refused(
        with(&["--listen", "0.0.0.0:9641"]),
        &["listen[0].address", "0.0.0.0:9641", "admin.listen (127.0.0.1:9641)"],
    );
    assert!(with(&["--listen", "[::]:9641"]).is_ok(), "an IPv6 socket of ours takes no IPv4");
    let transports = |names: &str| {
        with(&[
            "--set",
            "listen.0.address=203.0.113.7:3478",
            "--set",
            &format!("listen.0.transports={names}"),
        ])
    };
    refused(
        transports("tls"),
        &["listen[0].transports", "tls needs a certificate", "tls.certificate"],
    );
    refused(transports("udp,dtls"), &["listen[0].transports", "dtls needs a certificate"]);
    refused(
        transports("udp,tcp,udp"),
        &["listen[0].transports", "udp on 203.0.113.7:3478 is listened to twice"],
    );
    refused(transports("upd"), &["did you mean \"udp\"?"]);
    refused(transports("[]"), &["no transport"]);
}

#[test]
fn h44_a_certificate_is_there_and_its_key_is_its_own() {
    let scratch = Scratch::new("certificate");
    let [one, other] = [(); 2]
        .map(|()| rcgen::generate_simple_self_signed(["turn.example.org".to_owned()]).unwrap());
    let chain = scratch.write("chain.pem", &one.cert.pem());
    let key = scratch.write("key.pem", &one.signing_key.serialize_pem());
    let foreign = scratch.write("foreign.pem", &other.signing_key.serialize_pem());
    let empty = scratch.write("empty.pem", "");
    let tls = |chain: &str, key: &str| with(&["--tls-certificate", chain, "--tls-key", key]);
    let config = tls(&chain, &key).unwrap();
    assert!(config.listen.iter().any(|listen| listen.address.port() == 5349
        && listen.transports == [Transport::Tls, Transport::Dtls]));
    assert!(config.describe().iter().any(|line| line.contains("turn.example.org")));
    refused(
        tls("/nowhere/chain.pem", &key),
        &["tls.certificate", "cannot read /nowhere/chain.pem"],
    );
    refused(tls(&chain, "/nowhere/key.pem"), &["tls.key", "cannot read /nowhere/key.pem"]);
    refused(tls(&empty, &key), &["tls.certificate", "empty.pem"]);
    refused(tls(&chain, &chain), &["tls.key", "chain.pem"]);
    refused(tls(&chain, &foreign), &["tls.key", "foreign.pem", "does not belong"]);
    refused(with(&["--tls-certificate", &chain]), &["tls.key", "without its key"]);
    refused(
        with(&["--set", "tls.further.0.key=x", "--tls-certificate", &chain, "--tls-key", &key]),
        &["tls.further[0].certificate"],
    );
}

#[test]
fn h44_a_proxy_is_somebody_and_no_header_stands_before_dtls() {
    let scratch = Scratch::new("proxies");
    let listen = |rest: &str| {
        let text = format!(
            "realm = \"r\"\nlisten = [{{ address = \"203.0.113.7:3478\", {rest} }}]\n[auth]\nusers.a.password = \"b\"\n"
        );
        configure(&["--config", &scratch.write("turnd.toml", &text)], &[])
    };
    let good =
        listen("proxy_protocol = { trusted = [\"10.0.0.0/8\", \"2001:db8::1/128\"] }").unwrap();
    assert_eq!(good.listen[0].proxy_protocol.trusted.len(), 2);
    refused(
        listen("proxy_protocol = { trusted = [] }"),
        &["proxy_protocol.trusted", "no proxy is named"],
    );
    refused(
        listen("proxy_protocol = { trusted = [\"0.0.0.0/0\"] }"),
        &["listen[0].proxy_protocol.trusted", "everybody"],
    );
    let dtls = "transports = [\"udp\", \"dtls\"], proxy_protocol = { trusted = [\"10.0.0.0/8\"] }";
    refused(listen(dtls), &["listen[0].proxy_protocol", "DTLS"]);
}

#[test]
fn h44_secrets_are_one_of_two_and_readable() {
    let scratch = Scratch::new("secrets");
    let missing = scratch.0.join("missing").display().to_string();
    refused(
        with(&["--rest-secret-file", &missing]),
        &["auth", "auth.rest_secret_file (--rest-secret-file): cannot read", &missing],
    );
    refused(
        with(&["--set", "auth.users.bob.password_file=/nonexistent"]),
        &["auth.users.bob", "password_file): cannot read /nonexistent"],
    );
    refused(
        with(&["--set", "auth.users.bob=5"]),
        &["auth.users.bob (--set auth.users.bob): expected a table"],
    );
    let both = with(&[
        "--set",
        "auth.users.bob.password=x",
        "--set",
        "auth.users.bob.password_file=/nonexistent",
    ]);
    refused(both, &["auth.users.bob.password", "password_file is given, too"]);
    refused(
        with(&["--set", "auth.users.bob.pasword=x"]),
        &["auth.users.bob.pasword", "did you mean auth.users.bob.password?"],
    );
    refused(with(&["--config", &missing]), &["--config: cannot read", &missing]);
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    refused(
        with(&["--set", "limits.default_lifetime=2h"]),
        &["limits.default_lifetime (--set", "max_lifetime"],
    );
    refused(with(&["--set", "limits.max_lifetime=2d"]), &["limits.max_lifetime"]);
    refused(
        with(&["--set", "limits.tcp_unauthenticated_timeout=10ms"]),
        &["limits.tcp_unauthenticated_timeout"],
    );
    refused(with(&["--set", "net.workers=1000"]), &["net.workers"]);
    refused(with(&["--set", "net.receive_buffer=1"]), &["net.receive_buffer"]);
    refused(with(&["--set", "net.moderation=2ms"]), &["net.moderation", "1ms"]);
    refused(with(&["--set", "net.moderation=0s"]), &["net.moderation", "off"]);
    refused(with(&["--set", "net.moderation=on"]), &["net.moderation", "100us"]);
    refused(with(&["--set", "net.dont_fragment=always"]), &["net.dont_fragment", "small", "never"]);
    refused(with(&["--set", "net.huge_pages=2MiB"]), &["net.huge_pages"]);
}

#[test]
fn h42_no_secret_shows_in_debug_output_or_errors() {
    let args = [
        "--user",
        "bob:hunter2",
        "--set",
        "auth.rest_secret=hunter2",
        "--set",
        "admin.token=hunter2",
    ];
    let config = with(&args).unwrap();
    assert!(!format!("{config:?} {:?}", config.describe()).contains("hunter2"));
    let flags = causeway_cli::parse_from::<Flags>(["turnd"].into_iter().chain(args)).unwrap();
    assert!(!format!("{flags:?}").contains("hunter2"));
    for set in [
        "auth.users.bob=hunter2",
        "auth.users=hunter2",
        "auth.rest_secret={hunter2=1}",
        "auth.rest_secret=[\"hunter2\"]",
    ] {
        let outcome = with(&["--set", set, "--set", "realm=[]"]);
        assert!(!format!("{outcome:?}").contains("hunter2\""), "{set}: {outcome:?}");
    }
}

#[test]
fn every_key_is_documented() {
    assert_eq!(undocumented::<Schema>(SERVICE.default_config), Vec::<String>::new());
}

#[test]
fn the_documented_configuration_is_good() {
    let scratch = Scratch::new("documented");
    for name in
        ["rest-secret", "rest-secret-2027", "alice", "admin-token", "redis-password", "fleet-key"]
    {
        scratch.write(name, "a random text of more than 32 bytes\n");
    }
    std::fs::create_dir(scratch.0.join("other")).unwrap();
    for folder in ["", "other/"] {
        let certified = rcgen::generate_simple_self_signed(["example.org".to_owned()]).unwrap();
        scratch.write(&format!("{folder}fullchain.pem"), &certified.cert.pem());
        scratch.write(&format!("{folder}key.pem"), &certified.signing_key.serialize_pem());
    }
    let here = |text: String| text.replace("/etc/turnd", scratch.0.to_str().unwrap());
    let commented = scratch.write("commented.toml", SERVICE.default_config);
    with(&["--config", &commented]).unwrap();
    let all = scratch.write("all.toml", &here(uncommented(SERVICE.default_config)));
    let config = configure(&["--config", &all], &[]).unwrap();
    assert_eq!(config.auth.users[0].name, "alice");

    // What is said to be the default is the default: only what has none may differ.
    let (default, said) = (with(&[]).unwrap(), config);
    assert_eq!(said.limits, default.limits);
    assert_eq!(said.protocol, default.protocol);
    assert_eq!(said.relay, default.relay);
    assert_eq!(said.log, default.log);
    assert_eq!(
        (said.auth.expiry_grace, said.auth.rest_name),
        (default.auth.expiry_grace, default.auth.rest_name)
    );
    assert_eq!(
        (said.net.receive_buffer, said.net.send_buffer),
        (default.net.receive_buffer, default.net.send_buffer)
    );
    assert_eq!(
        (said.net.moderation, said.net.huge_pages),
        (default.net.moderation, default.net.huge_pages)
    );
    assert_eq!(said.net.dont_fragment, default.net.dont_fragment);
    assert_eq!(said.admin.listen, default.admin.listen);
}

#[test]
fn alternatives_in_the_documentation_are_keys() {
    let known = causeway_daemon::config::keys::<Schema>();
    for key in causeway_daemon::config::documented_keys(SERVICE.default_config) {
        let schema_key = match key.strip_prefix("auth.users.alice") {
            Some(rest) => format!("auth.users.NAME{rest}"),
            // What the schema reads as one value.
            None => ["relay.external", "limits.unauthenticated_per_prefix"]
                .into_iter()
                .find(|whole| key.starts_with(whole))
                .map_or_else(|| key.clone(), ToOwned::to_owned),
        };
        assert!(known.contains(&schema_key), "{schema_key} is explained and does not exist");
    }
}

#[test]
fn own_endpoints_are_all_listeners_and_the_admin() {
    let endpoints = with(&["--listen", "203.0.113.7:3478"]).unwrap().own_endpoints();
    assert_eq!(endpoints, ["203.0.113.7:3478".parse().unwrap(), ADMIN]);
}

#[test]
fn h44_users_of_a_store_that_is_not_there_are_refused() {
    let from_store = |protection| format!("auth.from_store=\"{protection}\"");
    refused(
        with(&["--set", &from_store("clear")]),
        &["auth.from_store", "there is no store", "store.url"],
    );
    refused(with(&["--set", &from_store("open")]), &["auth.from_store", "open", "sealed"]);
    assert_eq!(with(&[]).unwrap().auth.from_store, None);
    let key = format!("store.fleet_key=\"{}\"", "k".repeat(64));
    let store = [
        "--set",
        "store.url=\"redis://127.0.0.1\"",
        "--set",
        "store.node_id=\"one\"",
        "--set",
        &key,
    ];
    let sealed = with(&[&store[..], &["--set", &from_store("sealed")]].concat());
    assert_eq!(sealed.unwrap().auth.from_store, Some(causeway_store::Protection::Sealed));
}

#[test]
fn rest_secrets_have_their_times() {
    let scratch = Scratch::new("rest");
    let good = |rest: &str| {
        let auth = format!(
            "realm = \"r\"\nlisten = [{{ address = \"203.0.113.7:3478\" }}]\n[auth]\n{rest}\n"
        );
        configure(&["--config", &scratch.write("turnd.toml", &auth)], &[])
    };
    let file = scratch.write("secret", "from a file\n");
    let config = good(&format!(
        "rest_secret = \"old\"\nrest_secrets = [{{ secret = \"new\", not_before = 2027-01-01T00:00:00Z }}, \
         {{ secret_file = \"{file}\", not_before = 2027-01-01 00:00:00+00:00, not_after = 2027-01-01T00:00:01-01:00 }}]"
    ));
    let secrets = config.unwrap().auth.rest_secrets;
    let times: Vec<_> = secrets
        .iter()
        .map(|rest| (rest.secret.expose(), rest.not_before, rest.not_after))
        .collect();
    let start = 1_798_761_600;
    assert_eq!(
        times,
        [
            ("old", None, None),
            ("new", Some(start), None),
            ("from a file", Some(start), Some(start + 3601))
        ]
    );
    for (rest, words) in [
        (
            "{ secret = \"x\", not_after = 2027-01-01T00:00:00 }",
            &["rest_secrets", "offset from UTC"][..],
        ),
        ("{ secret = \"x\", not_after = 2027-01-01 }", &["offset from UTC"]),
        ("{ secret = \"x\", not_after = \"soon\" }", &["offset from UTC", "soon"]),
        (
            "{ secret = \"x\", secret_file = \"y\" }",
            &["auth.rest_secrets[0].secret", "auth.rest_secrets[0].secret_file is given, too"],
        ),
        (
            "{ not_after = 2027-01-01T00:00:00Z }",
            &["auth.rest_secrets[0]", "neither auth.rest_secrets[0].secret nor"],
        ),
        ("{ secret = \"x\", not_befor = 2027-01-01T00:00:00Z }", &["not_befor", "not_before"]),
        (
            "{ secret = \"x\", not_before = 2027-01-01T00:00:00Z, not_after = 2027-01-01T00:00:00Z }",
            &["auth.rest_secrets[0]", "not_after is no later than not_before"],
        ),
    ] {
        refused(good(&format!("rest_secrets = [{rest}]")), words);
    }
}

#[test]
fn rfc8265_4_2_names_passwords_and_the_realm_are_opaque_strings() {
    let config = with(&["--realm", "bu\u{308}cher.example", "--user", "Ju\u{308}rgen:x"]).unwrap();
    assert_eq!(
        (config.realm.as_str(), config.auth.users[0].name.as_str()),
        ("b\u{FC}cher.example", "J\u{FC}rgen")
    );
    refused(with(&["--user", "a\u{7}:x"]), &["auth.users", "RFC 8265"]);
    refused(
        with(&["--user", "alice:x\u{7}"]),
        &["auth.users.alice.password (--user): ", "holds a control character"],
    );
    refused(with(&["--realm", "r\u{E000}\u{FFFF}"]), &["realm", "RFC 8265"]);
    refused(
        with(&["--user", "Ju\u{308}rgen:x", "--user", "J\u{FC}rgen:y"]),
        &["auth.users", "another user's name is the same"],
    );
}

#[test]
fn h11_the_limiter_is_on_and_can_be_set() {
    let limit = |text: &str| with(&["--set", &format!("limits.unauthenticated_per_prefix={text}")]);
    let settings = |burst, rate| Some(causeway_auth::LimiterSettings { burst, rate });
    assert_eq!(
        with(&[]).unwrap().limits.connections.unauthenticated_per_prefix,
        settings(24_576, 2_560)
    );
    assert_eq!(
        limit("on").unwrap().limits.connections.unauthenticated_per_prefix,
        settings(24_576, 2_560)
    );
    assert_eq!(limit("off").unwrap().limits.connections.unauthenticated_per_prefix, None);
    let numbers = limit("{ burst = \"1 MiB\", rate = 0 }").unwrap();
    assert_eq!(numbers.limits.connections.unauthenticated_per_prefix, settings(1 << 20, 0));
    refused(limit("maybe"), &["limits.unauthenticated_per_prefix", "\"on\", \"off\""]);
    refused(
        limit("{ burst = \"1 GiB\", rate = 0 }"),
        &["limits.unauthenticated_per_prefix", "64 MiB", "\"off\" says so"],
    );
}

#[test]
fn sha256_keys_of_a_store_that_is_not_there_are_refused() {
    refused(
        with(&["--set", "auth.store_has_sha256=true"]),
        &["auth.store_has_sha256", "no users are taken from a store"],
    );
}
