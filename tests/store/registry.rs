//! The entry by which the fleet knows a node.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use causeway_tests::daemon::certificates::{Certificates, KeyKind};

use crate::redis_server::RedisServer;
use crate::relay::{NODE, Relay};

fn row(redis: &RedisServer) -> HashMap<String, String> {
    let mut all = redis::cmd("HGETALL");
    all.arg(format!("cw:node:{NODE}")).query(&mut redis.connection()).expect("Redis answers")
}

#[test]
fn a_sibling_learns_where_clients_reach_a_node_and_that_it_has_stopped() {
    let (redis, certificates) = (RedisServer::start(), Certificates::make(KeyKind::Ecdsa));
    let change = |config: &str| {
        let (before, rest) = config.split_once("address = \"127.0.0.1:").expect("it listens there");
        let config = format!("{before}transports = [\"udp\", \"tls\"]\naddress = \"0.0.0.0:{rest}");
        let external = "[relay]\nexternal = { \"127.0.0.1\" = \"203.0.113.7\" }\n";
        format!("{}{}", config.replacen("[relay]\n", external, 1), certificates.table())
    };
    let mut relay = Relay::start_as(&redis.url(), change);
    relay.until_state("connected");
    let deadline = Instant::now() + Duration::from_secs(5);
    while row(&redis).is_empty() {
        assert!(Instant::now() < deadline, "the node has no entry:\n{}", relay.service.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let told = row(&redis);
    let reached = SocketAddr::from((Ipv4Addr::new(203, 0, 113, 7), relay.service.address.port()));
    assert_eq!(told["addresses"], format!("udp={reached} tls={reached}"));
    assert_eq!(
        (told["state"].as_str(), told["tls_name"].as_str()),
        ("serving", "localhost"),
        "{told:?}"
    );
    relay.service.stop();
    assert!(row(&redis).is_empty(), "{:?}", row(&redis));
    // The next server of this node writes the entry again.
    relay.service.start_again();
    relay.until_state("connected");
    relay.service.end();
}
