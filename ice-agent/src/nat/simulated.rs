//! Tests in virtual time: a simulated server with two addresses and two ports, a NAT of any kind,
//! and a path with random loss.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use causeway_wire::attribute::{ChangeRequest, OtherAddress, ResponseOrigin, XorMappedAddress};
use causeway_wire::{Class, Message, MessageWriter};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::behaviour::{Behaviour, Classic};
use super::network::{Datagrams, Network};
use super::over_udp::OverUdp;
use super::pacer::Pacer;
use super::report::Report;

/// Round trip between this host and the server.
const ROUND_TRIP: Duration = Duration::from_millis(40);
const TIMEOUT: Duration = Duration::from_secs(3);

/// The loss on the path.
#[derive(Debug, Clone, Copy)]
enum Lossy {
    /// Each datagram is lost with this chance, in each direction.
    Each(f64),
    /// The same, and everything during outages of about two seconds; the second value is the mean
    /// time between them in seconds.
    Bursts(f64, f64),
    /// Answers only, as from a server that limits the answers to one prefix (H11).
    Answers(f64),
    /// Datagrams to and from the server's other address only.
    OtherAddress(f64),
}

/// The NAT or firewall between this host and the server.
#[derive(Debug, Clone, Copy)]
struct Between {
    /// `None` for no translation.
    mapping: Option<Behaviour>,
    filtering: Behaviour,
    hairpin: bool,
    /// Whether UDP is blocked.
    blocked: bool,
}

const OPEN: Between = Between {
    mapping: None,
    filtering: Behaviour::EndpointIndependent,
    hairpin: false,
    blocked: false,
};

struct World {
    rng: StdRng,
    between: Between,
    lossy: Lossy,
    outage: (Instant, Instant),
    next_port: u16,
    inboxes: HashMap<SocketAddr, Inbox>,
    mappings: HashMap<(SocketAddr, String), SocketAddr>,
    sent: HashMap<SocketAddr, HashSet<SocketAddr>>,
    requests: u32,
}

#[derive(Default)]
struct Inbox {
    waiting: BTreeMap<(Instant, u32), (SocketAddr, Vec<u8>)>,
    arrival: Rc<Notify>,
}

#[derive(Clone)]
struct Simulated(Rc<RefCell<World>>);

struct Socket {
    world: Rc<RefCell<World>>,
    local: SocketAddr,
}

fn server(at: usize) -> SocketAddr {
    let addresses = ["192.0.2.1:3478", "192.0.2.1:3479", "192.0.2.2:3478", "192.0.2.2:3479"];
    addresses[at].parse().unwrap()
}

impl Simulated {
    fn new(seed: u64, between: Between, lossy: Lossy) -> Self {
        let now = Instant::now();
        Self(Rc::new(RefCell::new(World {
            rng: StdRng::seed_from_u64(seed),
            between,
            lossy,
            outage: (now, now),
            next_port: 40_000,
            inboxes: HashMap::new(),
            mappings: HashMap::new(),
            sent: HashMap::new(),
            requests: 0,
        })))
    }
}

impl World {
    /// Whether a datagram to or from this address of the server is lost.
    fn loses(&mut self, at: Instant, peer: SocketAddr, is_answer: bool) -> bool {
        let chance = match self.lossy {
            Lossy::Each(chance) => chance,
            Lossy::Answers(chance) => {
                if is_answer {
                    chance
                } else {
                    0.0
                }
            }
            Lossy::OtherAddress(chance) => {
                if peer.ip() == server(2).ip() {
                    chance
                } else {
                    0.0
                }
            }
            Lossy::Bursts(chance, every) => {
                while self.outage.1 <= at {
                    let begin = self.outage.1
                        + Duration::from_secs_f64(-every * (1.0 - self.rng.random::<f64>()).ln());
                    self.outage =
                        (begin, begin + Duration::from_secs_f64(self.rng.random_range(1.5..2.0)));
                }
                if self.outage.0 <= at { 1.0 } else { chance }
            }
        };
        self.rng.random::<f64>() < chance
    }

    fn mapped(&mut self, local: SocketAddr, to: SocketAddr) -> SocketAddr {
        let key = match self.between.mapping {
            None => return local,
            Some(Behaviour::AddressDependent) => to.ip().to_string(),
            Some(Behaviour::AddressAndPortDependent) => to.to_string(),
            Some(_) => String::new(),
        };
        let next =
            SocketAddr::new("203.0.113.5".parse().unwrap(), 1000 + self.mappings.len() as u16);
        *self.mappings.entry((local, key)).or_insert(next)
    }

    fn lets_in(&self, local: SocketAddr, from: SocketAddr) -> bool {
        let sent = &self.sent[&local];
        match self.between.filtering {
            Behaviour::AddressDependent => sent.iter().any(|to| to.ip() == from.ip()),
            Behaviour::AddressAndPortDependent => sent.contains(&from),
            _ => true,
        }
    }

    fn deliver(&mut self, to: SocketAddr, from: SocketAddr, datagram: Vec<u8>, at: Instant) {
        self.requests += 1;
        let number = self.requests;
        if let Some(inbox) = self.inboxes.get_mut(&to) {
            inbox.waiting.insert((at, number), (from, datagram));
            inbox.arrival.notify_waiters();
        }
    }

    /// Sends a datagram of this host and delivers what follows from it.
    fn send(&mut self, local: SocketAddr, datagram: &[u8], to: SocketAddr) {
        let now = Instant::now();
        let mapped = self.mapped(local, to);
        self.sent.entry(local).or_default().insert(to);
        if self.between.blocked || self.loses(now, to, false) {
            return;
        }
        let Some(at) = (0..4).find(|at| server(*at) == to) else {
            let inside = self
                .mappings
                .iter()
                .find(|(_, outside)| **outside == to)
                .map(|((inside, _), _)| *inside);
            if let Some(inside) = inside.filter(|_| self.between.hairpin) {
                self.deliver(inside, mapped, datagram.to_vec(), now + ROUND_TRIP / 10);
            }
            return;
        };
        let message = Message::decode(datagram).unwrap();
        let change = message.attribute::<ChangeRequest>().unwrap().unwrap_or_default();
        let origin = at ^ (usize::from(change.change_ip) << 1) ^ usize::from(change.change_port);
        if self.loses(now + ROUND_TRIP / 2, server(origin), true)
            || !self.lets_in(local, server(origin))
        {
            return;
        }
        let mut answer = vec![0; 256];
        let mut writer =
            MessageWriter::answer(&mut answer, message.header(), Class::SuccessResponse).unwrap();
        writer
            .put(&XorMappedAddress(mapped))
            .unwrap()
            .put(&ResponseOrigin(server(origin)))
            .unwrap();
        writer.put(&OtherAddress(server(3 - at))).unwrap();
        let length = writer.finish();
        answer.truncate(length);
        self.deliver(local, server(origin), answer, now + ROUND_TRIP);
    }
}

impl Network for Simulated {
    type Socket = Socket;

    async fn open(&self, local: IpAddr) -> io::Result<Socket> {
        let mut world = self.0.borrow_mut();
        world.next_port += 1;
        let local = SocketAddr::new(local, world.next_port);
        world.inboxes.insert(local, Inbox::default());
        Ok(Socket { world: self.0.clone(), local })
    }

    async fn answers_over_tcp(&self, _server: SocketAddr, _timeout: Duration) -> bool {
        tokio::time::sleep(ROUND_TRIP * 2).await;
        true
    }
}

impl Datagrams for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    async fn send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<()> {
        self.world.borrow_mut().send(self.local, datagram, to);
        Ok(())
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        loop {
            let arrival = self.world.borrow().inboxes[&self.local].arrival.clone();
            let arrived = arrival.notified();
            let next = self.world.borrow().inboxes[&self.local].waiting.keys().next().copied();
            match next {
                Some((at, number)) if at <= Instant::now() => {
                    let taken = self
                        .world
                        .borrow_mut()
                        .inboxes
                        .get_mut(&self.local)
                        .and_then(|inbox| inbox.waiting.remove(&(at, number)));
                    let (from, datagram) = taken.unwrap();
                    buffer[..datagram.len()].copy_from_slice(&datagram);
                    return Ok((datagram.len(), from));
                }
                Some((at, _)) => tokio::select! { () = sleep_until(at) => {}, () = arrived => {} },
                None => arrived.await,
            }
        }
    }
}

/// One run: the report and how long it took.
async fn run(seed: u64, between: Between, lossy: Lossy) -> (Report, Duration) {
    let start = Instant::now();
    let network = Simulated::new(seed, between, lossy);
    let tests = OverUdp::new(network, server(0), TIMEOUT, Pacer::default());
    let report = tests.run("198.51.100.7".parse().unwrap(), &[vec![server(0)]]).await.unwrap();
    (report, start.elapsed())
}

/// The classic names of many runs with their counts; wrong hairpinning results are counted under a
/// name of their own.
async fn names(runs: u64, between: Between, lossy: Lossy) -> BTreeMap<String, u32> {
    let mut names = BTreeMap::new();
    for seed in 0..runs {
        let (report, took) = run(seed, between, lossy).await;
        assert!(took < Duration::from_secs(60), "{took:?} {report}");
        *names.entry(report.classic.to_string()).or_default() += 1;
        if between.mapping == Some(Behaviour::EndpointIndependent)
            && report.hairpin.is_some_and(|hairpin| hairpin != between.hairpin)
        {
            *names.entry("wrong hairpin".to_owned()).or_default() += 1;
        }
    }
    names
}

fn count(names: &BTreeMap<String, u32>, wanted: Classic) -> u32 {
    names.get(&wanted.to_string()).copied().unwrap_or_default()
}

/// The number of wrong names; unknown is not wrong.
fn wrong(names: &BTreeMap<String, u32>, wanted: Classic) -> u32 {
    names.values().sum::<u32>() - count(names, wanted) - count(names, Classic::Unknown)
}

#[tokio::test(start_paused = true)]
async fn h58_at_10_percent_loss_each_way_none_of_1000_verdicts_is_false_and_at_20_one_at_most() {
    for (loss, most) in [(0.1, 0), (0.2, 1)] {
        let names = names(1000, OPEN, Lossy::Each(loss)).await;
        println!("{loss}: {names:?}");
        assert!(wrong(&names, Classic::OpenInternet) <= most, "{loss}: {names:?}");
        assert!(count(&names, Classic::OpenInternet) >= 990, "{loss}: {names:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn h58_filters_mappings_and_hairpins_are_told_rightly_under_loss_or_not_at_all() {
    use Behaviour::{
        AddressAndPortDependent as Port, AddressDependent as Address,
        EndpointIndependent as Nothing,
    };
    let nat = |mapping, filtering, hairpin| Between {
        mapping: Some(mapping),
        filtering,
        hairpin,
        ..OPEN
    };
    for (between, name) in [
        (Between { filtering: Port, ..OPEN }, Classic::SymmetricUdpFirewall),
        (nat(Nothing, Nothing, true), Classic::FullCone),
        (nat(Nothing, Address, true), Classic::AddressRestrictedCone),
        (nat(Nothing, Port, false), Classic::PortRestrictedCone),
        (nat(Port, Port, false), Classic::Symmetric),
        (Between { blocked: true, ..OPEN }, Classic::UdpBlocked),
    ] {
        for (lossy, least) in
            [(Lossy::Each(0.1), 97), (Lossy::Each(0.2), 90), (Lossy::Bursts(0.05, 6.0), 80)]
        {
            let names = names(100, between, lossy).await;
            println!("{between:?} {lossy:?}: {names:?}");
            assert_eq!(wrong(&names, name), 0, "{between:?} {lossy:?}: {names:?}");
            assert!(count(&names, name) >= least, "{between:?} {lossy:?}: {names:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn h58_outages_limiters_and_one_bad_address_do_not_make_a_firewall() {
    for (lossy, least) in [
        (Lossy::Bursts(0.05, 6.0), 950),
        (Lossy::Bursts(0.0, 3.0), 900),
        (Lossy::Answers(0.4), 990),
        (Lossy::OtherAddress(0.2), 990),
        (Lossy::Each(0.25), 950),
    ] {
        let names = names(1000, OPEN, lossy).await;
        println!("{lossy:?}: {names:?}");
        assert!(wrong(&names, Classic::OpenInternet) <= 1, "{lossy:?}: {names:?}");
        assert!(count(&names, Classic::OpenInternet) >= least, "{lossy:?}: {names:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn h58_without_loss_it_takes_no_longer_than_three_requests_in_vain_took() {
    use Behaviour::{
        AddressAndPortDependent as Port, AddressDependent as Address,
        EndpointIndependent as Nothing,
    };
    let nat = |mapping, filtering, hairpin| Between {
        mapping: Some(mapping),
        filtering,
        hairpin,
        ..OPEN
    };
    // The times of the previous version, which waited three seconds for each missing answer, and
    // half of that for hairpinning.
    for (between, before_ms) in [
        (OPEN, 140),
        (Between { filtering: Address, ..OPEN }, 3180),
        (Between { filtering: Port, ..OPEN }, 6220),
        (nat(Nothing, Nothing, true), 450),
        (nat(Nothing, Port, true), 6470),
        (nat(Nothing, Port, false), 7920),
        (nat(Port, Port, false), 8020),
        (Between { blocked: true, ..OPEN }, 3080),
    ] {
        let (report, took) = run(7, between, Lossy::Each(0.0)).await;
        println!("{between:?}: {took:?}, {before_ms} ms before");
        assert!(
            took.as_millis() <= before_ms,
            "{between:?}: {took:?}, {before_ms} ms before: {report}"
        );
    }
    // A NAT without hairpinning and without a filter takes longer, since silence has to outlast a
    // burst of loss.
    let (report, took) = run(7, nat(Nothing, Nothing, false), Lossy::Each(0.0)).await;
    assert!(took < Duration::from_millis(3000), "{took:?} {report}");
}

#[tokio::test(start_paused = true)]
async fn h58_the_report_says_how_much_was_lost_and_how_sure_it_is() {
    let between = Between { filtering: Behaviour::AddressAndPortDependent, ..OPEN };
    let (report, _) = run(1, between, Lossy::Each(0.15)).await;
    let loss = report.loss.unwrap();
    assert!(
        loss.lost > 0
            && loss.requests > 5
            && report.doubt.is_some_and(|doubt| doubt > 0.0 && doubt < 1e-3),
        "{report:?}"
    );
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("requests were lost")
                && note.contains("wrong because of loss")),
        "{report}"
    );
    let (report, _) = run(1, OPEN, Lossy::Each(0.0)).await;
    assert_eq!((report.doubt, report.loss.map(|loss| loss.lost)), (None, Some(0)));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["loss"]["lost"], &json["doubt"]), (&0.into(), &serde_json::Value::Null));
}
