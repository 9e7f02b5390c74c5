//! Users and secrets in Redis: looked up, cached, changed, and served during an outage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use causeway_store::{
    KeyAlgorithm, LongTermKey, Lookup, Protection, RestSecret, Unavailable, UserKeys, Users,
    UsersSettings,
};

use crate::server::Server;
use crate::world::{NASTY, fleet_key};

const REALM: &str = "example.org";

fn users(server: &Server, protection: Protection) -> Arc<Users> {
    let settings = UsersSettings {
        protection,
        ttl: Duration::from_millis(600),
        negative_ttl: Duration::from_millis(300),
        poll: Duration::from_millis(50),
        ..UsersSettings::default()
    };
    Arc::new(Users::new(&server.settings(), fleet_key(), settings).expect("a good URL"))
}

fn keys(number: u8) -> UserKeys {
    let md5 = LongTermKey::new(KeyAlgorithm::Md5, &[number; 16]).expect("16 bytes");
    let sha256 = LongTermKey::new(KeyAlgorithm::Sha256, &[number; 32]).expect("32 bytes");
    UserKeys {
        keys: vec![md5, sha256],
        not_after: number.is_multiple_of(2).then_some(1_900_000_000),
    }
}

fn found(number: u8) -> Lookup {
    Lookup::Found(Arc::new(keys(number)))
}

#[tokio::test]
async fn h40_users_of_any_name_in_any_realm_are_read_back_exactly_and_apart() {
    let server = Server::start(&[]);
    for protection in [Protection::Sealed, Protection::Clear] {
        let (writes, reads) = (users(&server, protection), users(&server, protection));
        let pairs = || NASTY.iter().flat_map(|realm| NASTY.iter().map(move |name| (realm, name)));
        for (number, (realm, name)) in (0..).zip(pairs()) {
            writes.put_user(realm, name, &keys(number)).await.unwrap();
        }
        for (number, (realm, name)) in (0..).zip(pairs()) {
            assert_eq!(reads.lookup(realm, name).await, found(number), "{name:?} of {realm:?}");
        }
        assert_eq!(reads.report().malformed, 0);
    }
    let stored: Vec<String> = server.ask(&["KEYS", "*"]).await;
    assert_eq!(stored.len(), NASTY.len() * NASTY.len() + 1, "one key per user, and the version");
}

#[tokio::test]
async fn h25_a_sealed_user_shows_no_key_and_is_good_under_its_own_name_only() {
    let server = Server::start(&[]);
    let users = users(&server, Protection::Sealed);
    users.put_user(REALM, "alice", &keys(0x61)).await.unwrap();
    let stored: Vec<String> = server.ask(&["HVALS", "cw:user:example.org:alice"]).await;
    assert!(
        stored.iter().all(|value| value.starts_with("sealed:") && !value.contains("616161")),
        "{stored:?}"
    );
    let _: () =
        server.ask(&["COPY", "cw:user:example.org:alice", "cw:user:example.org:mallory"]).await;
    let _: () = server
        .ask(&["HSET", "cw:user:example.org:clear", "md5", "00112233445566778899aabbccddeeff"])
        .await;
    let _: () = server.ask(&["SET", "cw:user:example.org:text", "no hash"]).await;
    let _: () = server
        .ask(&["HSET", "cw:user:example.org:until", "md5", &stored[0], "not_after", "tomorrow"])
        .await;
    for name in ["mallory", "clear", "text", "until"] {
        assert_eq!(users.lookup(REALM, name).await, Lookup::Unknown, "{name}");
    }
    assert_eq!(users.report().malformed, 4);
    assert_eq!(users.lookup(REALM, "alice").await, found(0x61));
    // A user that another program wrote in clear is read where that is allowed.
    let clear = self::users(&server, Protection::Clear);
    assert!(matches!(
        clear.lookup(REALM, "clear").await,
        Lookup::Found(user) if user.keys[0].as_bytes()[15] == 0xff
    ));
}

#[tokio::test]
async fn answers_are_cached_and_forgotten_when_something_changes() {
    let server = Server::start(&[]);
    let (tool, users) = (users(&server, Protection::Sealed), users(&server, Protection::Sealed));
    let watched = Arc::clone(&users);
    let watching = tokio::spawn(async move { watched.watch().await });
    let mut changes = users.changes();
    tool.put_user(REALM, "alice", &keys(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    changes.mark_unchanged();
    for _ in 0..5 {
        assert_eq!(users.lookup(REALM, "alice").await, found(1));
        assert_eq!(users.lookup(REALM, "bob").await, Lookup::Unknown);
    }
    assert_eq!(users.report().asked, 2, "the rest came from memory");

    tool.put_user(REALM, "alice", &keys(2)).await.unwrap();
    tool.put_user(REALM, "bob", &keys(3)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(1), changes.changed())
        .await
        .expect("the change is reported in time")
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(users.lookup(REALM, "alice").await, found(2));
    assert_eq!(users.lookup(REALM, "bob").await, found(3));
    tool.remove_user(REALM, "alice").await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(users.lookup(REALM, "alice").await, Lookup::Unknown);
    watching.abort();

    // Written by a program that does not increment the version: seen when the cache entry expires.
    let _: () = server.ask(&["DEL", "cw:user:example.org:bob"]).await;
    tokio::time::sleep(Duration::from_millis(650)).await;
    assert_eq!(users.lookup(REALM, "bob").await, Lookup::Unknown);
}

#[tokio::test]
async fn secrets_rotate_and_are_read_back_exactly() {
    let server = Server::start(&[]);
    let (tool, users) = (users(&server, Protection::Sealed), users(&server, Protection::Sealed));
    let secret = |name: &str, not_after| RestSecret {
        name: name.into(),
        secret: NASTY.concat().into_bytes().into(),
        not_after,
    };
    for realm in NASTY {
        let both = [secret("2026-11", Some(1_900_000_000)), secret("2026-12", None)];
        for secret in &both {
            tool.put_secret(realm, secret).await.unwrap();
        }
        assert_eq!(users.secrets(realm).await, Ok(both.to_vec()));
        tool.remove_secret(realm, "2026-11").await.unwrap();
        users.forget();
        assert_eq!(users.secrets(realm).await, Ok(both[1..].to_vec()));
    }
    assert!(tool.put_secret(REALM, &secret("a b", None)).await.is_err());
    assert!(!format!("{:?}", secret("a", None)).contains("alice"));
}

#[tokio::test]
async fn h45_without_the_store_known_users_log_in_and_none_waits() {
    let mut server = Server::start(&[]);
    let users = users(&server, Protection::Sealed);
    users.put_user(REALM, "alice", &keys(1)).await.unwrap();
    assert_eq!(users.lookup(REALM, "alice").await, found(1));
    assert_eq!(users.secrets(REALM).await, Ok(Vec::new()));

    server.halt();
    tokio::time::sleep(Duration::from_millis(650)).await;
    let start = Instant::now();
    assert_eq!(users.lookup(REALM, "alice").await, found(1));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    let start = Instant::now();
    for number in 0..1000 {
        assert_eq!(users.lookup(REALM, &format!("stranger {number}")).await, Lookup::Unavailable);
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "a thousand unknown users do not wait: {:?}",
        start.elapsed()
    );
    assert_eq!(users.secrets(REALM).await, Ok(Vec::new()));
    assert_eq!(users.secrets("another").await, Err(Unavailable));
    let report = users.report();
    assert!(report.stale == 1 && report.unavailable == 1000, "{report:?}");

    server.resume();
    server.kill();
    server.run();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(users.lookup(REALM, "stranger").await, Lookup::Unknown);
    assert_eq!(users.lookup(REALM, "alice").await, Lookup::Unknown, "an empty server has no user");
}

#[tokio::test]
async fn h45_too_many_lookups_bring_back_no_user_who_may_have_been_revoked() {
    let server = Server::start(&[]);
    let settings = UsersSettings { parallel: 1, ttl: Duration::ZERO, ..UsersSettings::default() };
    let users = || Users::new(&server.settings(), fleet_key(), settings).expect("a good URL");
    let (unchanged, changed) = (users(), users());
    unchanged.put_user(REALM, "alice", &keys(1)).await.unwrap();
    for users in [&unchanged, &changed] {
        assert_eq!(users.lookup(REALM, "alice").await, found(1));
    }
    changed.forget();
    server.halt();
    // The lookup of an unknown user takes the only permit, and waits.
    let both = async |users: &Users| {
        tokio::join!(users.lookup(REALM, "stranger"), users.lookup(REALM, "alice"))
    };
    assert_eq!(
        both(&unchanged).await,
        (Lookup::Unavailable, found(1)),
        "nothing shows that the user is gone"
    );
    assert_eq!(
        both(&changed).await,
        (Lookup::Unavailable, Lookup::Unavailable),
        "the store may be reachable and answer"
    );
    assert_eq!(
        changed.lookup(REALM, "alice").await,
        found(1),
        "by now the store is known to be unreachable"
    );
    server.resume();
}

#[tokio::test]
async fn h45_a_change_just_before_an_outage_locks_no_user_out() {
    let server = Server::start(&[]);
    let (tool, users) = (users(&server, Protection::Sealed), users(&server, Protection::Sealed));
    let secret = RestSecret { name: "1".into(), secret: vec![1].into(), not_after: None };
    tool.put_user(REALM, "alice", &keys(1)).await.unwrap();
    tool.put_secret(REALM, &secret).await.unwrap();
    let watched = Arc::clone(&users);
    let watching = tokio::spawn(async move { watched.watch().await });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(
        (users.lookup(REALM, "alice").await, users.secrets(REALM).await),
        (found(1), Ok(vec![secret.clone()]))
    );

    let mut changes = users.changes();
    changes.mark_unchanged();
    tool.put_user(REALM, "bob", &keys(3)).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), changes.changed())
        .await
        .expect("the change is seen")
        .unwrap();
    server.halt();
    assert_eq!(users.lookup(REALM, "alice").await, found(1), "alice is known");
    assert_eq!(users.secrets(REALM).await, Ok(vec![secret]));
    assert_eq!(users.lookup(REALM, "stranger").await, Lookup::Unavailable);
    assert_eq!(users.report().stale, 1);
    watching.abort();
    server.resume();
}
