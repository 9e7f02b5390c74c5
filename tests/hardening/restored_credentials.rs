//! H16 and H49: a credential from a restored record is valid only after a present secret, or the
//! configuration, confirms it.

use std::sync::Arc;

use causeway_auth::{Credential, Key, Refusal, RestSecret};
use causeway_relay::{Command, Discard, KeyAnswer};
use causeway_tests::addresses::peer;
use causeway_tests::{Client, Fill, Lab, REALM, Reaction, Setup};
use causeway_wire::attribute::{
    ChannelNumberAttribute, Lifetime, RequestedTransport, XorPeerAddress,
};
use causeway_wire::{Method, TransactionId};

const ALLOCATE: Fill<'static> = &|w| w.put(&RequestedTransport::UDP).map(drop);

const REQUESTS: [(Method, Fill<'static>); 3] = [
    (Method::REFRESH, &|w| w.put(&Lifetime(600)).map(drop)),
    (Method::CREATE_PERMISSION, &|w| w.put(&XorPeerAddress(peer(1, 1))).map(drop)),
    (Method::CHANNEL_BIND, &|w| {
        w.put(&ChannelNumberAttribute(0x4000))?.put(&XorPeerAddress(peer(1, 1))).map(drop)
    }),
];

/// The next process, with another configuration.
fn restart(lab: &mut Lab, change: impl FnOnce(&mut Setup)) -> Lab {
    change(&mut lab.setup);
    lab.succeed()
}

/// A client with a credential that was derived from the secret `north`.
fn minted(lab: &Lab) -> Client {
    Client::udp(1).with_rest(b"north", lab.unix() + 3000, "alice")
}

#[track_caller]
fn all_are(lab: &mut Lab, client: &mut Client, code: Option<u16>) {
    for (method, fill) in REQUESTS {
        assert_eq!(client.ask(lab, method, fill).answer().error(), code, "{method:?}");
    }
}

#[test]
fn h49_a_removed_rest_secret_revokes_its_credentials_after_a_restore() {
    let mut lab = Lab::default();
    let mut client = minted(&lab);
    let relayed = client.allocate(&mut lab);
    client.bind(&mut lab, 0x4000, peer(1, 1));
    let mut rotated = restart(&mut lab, |setup| setup.rest_secret = b"south");
    all_are(&mut rotated, &mut client, Some(401));
    assert!(
        rotated.peer_sends(peer(1, 1), relayed, b"x").unwrap().to_client().is_some(),
        "permissions and channels expire by themselves"
    );
    rotated.pass_seconds(600);
    assert!(rotated.pool.is_full());
    let mut kept = restart(&mut lab, |setup| setup.rest_secret = b"north");
    all_are(&mut kept, &mut client, None);
    let mut none = restart(&mut lab, |setup| setup.rest_secret = b"");
    all_are(&mut none, &mut client, Some(401));
}

#[test]
fn h49_a_secret_removed_at_run_time_revokes_its_credentials_too() {
    let mut lab = Lab::default();
    let mut client = minted(&lab);
    client.allocate(&mut lab);
    all_are(&mut lab, &mut client, None);
    lab.command(Command::SetAuthenticator(
        Setup::with(|setup| setup.rest_secret = b"south").authenticator(),
    ));
    all_are(&mut lab, &mut client, Some(401));
    lab.command(Command::SetAuthenticator(Setup::default().authenticator()));
    all_are(&mut lab, &mut client, None);
}

#[test]
fn h49_a_restored_credential_ends_with_the_window_of_the_present_secret() {
    let mut lab = Lab::default();
    let mut client = minted(&lab);
    client.allocate(&mut lab);
    let mut next = restart(&mut lab, |setup| setup.rest_secret = b"");
    let now = next.unix();
    let realm = |secret: RestSecret| {
        Command::SetAuthenticator(Arc::new(
            Setup::with(|s| s.rest_secret = b"").authenticator().with_rest_secrets([secret]),
        ))
    };
    next.command(realm(RestSecret::new(b"north").from(Some(now + 10))));
    all_are(&mut next, &mut client, Some(401));
    next.pass_seconds(10);
    all_are(&mut next, &mut client, None);
    next.command(realm(RestSecret::new(b"north").until(Some(now + 20))));
    all_are(&mut next, &mut client, None);
    next.pass_seconds(10);
    all_are(&mut next, &mut client, None);
    next.pass_seconds(1);
    all_are(&mut next, &mut client, Some(401));
}

#[test]
fn h16_grace_holds_for_a_restored_credential_as_for_any() {
    let mut lab = Lab::with(|setup| setup.grace = 30);
    let mut client = Client::udp(1).with_rest(b"north", lab.unix() + 100, "alice");
    client.allocate(&mut lab);
    lab.pass_seconds(50);
    let mut next = restart(&mut lab, |_| ());
    next.pass_seconds(80);
    all_are(&mut next, &mut client, None);
    next.pass_seconds(1);
    all_are(&mut next, &mut client, Some(401));
}

#[test]
fn h49_a_user_removed_from_the_configuration_is_refused_after_a_restore() {
    for further_source in [false, true] {
        let mut lab = Lab::with(|setup| setup.further_source = further_source);
        let mut client = Client::udp(1);
        client.allocate(&mut lab);
        let mut next = restart(&mut lab, |setup| setup.users = vec![("bob", "builder")]);
        if further_source {
            for (method, fill) in REQUESTS {
                let refused = match client.ask(&mut next, method, fill) {
                    Reaction::Later => next.key("alice", KeyAnswer::Unknown).remove(0),
                    reaction => reaction,
                };
                assert_eq!(refused.answer().error(), Some(401), "{method:?}");
            }
        } else {
            all_are(&mut next, &mut client, Some(401));
        }
        let mut changed = restart(&mut lab, |setup| setup.users = vec![("alice", "looking-glass")]);
        all_are(&mut changed, &mut client, Some(401));
        all_are(&mut changed, &mut client.clone().named("alice", "looking-glass"), None);
    }
}

#[test]
fn h49_a_restored_credential_waits_for_the_secrets_of_the_store() {
    let mut lab = Lab::with(|setup| setup.further_source = true);
    let mut client = minted(&lab);
    client.allocate(&mut lab);
    let mut next = restart(&mut lab, |setup| setup.rest_secret = b"");
    for (method, fill) in REQUESTS {
        assert_eq!(client.ask(&mut next, method, fill), Reaction::Later);
        let username = client.username.clone();
        assert_eq!(
            next.key(&username, KeyAnswer::Unavailable),
            [Reaction::Silence(Discard::KeyUnavailable)],
            "{method:?}"
        );
    }
    let realm = next.setup.authenticator().with_rest_secrets([RestSecret::new(b"north")]);
    next.command(Command::SetAuthenticator(Arc::new(realm)));
    all_are(&mut next, &mut client, None);
}

#[test]
fn h45_while_the_store_is_away_a_restored_user_of_it_goes_on() {
    let mut lab = Lab::with(|setup| setup.further_source = true);
    let mut carol = Client::udp(1).named("carol", "sea");
    let credential = Arc::new(Credential::new("carol", Key::long_term_md5("carol", REALM, "sea")));
    assert_eq!(carol.ask(&mut lab, Method::ALLOCATE, ALLOCATE), Reaction::Later);
    assert!(lab.key("carol", KeyAnswer::Found(credential)).remove(0).answer().error().is_none());
    let mut next = restart(&mut lab, |_| ());
    assert_eq!(carol.ask(&mut next, REQUESTS[0].0, REQUESTS[0].1), Reaction::Later);
    assert_eq!(
        next.key("carol", KeyAnswer::Unavailable).remove(0).answer().error(),
        None,
        "no call dies with the store"
    );
    assert_eq!(carol.ask(&mut next, REQUESTS[0].0, REQUESTS[0].1), Reaction::Later);
    assert_eq!(next.key("carol", KeyAnswer::Unknown).remove(0).answer().error(), Some(401));
}

#[test]
fn h49_an_expiry_that_is_not_in_seconds_is_refused_with_its_reason() {
    let mut lab = Lab::default();
    for (expiry, reason) in [
        ((lab.unix() + 100).to_string(), None),
        (((lab.unix() + 100) * 1000).to_string(), Some("expiry-not-in-seconds")),
        (((lab.unix() + 100) * 1_000_000_000).to_string(), Some("expiry-not-in-seconds")),
        (format!("+{}", lab.unix() + 100), Some("no-rest-name")),
        (format!(" {}", lab.unix() + 100), Some("no-rest-name")),
        (u64::MAX.to_string(), Some("expiry-not-in-seconds")),
    ] {
        let username = format!("{expiry}:alice");
        let password = RestSecret::new(b"north").password_sha1(&username);
        let mut client = Client::udp(1).named(&username, &password);
        client.fetch_nonce(&mut lab);
        let id = client.next_transaction();
        let request = client.signed(id, Method::ALLOCATE, ALLOCATE);
        let verdict =
            lab.server.handle_client(lab.now(), &client.five_tuple, &request, &mut [0; 1500]);
        let refusal = verdict.respond().and_then(|respond| respond.refusal);
        assert_eq!(refusal.map(Refusal::reason), reason, "{expiry}");
        // A guessed password gets the same answer.
        let guess = client.named(&username, "guess");
        let request = guess.signed(TransactionId([7; 12]), Method::ALLOCATE, ALLOCATE);
        let refused = lab.client_sends(&guess.five_tuple, &request);
        assert_eq!(refused.answer().error(), Some(401));
    }
}
