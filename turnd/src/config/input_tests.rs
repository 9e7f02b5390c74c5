//! Nothing that an operator types is lost or altered without a word, and no secret is shown (H56); an address has one form (H54).

use super::tests::{Scratch, refused, with};
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
        let error = causeway_cli::parse_from::<Flags>([&["turnd"], arguments].concat()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2"), "{arguments:?}: {error}");
    }
    let flag = causeway_cli::parse_from::<Flags>(["turnd", "--user", "hunter2"]).unwrap_err().to_string();
    assert!(flag.contains("--user <NAME:PASSWORD>: expected NAME:PASSWORD"), "{flag}");
}

#[test]
fn the_key_at_fault_is_named_and_where_it_was_written() {
    let scratch = Scratch::new("origin");
    let (short, empty) = (scratch.write("short", "hunter2"), scratch.write("empty", ""));
    let store = ["--set", "store.url=redis://127.0.0.1", "--set", "store.node_id=one"];
    let fleet = format!("store.fleet_key_file={short}");
    refused(with(&[&store[..], &["--set", &fleet]].concat()), &["store.fleet_key_file (--set store.fleet_key_file): ", "openssl rand"]);
    refused(with(&store), &["store.fleet_key", "is given"]);
    refused(with(&["--set", "store.url=localhost"]), &["store.url (--set store.url): ", "no scheme"]);
    refused(with(&["--set", &format!("store.url_file={empty}")]), &["store.url_file (--set store.url_file): ", "is empty"]);
    refused(with(&["--set", &format!("admin.token_file={empty}")]), &["admin.token_file (--set admin.token_file): "]);
    let (user, password) = (format!("auth.users.bob.password_file={empty}"), "auth.users.bob.password_file (--set");
    refused(with(&["--set", &user]), &[password, "is empty"]);
    refused(with(&["--rest-secret-file", &empty]), &["auth.rest_secret_file (--rest-secret-file): "]);
}

#[test]
fn rest_names_are_read_as_it_is_said() {
    let form = |text: &str| with(&["--set", "auth.rest_secret=a long random text", "--set", &format!("auth.rest_name={text}")]);
    for (text, shown) in [("time:name", "as EXPIRY:NAME;"), ("name:time", "as NAME:EXPIRY;"), ("either", "as EXPIRY:NAME or NAME:EXPIRY")] {
        let described = form(text).unwrap().describe().join("\n");
        assert!(described.contains(shown) && described.contains("limits.allocations_per_user counts by NAME"), "{described}");
    }
    refused(form("nametime"), &["auth.rest_name", "time:name, name:time, either"]);
    assert!(!with(&[]).unwrap().describe().join("\n").contains("REST"), "there is no REST secret");
    let weak = with(&["--set", "auth.rest_secret=north"]).unwrap().describe().join("\n");
    assert!(weak.contains("warning: auth.rest_secret: a secret of 5 bytes") && !weak.contains("north"), "{weak}");
}

#[test]
fn h54_an_ipv4_address_in_ipv6_form_is_refused_wherever_it_is_written() {
    let set = |text: &'static str| with(&["--set", text]);
    refused(set("peers.rules=deny ::ffff:10.0.0.0/104"), &["peers.rules", "write 10.0.0.0/8"]);
    refused(set("peers.rules=allow ::ffff:192.0.2.7"), &["peers.rules", "write 192.0.2.7"]);
    refused(set("peers.rules=allow ::ffff:0:0/96"), &["peers.rules", "write 0.0.0.0/0"]);
    let trusted = |prefix: &str| format!("listen=[{{address=\"203.0.113.7:3478\", proxy_protocol={{trusted=[\"{prefix}\"]}}}}]");
    refused(with(&["--set", &trusted("::ffff:10.0.0.0/104")]), &["trusted", "write 10.0.0.0/8"]);
    refused(with(&["--set", &trusted("10.0.0.7/8")]), &["trusted", "write 10.0.0.0/8"]);
    assert!(with(&["--set", &trusted("10.0.0.0/8")]).is_ok());
    refused(with(&["--listen", "[::ffff:203.0.113.7]:3478"]), &["listen[0].address", "write 203.0.113.7"]);
    refused(with(&["--external-address", "::ffff:203.0.113.9"]), &["relay.external"]);
    let pair = ["--relay-address", "10.0.0.7", "--external-address", "10.0.0.7=::ffff:203.0.113.7"];
    refused(with(&pair), &["relay.external", "write 203.0.113.7"]);
    let admin = with(&["--admin-listen", "[::ffff:127.0.0.1]:9641"]).unwrap().admin.listen;
    assert_eq!(admin, Some(ADMIN), "one that can only mean one thing is taken as that");
}
