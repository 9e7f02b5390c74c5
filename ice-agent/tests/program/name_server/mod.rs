//! A name server on loopback with a zone in the notation of the RFCs.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{NAPTR, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// The delay of a late answer: ten times the resolution delay (RFC 8305 §3).
const LATE: Duration = Duration::from_millis(500);

/// The running server; it ends when dropped.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

/// A fault in the answers to queries for a type of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quirk {
    /// The server does not answer.
    Silent,
    /// The server answers half a second late.
    Late,
    /// The server answers with SERVFAIL.
    Fails,
}

impl NameServer {
    /// Serves `zone`: names, then the records of each, indented: `NAPTR 100 10 S RELAY:turn.udp ""
    /// _turn._udp.example.net.`
    pub(crate) async fn start(zone: &str, quirks: &[(RecordType, Quirk)]) -> Self {
        let records = read(zone);
        let quirks: HashMap<RecordType, Quirk> = quirks.iter().copied().collect();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(socket, records, quirks, Arc::clone(&asked)));
        Self { address, asked, _tasks: tasks }
    }

    /// The queries that came: `SRV _turn._udp.example.net.`
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    socket: UdpSocket,
    records: Vec<Record>,
    quirks: HashMap<RecordType, Quirk>,
    asked: Arc<Mutex<Vec<String>>>,
) {
    let names: HashSet<Name> = records.iter().map(|record| record.name.clone()).collect();
    let socket = Arc::new(socket);
    let mut late = JoinSet::new();
    let mut buffer = [0; 2048];
    loop {
        let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
        let mut message = Message::from_vec(&buffer[..length]).unwrap();
        let query = message.queries[0].clone();
        let name = query.name.to_lowercase();
        asked.lock().unwrap().push(format!("{} {name}", query.query_type));
        let quirk = quirks.get(&query.query_type).copied();
        if quirk == Some(Quirk::Silent) {
            continue;
        }
        let fails = quirk == Some(Quirk::Fails);
        message.metadata.message_type = MessageType::Response;
        message.metadata.recursion_available = true;
        message.metadata.response_code = match fails {
            true => ResponseCode::ServFail,
            false if names.contains(&name) => ResponseCode::NoError,
            false => ResponseCode::NXDomain,
        };
        if !fails {
            let wanted =
                |record: &&Record| record.name == name && record.record_type() == query.query_type;
            message.answers = records.iter().filter(wanted).cloned().collect();
        }
        let answer = message.to_vec().unwrap();
        if quirk == Some(Quirk::Late) {
            let socket = Arc::clone(&socket);
            late.spawn(async move {
                tokio::time::sleep(LATE).await;
                socket.send_to(&answer, client).await.unwrap();
            });
            continue;
        }
        socket.send_to(&answer, client).await.unwrap();
    }
}

fn read(zone: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let mut owner = Name::root();
    for line in zone.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            owner = Name::from_ascii(line.trim()).unwrap();
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('"')).collect();
        records.push(Record::from_rdata(owner.clone(), 60, data(&words)));
    }
    records
}

fn data(words: &[&str]) -> RData {
    let number = |word: &str| word.parse::<u16>().unwrap();
    let name = |word: &str| Name::from_ascii(word).unwrap();
    match *words {
        ["A", ip] => RData::A(ip.parse().unwrap()),
        ["AAAA", ip] => RData::AAAA(ip.parse().unwrap()),
        ["SRV", priority, weight, port, target] => {
            RData::SRV(SRV::new(number(priority), number(weight), number(port), name(target)))
        }
        ["NAPTR", order, preference, flags, services, regexp, replacement] => {
            let octets = |word: &str| word.as_bytes().to_vec().into_boxed_slice();
            RData::NAPTR(NAPTR::new(
                number(order),
                number(preference),
                octets(flags),
                octets(services),
                octets(regexp),
                name(replacement),
            ))
        }
        _ => panic!("{words:?} is no record of this server"),
    }
}
