//! Realm, users and secrets.

use super::*;

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
fn h44_secrets_are_one_of_two_and_readable() {
    let scratch = Scratch::new();
    let missing = scratch.0.path("missing").display().to_string();
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
    let scratch = Scratch::new();
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
            &["auth.rest_secrets[0]", "not_after is not later than not_before"],
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
        &["auth.users.alice.password (--user): ", "contains a control character"],
    );
    refused(with(&["--realm", "r\u{E000}\u{FFFF}"]), &["realm", "RFC 8265"]);
    refused(
        with(&["--user", "Ju\u{308}rgen:x", "--user", "J\u{FC}rgen:y"]),
        &["auth.users", "equals another user's name"],
    );
}

#[test]
fn sha256_keys_of_a_store_that_is_not_there_are_refused() {
    refused(
        with(&["--set", "auth.store_has_sha256=true"]),
        &["auth.store_has_sha256", "requires auth.from_store"],
    );
}
