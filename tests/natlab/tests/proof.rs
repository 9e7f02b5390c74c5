//! The lab is what it says: each kind of NAT proven by packets, each pair by hole punching with
//! bare sockets.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::process::Command;
use std::time::Duration;

use causeway_natlab::theory::{Path, best_path};
use causeway_natlab::{
    Arrival, Filtering, Lab, Mapping, NatKind, Process, UdpProbe, observe, parallel, punch,
    sweep_leftovers, tcp_connect,
};

const PATIENCE: Duration = Duration::from_secs(5);

fn assert_keeps_its_promise(kind: NatKind) {
    let seen = Lab::new(&[kind]).and_then(|lab| observe(&lab, 0));
    assert_eq!(seen.expect("the lab works"), kind.promise(), "{kind}");
}

#[test]
fn a_host_without_nat_is_itself_and_unfiltered() {
    assert_keeps_its_promise(NatKind::None);
}

#[test]
fn a_full_cone_maps_and_filters_without_regard_to_the_endpoint() {
    assert_keeps_its_promise(NatKind::FullCone);
}

#[test]
fn an_address_restricted_nat_admits_every_port_of_a_contacted_address() {
    assert_keeps_its_promise(NatKind::AddressRestricted);
}

#[test]
fn a_port_restricted_nat_admits_only_the_contacted_port() {
    assert_keeps_its_promise(NatKind::PortRestricted);
}

#[test]
fn a_symmetric_nat_has_a_port_for_each_destination() {
    assert_keeps_its_promise(NatKind::Symmetric);
}

#[test]
fn a_firewall_drops_udp_and_lets_tcp_out() {
    assert_keeps_its_promise(NatKind::TcpOnly);
}

/// The observer can tell: rules changed behind its back are seen.
#[test]
fn a_nat_that_breaks_its_promise_is_found_out() {
    let lab = Lab::new(&[NatKind::PortRestricted, NatKind::FullCone, NatKind::TcpOnly]).unwrap();
    let nft = |site: usize, rules: &str| {
        lab.sites[site].boxes[0].namespace.run("nft", &["-f", "-"], rules).unwrap();
    };

    nft(
        0,
        "flush chain ip causeway_nat mapping\n\
         add rule ip causeway_nat mapping oifname \"wan\" masquerade fully-random",
    );
    let seen = observe(&lab, 0).unwrap().udp.unwrap();
    assert_eq!((seen.mapping, seen.port_preserved), (Mapping::AddressAndPortDependent, false));

    nft(1, "flush set ip causeway_nat contacted\nflush chain ip causeway_nat to_outside");
    assert_eq!(
        observe(&lab, 1).unwrap().udp.unwrap().filtering,
        Filtering::AddressAndPortDependent
    );

    nft(2, "flush chain ip causeway_nat to_outside");
    assert!(observe(&lab, 2).unwrap().udp.is_some());
}

/// Each pair of kinds, with bare sockets: direct exactly where the table says so.
#[test]
fn hole_punching_succeeds_exactly_where_theory_says() {
    let pairs: Vec<_> = NatKind::unordered_pairs().collect();
    let found = parallel(pairs.clone(), 4, |(a, b)| punch::punch(&Lab::new(&[a, b])?));
    for ((a, b), direct) in pairs.into_iter().zip(found) {
        assert_eq!(direct.unwrap(), best_path(a, b) == Path::Direct, "{a} with {b}");
    }
}

/// The other side's packet comes first, is dropped, and must leave no trace: with a conntrack entry
/// left behind, Linux would move the client's own flow to another port, and the punched hole would
/// be elsewhere.
#[test]
fn a_packet_that_came_too_early_does_not_move_the_port() {
    for kind in [NatKind::PortRestricted, NatKind::AddressRestricted] {
        let lab = Lab::new(&[kind, NatKind::None]).unwrap();
        let mut server = udp(&lab.server.namespace, SocketAddr::new(lab.server.address(), 3478));
        let client = &lab.sites[0].client;
        let mut inside = udp(&client.namespace, SocketAddr::new(client.address(), 5000));
        let other = &lab.sites[1].client;
        let mut outside = udp(&other.namespace, SocketAddr::new(other.address(), 6000));

        inside.send(server.address(), "mapping").unwrap();
        let mapped = server.receive(PATIENCE).expect("UDP gets out").from;
        outside.send(mapped, "too early").unwrap();
        std::thread::sleep(Duration::from_millis(50));
        inside.send(outside.address(), "punch").unwrap();
        assert_eq!(
            outside.receive(PATIENCE),
            Some(Arrival { from: mapped, text: "punch".to_owned() }),
            "{kind}"
        );
        outside.send(mapped, "now").unwrap();
        let first = inside.receive(PATIENCE).expect("the hole is open");
        assert_eq!(
            first,
            Arrival { from: outside.address(), text: "now".to_owned() },
            "{kind}: the early one was dropped"
        );
    }
}

/// A cone is open where its client has sent from, not everywhere; and no NAT lets a connection in.
#[test]
fn what_was_never_mapped_is_closed() {
    for kind in NatKind::ALL.into_iter().filter(|&kind| kind != NatKind::None) {
        let lab = Lab::new(&[kind]).unwrap();
        let site = &lab.sites[0];
        let mut server = udp(&lab.server.namespace, SocketAddr::new(lab.server.address(), 3478));
        let mut silent = udp(&site.client.namespace, SocketAddr::new(site.client.address(), 5000));
        server.send(SocketAddr::new(site.public_address(), 5000), "hello").unwrap();
        assert_eq!(silent.receive(Duration::from_millis(300)), None, "{kind}");

        let inside = SocketAddr::new(site.client.address(), 5001);
        let _listener =
            causeway_natlab::TcpListenerProbe::bind(&site.client.namespace, inside).unwrap();
        let from_outside = SocketAddr::new(site.public_address(), 5001);
        assert_eq!(tcp_connect(&lab.server.namespace, from_outside).unwrap(), None, "{kind}");
    }
}

/// A client's private address is of no use to the other side, and its own NAT does not loop packets
/// back.
#[test]
fn private_addresses_do_not_cross_the_internet() {
    let lab = Lab::new(&[NatKind::FullCone, NatKind::None]).unwrap();
    let client = &lab.sites[0].client;
    let mut private = udp(&client.namespace, SocketAddr::new(client.address(), 5000));
    let other = &lab.sites[1].client;
    let mut outside = udp(&other.namespace, SocketAddr::new(other.address(), 6000));
    private.send(outside.address(), "opened for all").unwrap();
    let mapped = outside.receive(PATIENCE).expect("UDP gets out").from;
    assert_eq!(mapped.ip(), lab.sites[0].public_address());

    outside.send(private.address(), "to the private address").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    outside.send(mapped, "to the public one").unwrap();
    assert_eq!(private.receive(PATIENCE).expect("the cone is open").text, "to the public one");
}

/// Datagrams from site to site are counted, others are not: this count distinguishes a direct call
/// from a relayed one.
#[test]
fn the_internet_counts_what_goes_from_site_to_site() {
    let lab = Lab::new(&[NatKind::PortRestricted, NatKind::None]).unwrap();
    let mut server = udp(&lab.server.namespace, SocketAddr::new(lab.server.address(), 3478));
    let mut other =
        udp(&lab.sites[1].client.namespace, SocketAddr::new(lab.sites[1].client.address(), 6000));
    let mut client =
        udp(&lab.sites[0].client.namespace, SocketAddr::new(lab.sites[0].client.address(), 5000));
    let data = "x".repeat(Lab::DATA_LENGTH as usize);

    client.send(server.address(), &data).unwrap();
    let mapped = server.receive(PATIENCE).expect("UDP gets out").from;
    server.send(mapped, &data).unwrap();
    client.receive(PATIENCE).expect("answers come in");
    client.send(other.address(), &data[1..]).unwrap();
    other.receive(PATIENCE).expect("the other site has no NAT");
    assert_eq!(lab.data_between_sites().unwrap(), 0, "through the server, or too short to be data");

    client.send(other.address(), &data).unwrap();
    other.receive(PATIENCE).expect("the other site has no NAT");
    other.send(mapped, &data).unwrap();
    client.receive(PATIENCE).expect("answers come in");
    assert_eq!(lab.data_between_sites().unwrap(), 2);
}

#[test]
fn a_lab_leaves_nothing_behind_also_after_a_panic() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let failed = std::thread::spawn(move || {
        let lab = Lab::new(&[NatKind::Symmetric]).unwrap();
        let server = &lab.server;
        let probe = udp(&server.namespace, SocketAddr::new(server.address(), 3478));
        let names =
            [&lab.server, &lab.sites[0].client].map(|host| host.namespace.name().to_owned());
        sender.send((names, FilePath::new("/run/netns").join(lab.internet().name()))).unwrap();
        panic!("on purpose, with {probe:?} running");
    });
    let (names, internet) = receiver.recv().unwrap();
    assert!(failed.join().is_err());
    for name in names {
        assert!(!FilePath::new("/run/netns").join(&name).exists(), "{name} was left behind");
    }
    assert!(!internet.exists());
}

#[test]
fn what_a_killed_run_left_is_removed_and_what_lives_is_not() {
    let mut gone = Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let mut lives = Command::new("sleep").arg("60").spawn().unwrap();
    let names = [gone.id(), lives.id()].map(|pid| format!("cwlab-{pid}-0-server"));
    let lab = Lab::new(&[]).unwrap();
    for name in &names {
        assert!(Command::new("ip").args(["netns", "add", name]).status().unwrap().success());
    }
    let folder = |pid| std::env::temp_dir().join(format!("causeway-{pid}-0"));
    let scratch = [gone.id(), lives.id()].map(folder);
    for directory in &scratch {
        std::fs::create_dir(directory).unwrap();
    }
    let mut lost = Command::new("ip");
    lost.args(["netns", "exec", &names[0], "sh", "-c", "echo inside; exec sleep 60"]);
    let mut lost = Process::start("the program of the dead lab", lost).unwrap();
    lost.wait_line("inside", PATIENCE).unwrap();

    sweep_leftovers();
    let found = names.each_ref().map(|name| FilePath::new("/run/netns").join(name).exists());
    let kept = scratch.each_ref().map(|directory| directory.exists());
    let _ = Command::new("ip").args(["netns", "del", &names[1]]).status();
    let _ = std::fs::remove_dir(&scratch[1]);
    let _ = lives.kill();
    lives.wait().unwrap();
    assert_eq!((found, kept), ([false, true], [false, true]), "of a dead process, of a living one");
    assert!(!lost.finish(PATIENCE).expect("it was ended").status.success());
    assert!(
        FilePath::new("/run/netns").join(lab.internet().name()).exists(),
        "our own lab is spared"
    );
}

fn udp(namespace: &causeway_natlab::Namespace, address: SocketAddr) -> UdpProbe {
    UdpProbe::bind(namespace, address).expect("the address is free in this namespace")
}
