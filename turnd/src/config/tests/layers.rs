//! The layers in their order, unknown keys, and values of the wrong type.

use super::*;

#[test]
fn layers_go_over_each_other_in_order() {
    let scratch = Scratch::new();
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
        (last.realm.as_str(), last.relay.ports, last.limits.clients.allocations_per_user),
        ("flag", 50_002..=50_003, 1)
    );
}

#[test]
fn every_key_can_be_set_by_a_variable() {
    let scratch = Scratch::new();
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
        ("TURNDX_REALM", "of another program"),
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
    assert_eq!(config.limits.relay.max_lifetime.as_secs(), 1_200);
    assert_eq!(config.relay.addresses[0].advertised.to_string(), "198.51.100.7");
}

#[test]
fn h44_unknown_keys_are_refused_with_the_place_and_the_nearest_name() {
    let scratch = Scratch::new();
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
    let scratch = Scratch::new();
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
        ("realm = \"r\"\nrealm = \"s\"", "FILE:2: invalid TOML"),
    ];
    for (text, expected) in cases {
        let error = error(text);
        assert!(error.contains(expected), "{text:?}: {expected:?} is not in {error:?}");
    }
}
