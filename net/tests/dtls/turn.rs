//! Maximum number of records in a turn, however many datagrams they come in (H52).

use std::cell::RefCell;
use std::rc::Rc;

use crate::authority::{Authority, Kind};
use crate::client::{Client, Path, Wish, faithful};
use crate::server::{Event, Server, socket};

/// Records of one datagram: as many as OpenSSL takes.
const EACH: u32 = 400;
const CLIENTS: u32 = 8;
/// Records that a turn takes behind the first of each datagram.
const BOUND: u32 = 512;

/// A client whose records are gathered, once it is asked for.
struct Gathering {
    client: Client,
    records: Rc<RefCell<Option<Vec<u8>>>>,
}

impl Gathering {
    fn connect(server: &Server, authority: &Authority) -> Self {
        let records = Rc::new(RefCell::new(None::<Vec<u8>>));
        let kept = Rc::clone(&records);
        let out = Box::new(move |datagram: Vec<u8>| match kept.borrow_mut().as_mut() {
            Some(records) => {
                records.extend(datagram);
                Vec::new()
            }
            None => vec![datagram],
        });
        let path = Path::new(socket("127.0.0.1:0"), server.address, out, faithful());
        let client = Client::connect(path, &Wish::verified(&authority.root, "localhost")).unwrap();
        server.associated();
        Self { client, records }
    }

    /// Numbered records in one datagram.
    fn gather(&mut self) -> Vec<u8> {
        *self.records.borrow_mut() = Some(Vec::new());
        (0..EACH).for_each(|number| self.client.send(&number.to_be_bytes()));
        self.records.borrow_mut().take().unwrap()
    }
}

#[test]
fn h52_records_of_all_datagrams_are_bounded_in_a_turn_and_come_in_order() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::start(vec![authority.identity()]);
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|_| Gathering::connect(&server, &authority)).collect();
    let datagrams: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let datagram = client.gather();
            (client.client.stream.get_ref().socket.try_clone().unwrap(), datagram)
        })
        .collect();
    let address = server.address;
    // While the worker is busy with this message, all of them come into the kernel.
    server.with_io(move |_| {
        datagrams
            .iter()
            .for_each(|(socket, datagram)| _ = socket.send_to(datagram, address).unwrap());
    });
    let mut next = std::collections::HashMap::new();
    for _ in 0..CLIENTS + BOUND {
        let (arrival, bytes) = server.datagram();
        let next = next.entry(arrival.association).or_insert(0u32);
        assert_eq!(bytes, next.to_be_bytes(), "in order");
        *next += 1;
    }
    assert_eq!(next.len(), CLIENTS as usize, "each datagram's first record is taken");
    server.with_io(|_| ());
    assert!(server.events.try_recv().is_err());
    assert_eq!(
        server.stats.dropped_too_many_records.value(),
        u64::from(CLIENTS * EACH - CLIENTS - BOUND)
    );
    for client in &mut clients {
        client.client.send(b"and on");
        let Event::Datagram(_, bytes) = server.event() else { panic!("a datagram") };
        assert_eq!(bytes, b"and on");
    }
}

#[test]
fn many_records_in_one_datagram_are_taken_when_there_is_nothing_else_to_do() {
    let authority = Authority::new(Kind::Ecdsa, "localhost");
    let server = Server::start(vec![authority.identity()]);
    let mut client = Gathering::connect(&server, &authority);
    for _ in 0..3 {
        let datagram = client.gather();
        client.client.stream.get_ref().socket.send_to(&datagram, server.address).unwrap();
        for number in 0..EACH {
            assert_eq!(server.datagram().1, number.to_be_bytes());
        }
    }
    assert_eq!(server.stats.dropped_too_many_records.value(), 0);
}
