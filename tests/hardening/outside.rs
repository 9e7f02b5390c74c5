//! The server's own addresses as clients learn them.

use std::net::SocketAddr;

use causeway_tests::addresses::{LISTENER, RELAY, RELAY_BOUND};
use causeway_tests::{Client, Lab};
use causeway_wire::Method;
use causeway_wire::attribute::SourceAddress;

#[test]
fn h44_an_old_client_is_told_the_outer_address_behind_1_to_1_nat() {
    let mut lab = Lab::with(|_| {});
    for (own, told) in [(RELAY_BOUND, RELAY), (LISTENER.ip(), LISTENER.ip())] {
        let mut client = Client::udp(1);
        client.five_tuple.server = SocketAddr::new(own, 3_478);
        let id = client.next_transaction();
        let mut request = client.unsigned(id, Method::BINDING, &|_| Ok(()));
        request[4] ^= 1; // no magic cookie: RFC 3489
        let answer = lab.client_sends(&client.five_tuple, &request).answer();
        let Ok(Some(SourceAddress(source))) = answer.message().attribute() else {
            panic!("no SOURCE-ADDRESS")
        };
        assert_eq!(source, SocketAddr::new(told, 3_478));
    }
}
