//! Input that an operator types is read as written or refused, and no secret is shown (H56); an
//! address has one form (H54).

use super::*;

#[test]
fn h56_a_malformed_flag_shows_no_secret() {
    for arguments in [
        &["--user", "hunter2"][..],
        &["--user=hunter2"],
        &["--user", ":hunter2"],
        &["--set", "auth.users.my user.password=hunter2"],
        &["--set=auth.users.alice.password:hunter2"],
        &["--user", "alice:", "hunter2"],
        &["alice:hunter2"],
        &["--uesr", "alice:hunter2"],
        &["--uesr=alice:hunter2"],
        &["--user:alice:hunter2"],
        &["-ualice:hunter2"],
        &["--rest-secret", "hunter2"],
        &["--rest-secret=hunter2"],
        &["--take-over=hunter2"],
        &["--admin-listen=127.0.0.1:1", "--", "hunter2"],
    ] {
        let error =
            causeway_cli::parse_from::<Flags>([&["turnd"], arguments].concat()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{arguments:?}: {error}");
    }
    let flag =
        causeway_cli::parse_from::<Flags>(["turnd", "--user", "hunter2"]).unwrap_err().to_string();
    assert!(flag.contains("--user <NAME:PASSWORD>: expected NAME:PASSWORD"), "{flag}");
}

#[test]
fn the_key_at_fault_is_named_and_where_it_was_written() {
    let scratch = Scratch::new();
    let (short, empty) = (scratch.write("short", "hunter2"), scratch.write("empty", ""));
    let store = ["--set", "store.url=redis://127.0.0.1", "--set", "store.node_id=one"];
    let fleet = format!("store.fleet_key_file={short}");
    refused(
        with(&[&store[..], &["--set", &fleet]].concat()),
        &["store.fleet_key_file (--set store.fleet_key_file): ", "openssl rand"],
    );
    refused(with(&store), &["store.fleet_key", "is given"]);
    refused(
        with(&["--set", "store.url=localhost"]),
        &["store.url (--set store.url): ", "no scheme"],
    );
    refused(
        with(&["--set", &format!("store.url_file={empty}")]),
        &["store.url_file (--set store.url_file): ", "is empty"],
    );
    refused(
        with(&["--set", &format!("admin.token_file={empty}")]),
        &["admin.token_file (--set admin.token_file): "],
    );
    let (user, password) =
        (format!("auth.users.bob.password_file={empty}"), "auth.users.bob.password_file (--set");
    refused(with(&["--set", &user]), &[password, "is empty"]);
    refused(
        with(&["--rest-secret-file", &empty]),
        &["auth.rest_secret_file (--rest-secret-file): "],
    );
}

#[test]
fn rest_names_are_read_as_it_is_said() {
    let form = |text: &str| {
        with(&[
            "--set",
            "auth.rest_secret=a long random text",
            "--set",
            &format!("auth.rest_name={text}"),
        ])
    };
    for (text, shown) in [
        ("time:name", "as EXPIRY:NAME;"),
        ("name:time", "as NAME:EXPIRY;"),
        ("either", "as EXPIRY:NAME or NAME:EXPIRY"),
    ] {
        let described = form(text).unwrap().describe().join("\n");
        assert!(
            described.contains(shown)
                && described.contains("limits.allocations_per_user counts by NAME"),
            "{described}"
        );
    }
    refused(form("nametime"), &["auth.rest_name", "time:name, name:time, either"]);
    assert!(!with(&[]).unwrap().describe().join("\n").contains("REST"), "there is no REST secret");
    let weak = with(&["--set", "auth.rest_secret=north"]).unwrap().describe().join("\n");
    assert!(
        weak.contains("warning: auth.rest_secret: a secret of 5 bytes") && !weak.contains("north"),
        "{weak}"
    );
}

#[test]
fn h54_an_ipv4_address_in_ipv6_form_is_refused_wherever_it_is_written() {
    let set = |text: &'static str| with(&["--set", text]);
    refused(set("peers.rules=deny ::ffff:10.0.0.0/104"), &["peers.rules", "write 10.0.0.0/8"]);
    refused(set("peers.rules=allow ::ffff:192.0.2.7"), &["peers.rules", "write 192.0.2.7"]);
    refused(set("peers.rules=allow ::ffff:0:0/96"), &["peers.rules", "write 0.0.0.0/0"]);
    let trusted = |prefix: &str| {
        format!(
            "listen=[{{address=\"203.0.113.7:3478\", proxy_protocol={{trusted=[\"{prefix}\"]}}}}]"
        )
    };
    refused(with(&["--set", &trusted("::ffff:10.0.0.0/104")]), &["trusted", "write 10.0.0.0/8"]);
    refused(with(&["--set", &trusted("10.0.0.7/8")]), &["trusted", "write 10.0.0.0/8"]);
    assert!(with(&["--set", &trusted("10.0.0.0/8")]).is_ok());
    refused(
        with(&["--listen", "[::ffff:203.0.113.7]:3478"]),
        &["listen[0].address", "write 203.0.113.7"],
    );
    refused(with(&["--external-address", "::ffff:203.0.113.9"]), &["relay.external"]);
    let pair = ["--relay-address", "10.0.0.7", "--external-address", "10.0.0.7=::ffff:203.0.113.7"];
    refused(with(&pair), &["relay.external", "write 203.0.113.7"]);
    let admin = with(&["--admin-listen", "[::ffff:127.0.0.1]:9641"]).unwrap().admin.listen;
    assert_eq!(
        admin,
        Some(ADMIN.parse().unwrap()),
        "one that can only mean one thing is taken as that"
    );
}

/// [`GOOD`] with these variables.
fn variables(environment: &[(&str, &str)]) -> Result<Config, String> {
    configure(&GOOD, environment)
}

#[test]
fn h56_an_empty_variable_is_refused_by_its_name() {
    for name in [
        "TURND_PEERS__RULES",
        "TURND_STORE__URL",
        "TURND_PROTOCOL__SOFTWARE",
        "TURND_RELAY__EXTERNAL",
        "TURND_LIMITS__MAX_LIFETIME",
    ] {
        for empty in ["", "  "] {
            refused(
                variables(&[(name, empty)]),
                &[&format!("environment variable {name}"), "is empty", "leave it out"],
            );
        }
    }
    refused(
        with(&["--set", "peers.rules="]),
        &["peers.rules (--set peers.rules): the value is empty"],
    );
    refused(variables(&[("TURND_CONFIG", "")]), &["--config", "is empty"]);
    let said =
        variables(&[("TURND_PROTOCOL__SOFTWARE", "\"\""), ("TURND_PEERS__RULES", "[]")]).unwrap();
    assert_eq!((said.protocol.software, said.peers.rules.len()), (None, 0));
    refused(
        variables(&[("TURND_PEERS__RULES", "deny 198.51.100.7,,deny 198.51.100.8")]),
        &["peers.rules", "an item of the list is empty"],
    );
}

#[test]
fn h56_a_name_in_a_variable_is_not_folded() {
    let names = |variable| {
        let config = variables(&[(variable, "wonderland")]).unwrap();
        config.auth.users.into_iter().map(|user| user.name).collect::<Vec<_>>()
    };
    assert_eq!(names("TURND_AUTH__USERS__ALICE__PASSWORD"), ["ALICE", "alice"]);
    assert_eq!(names("TURND_AUTH__USERS__Bob__PASSWORD"), ["Bob", "alice"]);
}

#[test]
fn h56_what_is_set_twice_is_refused() {
    refused(
        with(&["--user", "bob:one", "--user", "bob:two"]),
        &["auth.users.bob (--user): --user sets it, too; keep one"],
    );
    refused(
        with(&["--set", "limits.max_lifetime=2h", "--set", "limits.max_lifetime=3h"]),
        &["limits.max_lifetime", "sets it, too"],
    );
    refused(
        with(&[
            "--set",
            "auth.users={ bob = { password = \"x\" } }",
            "--set",
            "auth.users.eve.password=y",
        ]),
        &["as a whole"],
    );
    refused(
        with(&[
            "--set",
            "auth.users.eve.password=y",
            "--set",
            "auth.users={ bob = { password = \"x\" } }",
        ]),
        &["sets it, too"],
    );
    let external = [
        "--external-address",
        "203.0.113.7=198.51.100.1",
        "--external-address",
        "203.0.113.7=198.51.100.2",
    ];
    refused(with(&external), &["relay.external.203.0.113.7", "sets it, too"]);
    refused(
        variables(&[("TURND_PROTOCOL__SOFTWARE", "a"), ("TURND_Protocol__Software", "b")]),
        &["protocol.software", "sets it, too"],
    );
    let scratch = Scratch::new();
    let file = scratch.write("twice.toml", "realm = \"a\"\nrealm = \"b\"\n");
    refused(with(&["--config", &file]), &["twice.toml:2", "duplicate key"]);
    // A higher layer goes over a lower one, as the documentation says.
    let file =
        scratch.write("good.toml", "realm = \"a\"\n[auth.users.alice]\npassword = \"old\"\n");
    assert_eq!(
        with(&["--config", &file, "--user", "alice:new"]).unwrap().auth.users[0].password.expose(),
        "new"
    );
}

#[test]
fn h56_a_variable_of_ours_is_read_or_refused() {
    refused(
        variables(&[("TURND_PORT", "3479")]),
        &["environment variable TURND_PORT", "unknown key"],
    );
    refused(
        variables(&[("TURND_AUTH__USER", "x")]),
        &["environment variable TURND_AUTH__USER", "unknown key"],
    );
    refused(
        variables(&[("turnd_realm", "example.net")]),
        &["environment variable turnd_realm", "small letters", "TURND_"],
    );
    assert!(
        variables(&[("turnd_version", "4.18")]).is_ok(),
        "another program's variable, which names no key"
    );
    refused(
        variables(&[("TURND_config", "/etc/turnd.toml")]),
        &["environment variable TURND_config", "unknown key"],
    );
}

#[test]
fn h56_numbers_are_taken_as_they_are_meant_or_refused() {
    for value in ["1h30", "30m30m", "5m 1h", "1.5h", "10 20", "1h,", "1h x"] {
        refused(
            with(&["--set", &format!("limits.max_lifetime={value}")]),
            &["limits.max_lifetime", "expected a duration"],
        );
    }
    for value in
        ["08", "1e3", "20x", "20 30", "0x", "twenty", "-1", "1.0", "4294967296000000000000"]
    {
        refused(
            with(&["--set", &format!("limits.allocations_per_user={value}")]),
            &["limits.allocations_per_user", "expected"],
        );
    }
    for value in ["4M", "4 mib", "4MiB!", "4 MiB 5", "-1"] {
        refused(
            with(&["--set", &format!("net.receive_buffer={value}")]),
            &["net.receive_buffer", "expected a size"],
        );
    }
    refused(with(&["--relay-ports", "50000-50010,50020"]), &["relay.ports", "range of ports"]);
}

#[test]
fn h56_secrets_keep_no_blanks_line_ends_or_second_lines() {
    for value in
        ["long random text ", " long random text", "long random text\n", "long random text\r\n"]
    {
        let error = variables(&[("TURND_AUTH__REST_SECRET", value)]).unwrap_err();
        assert!(
            error.contains("auth.rest_secret (environment variable") && !error.contains("random"),
            "{error}"
        );
    }
    let scratch = Scratch::new();
    for (text, told) in [
        ("hunter2\nold\n", "2 lines"),
        ("\u{feff}hunter2\n", "byte-order mark"),
        ("hunter2 \n", "blank"),
        ("a\tb", "control"),
    ] {
        let file = scratch.write("secret", text);
        for key in [
            "auth.rest_secret_file",
            "auth.users.bob.password_file",
            "admin.token_file",
            "store.url_file",
        ] {
            let error = with(&["--set", &format!("{key}={file}")]).unwrap_err();
            assert!(
                error.starts_with(key) && error.contains(told) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }
}

#[test]
fn h56_a_name_or_a_password_of_redis_is_written_once() {
    let store = |url: &str, more: &[&str]| {
        let url = format!("store.url={url}");
        let key =
            "store.fleet_key=00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        with(
            &[&["--set", url.as_str(), "--set", "store.node_id=one", "--set", key][..], more]
                .concat(),
        )
    };
    let (name, password) = (["--set", "store.username=turn"], ["--set", "store.password=pw"]);
    for (url, more, twice) in [
        ("redis://turn:other@127.0.0.1", &name, "store.username"),
        ("redis://turn:other@127.0.0.1", &password, "store.password"),
        ("redis://:other@127.0.0.1/0", &password, "store.password"),
    ] {
        let problem = store(url, more).unwrap_err();
        assert!(
            problem.contains(twice)
                && problem.contains("keep one of the two")
                && !problem.contains("other"),
            "{problem}"
        );
    }
    for (url, more) in [
        ("redis://turn@127.0.0.1", &password),
        ("redis://:other@127.0.0.1", &name),
        ("redis://127.0.0.1", &password),
    ] {
        assert!(store(url, more).is_ok(), "{url}");
    }
}
