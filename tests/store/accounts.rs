//! Accounts: a start, interims and one end of every allocation, in the stream and in the log,
//! however it ends.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use causeway_relay::Transport;
use causeway_tests::daemon::certificates::{Certificates, KeyKind};
use causeway_tests::daemon::leg::{arrives, udp};
use causeway_tests::daemon::service::{self, USER};

use crate::redis_server::RedisServer;
use crate::relay::{Relay, records};
use causeway_tests::daemon::talker::{Talker, channel_data};

const EVERY: [Transport; 4] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Dtls];

type Entry = HashMap<String, String>;

fn stream(redis: &RedisServer) -> Vec<Entry> {
    let mut range = redis::cmd("XRANGE");
    let entries: Vec<(String, Entry)> = range
        .arg("cw:accounting")
        .arg("-")
        .arg("+")
        .query(&mut redis.connection())
        .expect("Redis answers");
    entries.into_iter().map(|(_, entry)| entry).collect()
}

/// Waits until the stream's entries meet the condition.
fn until(
    redis: &RedisServer,
    relay: &Relay,
    what: &str,
    is_there: impl Fn(&[Entry]) -> bool,
) -> Vec<Entry> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let entries = stream(redis);
        if is_there(&entries) {
            return entries;
        }
        assert!(Instant::now() < deadline, "{what}: {entries:#?}\n{}", relay.service.log());
        thread::sleep(Duration::from_millis(20));
    }
}

/// The events of the allocation over this transport, in order, with their reasons.
fn of(entries: &[Entry], transport: Transport) -> Vec<(String, String)> {
    let its = entries.iter().filter(|entry| entry["transport"] == transport.name());
    its.map(|entry| (entry["event"].clone(), entry["reason"].clone())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(event, reason)| ((*event).to_owned(), (*reason).to_owned())).collect()
}

fn every_transport(config: &str, certificates: &Certificates, more: &str) -> String {
    let config = config.replacen(
        "[relay]",
        "transports = [\"udp\", \"tcp\", \"tls\", \"dtls\"]\n[relay]",
        1,
    );
    format!("{config}{}{more}", certificates.table())
}

/// Clients, one over each transport, that have sent the peer four bytes and received four.
fn talking(
    address: std::net::SocketAddr,
    certificates: &Certificates,
    peer: &UdpSocket,
) -> Vec<Talker> {
    let talk = |transport| {
        let mut talker = Talker::new(transport, address, &certificates.root());
        let relayed = talker.allocate();
        assert_eq!(talker.bind(0x4000, peer.local_addr().expect("it is bound")), None);
        talker.send_channel(0x4000, b"ping");
        assert_eq!(arrives(peer), (b"ping".to_vec(), relayed));
        peer.send_to(b"pong", relayed).expect("loopback takes it");
        assert_eq!(talker.link.receive(), Some(channel_data(0x4000, b"pong", transport)));
        talker
    };
    EVERY.into_iter().map(talk).collect()
}

#[test]
fn h50_a_stop_accounts_for_every_allocation_once_and_restored_ones_go_on() {
    let (redis, certificates, peer) =
        (RedisServer::start(), Certificates::make(KeyKind::Ecdsa), udp());
    let mut relay =
        Relay::start_as(&redis.url(), |config| every_transport(config, &certificates, ""));
    let mut talkers = talking(relay.service.address, &certificates, &peer);
    until(&redis, &relay, "the starts", |entries| entries.len() == 4);
    relay.service.stop();

    let entries = stream(&redis);
    assert_eq!(
        of(&entries, Transport::Udp),
        pairs(&[("start", ""), ("interim", "stop")]),
        "it outlives the process"
    );
    let log = relay.service.log();
    for transport in &EVERY[1..] {
        assert_eq!(
            of(&entries, *transport),
            pairs(&[("start", ""), ("end", "stop")]),
            "{}",
            transport.name()
        );
    }
    for entry in entries.iter().filter(|entry| entry["event"] != "start") {
        let used = ["packets_to_peer", "bytes_to_peer", "packets_to_client", "bytes_to_client"]
            .map(|field| entry[field].as_str());
        assert_eq!(
            (used, entry["user"].as_str(), entry["realm"].as_str()),
            (["1", "4", "1", "4"], USER, service::REALM)
        );
        let line =
            log.lines().find(|line| line.contains(&entry["record"]) && !line.contains("started"));
        let said =
            if entry["event"] == "end" { "allocation ended" } else { "allocation continues" };
        assert!(
            line.is_some_and(|line| line.contains(said) && line.contains("stop")),
            "{line:?} of {log}"
        );
    }
    assert_eq!(log.matches("allocation started").count(), 4, "{log}");

    // No end comes twice, and the counts of the restored allocation go on.
    relay.service.start_again();
    relay.until_restored(1);
    let udp = &mut talkers[0];
    udp.send_channel(0x4000, b"more");
    assert_eq!(arrives(&peer).0, b"more");
    assert_eq!(udp.refresh(0), None);
    let entries =
        until(&redis, &relay, "the end", |entries| of(entries, Transport::Udp).len() == 3);
    assert_eq!(entries.len(), 9, "{entries:#?}");
    assert_eq!(of(&entries, Transport::Udp)[2], ("end".to_owned(), "released".to_owned()));
    let last = entries.last().expect("there are some");
    assert_eq!((last["packets_to_peer"].as_str(), last["bytes_to_client"].as_str()), ("2", "4"));
    relay.service.end();
}

#[test]
fn h50_after_a_crash_allocations_that_are_not_restored_end_by_their_record() {
    let (redis, certificates, peer) =
        (RedisServer::start(), Certificates::make(KeyKind::Ecdsa), udp());
    let mut relay =
        Relay::start_as(&redis.url(), |config| every_transport(config, &certificates, ""));
    let _talkers = talking(relay.service.address, &certificates, &peer);
    let mut other = Talker::new(Transport::Udp, relay.service.address, &certificates.root());
    let relayed = other.allocate();
    until(&redis, &relay, "the starts", |entries| entries.len() == 5 && records(&redis).len() == 5);
    relay.service.until_metric("turnd_store_unwritten", 0);
    relay.service.kill();
    let _taken = crate::damage::bound_when_free(relayed);
    relay.service.start_again();

    let entries = until(&redis, &relay, "the ends", |entries| entries.len() == 9);
    for transport in &EVERY[1..] {
        assert_eq!(
            of(&entries, *transport),
            pairs(&[("start", ""), ("end", "connection")]),
            "{}",
            transport.name()
        );
    }
    let ended: Vec<&Entry> = entries
        .iter()
        .filter(|entry| entry["event"] == "end" && entry["transport"] == "udp")
        .collect();
    assert_eq!(
        (ended.len(), ended[0]["reason"].as_str(), ended[0]["relayed"].clone()),
        (1, "taken", relayed.to_string())
    );
    assert_eq!(
        relay.service.log().matches("allocation ended").count(),
        4,
        "{}",
        relay.service.log()
    );
    assert_eq!(relay.service.metric("turnd_store_accounting_lost_total"), 0);
    relay.service.end();
}

#[test]
fn h50_an_allocation_that_goes_on_is_accounted_for_at_each_interval_over_a_crash() {
    let redis = RedisServer::start();
    let mut relay =
        Relay::start_as(&redis.url(), |config| format!("{config}[accounting]\ninterim = \"1s\"\n"));
    let address = relay.service.address;
    let mut talkers: Vec<Talker> =
        (0..6).map(|_| Talker::new(Transport::Udp, address, "".as_ref())).collect();
    for talker in &mut talkers {
        talker.allocate();
    }
    let interims = |entries: &[Entry]| {
        let mut counts = HashMap::new();
        entries
            .iter()
            .filter(|entry| entry["event"] == "interim")
            .for_each(|entry| *counts.entry(entry["record"].clone()).or_insert(0) += 1);
        (counts.len(), counts.into_values().min().unwrap_or(0))
    };
    until(&redis, &relay, "two interims of each", |entries| interims(entries) >= (6, 2));
    relay.crash();
    let before = interims(&stream(&redis));
    let entries = until(&redis, &relay, "two more", |entries| interims(entries).1 >= before.1 + 2);
    assert!(
        entries.iter().all(|entry| entry["event"] != "end" && entry["reason"].is_empty()),
        "{entries:#?}"
    );
    relay.service.end();
}

#[test]
fn probes_are_answered_while_a_stop_waits_for_redis() {
    let redis = RedisServer::start();
    let relay = Relay::start(&redis.url());
    Talker::new(Transport::Udp, relay.service.address, "".as_ref()).allocate();
    until(&redis, &relay, "the start", |entries| entries.len() == 1);
    redis.halt();
    relay.service.signal("TERM");
    relay.service.until_log("allocation continues");
    let answer = relay.service.probe("/healthz").map(|(status, _)| status);
    redis.resume();
    assert_eq!(answer.unwrap(), 200);
}

#[test]
fn h50_without_a_store_the_log_alone_accounts_for_all_that_a_stop_ends() {
    let (certificates, peer) = (Certificates::make(KeyKind::Ecdsa), udp());
    let address =
        std::net::SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, causeway_kit::port::free()));
    let config = service::turnd_config(address, r#""allow 127.0.0.1""#, "");
    let mut turnd =
        service::Service::start("turnd", address, &every_transport(&config, &certificates, ""));
    let _talkers = talking(address, &certificates, &peer);
    turnd.stop();
    let log = turnd.log();
    let ended: Vec<&str> = log.lines().filter(|line| line.contains("allocation ended")).collect();
    assert_eq!(ended.len(), 4, "{log}");
    assert!(
        ended.iter().all(|line| line.contains("stop") && line.contains("bytes_to_peer=4")),
        "{log}"
    );
}
