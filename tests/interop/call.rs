//! A call between two clients, each of which may use its relayed address only: what both must see
//! of it.

use std::time::Instant;

use causeway_tests::daemon::service::{PASSWORD, USER};
use serde_json::{Value, json};

use crate::legs::{Leg, Server};
use crate::peer::{Client, Peer};

/// Enough of them to fill the channel's window more than once.
const MESSAGES: u64 = 100;

/// Minimum number of audio packets that shows that sound flows.
const SOUND: u64 = 25;

/// The media of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Data,
    DataAndSound,
}

/// A call through the server from one client to the other, whose reports are checked.
pub(crate) fn call(server: &Server, caller: (Client, Leg), callee: (Client, Leg), media: Media) {
    let started = Instant::now();
    let (mut calls, mut answers) =
        (endpoint(server, "caller", caller, media), endpoint(server, "callee", callee, media));
    answers.tell(&json!({ "description": calls.hear("description") }));
    calls.tell(&json!({ "description": answers.hear("description") }));
    let (ours, theirs) = (calls.seen(), answers.seen());
    println!(
        "{caller:?} -> {callee:?}, {media:?}: {:.1} s\n  {ours:?}\n  {theirs:?}",
        started.elapsed().as_secs_f64()
    );
    for seen in [&ours, &theirs] {
        assert!(seen.intact && seen.messages == MESSAGES, "{seen:?}\n{}", server.turnd.log());
        assert!(seen.local.kind == "relay" && seen.remote.kind == "relay", "{seen:?}");
        assert!(seen.sound >= SOUND || media == Media::Data, "{seen:?}");
    }
    assert!(
        ours.local == theirs.remote && ours.remote == theirs.local,
        "both mean the same pair: {ours:?} {theirs:?}"
    );
    calls.end();
    answers.end();
}

fn endpoint(server: &Server, role: &str, (client, leg): (Client, Leg), media: Media) -> Peer {
    Peer::start(client, server.root(), &settings(server, role, leg, media))
}

/// The settings line for a client.
pub(crate) fn settings(server: &Server, role: &str, leg: Leg, media: Media) -> Value {
    json!({
        "role": role,
        "url": server.uri(leg),
        "user": USER,
        "password": PASSWORD,
        "messages": MESSAGES,
        "audio": media == Media::DataAndSound,
    })
}
