//! The matrix beyond one NAT and IPv4: both families, two NATs, one NAT for both, firewalls that
//! pass next to nothing.

use std::io::Write;

use causeway_natlab::call::call;
use causeway_natlab::matrix::{Outcome, render};
use causeway_natlab::recognition::{Recognition, expected_of, recognise_by};
use causeway_natlab::services::{Services, Stund};
use causeway_natlab::theory::{Path, best_path_between};
use causeway_natlab::{Access, HttpProxy, Inside, Lab, LabError, NatKind, Site, parallel};

const AT_ONCE: usize = 4;

/// Pairs that each show something; theory is asked for all of them.
fn pairs() -> Vec<[Access; 2]> {
    use Access::{DoubleNat, DualStack, HttpProxy, Ipv4, Ipv6, TlsOnly};
    use NatKind::{FullCone, None, PortRestricted, Symmetric, TcpOnly};
    let double = |home, provider| DoubleNat { home, provider };
    vec![
        [Ipv6, Ipv6],
        [Ipv6, DualStack(Symmetric)],
        // What IPv4 alone could not do directly.
        [DualStack(Symmetric), DualStack(Symmetric)],
        [DualStack(PortRestricted), Ipv4(Symmetric)],
        // No family in common: each order, and the relay has both.
        [Ipv4(PortRestricted), Ipv6],
        [Ipv6, Ipv4(Symmetric)],
        [Ipv4(TcpOnly), Ipv6],
        [double(PortRestricted, FullCone), Ipv4(PortRestricted)],
        [double(PortRestricted, PortRestricted), double(PortRestricted, PortRestricted)],
        [double(PortRestricted, Symmetric), Ipv4(PortRestricted)],
        [Ipv4(None), double(PortRestricted, Symmetric)],
        [TlsOnly, Ipv4(None)],
        [Ipv4(Symmetric), TlsOnly],
        [TlsOnly, TlsOnly],
        [HttpProxy, Ipv4(None)],
        [Ipv4(PortRestricted), HttpProxy],
        [HttpProxy, TlsOnly],
    ]
}

fn outcome(accesses: [Access; 2]) -> Outcome {
    let expected = best_path_between(accesses[0], accesses[1]);
    Outcome {
        behind: accesses.map(|access| access.to_string()),
        expected,
        call: connected(|| Lab::of(&accesses)),
    }
}

fn connected(
    lab: impl FnOnce() -> Result<Lab, LabError>,
) -> Result<causeway_natlab::call::Call, String> {
    let connected = || -> Result<_, LabError> {
        let lab = lab()?;
        let services = Services::start(&lab)?;
        let behind_proxies = lab.sites.iter().filter(|site| site.access == Access::HttpProxy);
        let proxies = behind_proxies
            .map(|site| HttpProxy::start(site, &services))
            .collect::<Result<Vec<_>, _>>()?;
        let call = call(&lab, &services).map_err(|error| {
            LabError::Unexpected(format!("{error}\nthe servers' logs:\n{}", services.log_tails()))
        })?;
        if let Some(idle) = proxies.iter().find(|proxy| proxy.tunnels()[0] == 0) {
            return Err(LabError::Unexpected(format!("the call has used no tunnel of {idle:?}")));
        }
        services.stop()?;
        Ok(call)
    };
    connected().map_err(|error| error.to_string())
}

fn show(outcomes: &[Outcome]) {
    // Written past the test harness, which would show it only after a failure.
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\n{}", render(outcomes)).expect("standard output takes it");
    let fault = |outcome: &Outcome| {
        Some(format!("{} with {}: {}", outcome.behind[0], outcome.behind[1], outcome.fault()?))
    };
    let faults: Vec<_> = outcomes.iter().filter_map(fault).collect();
    assert!(
        faults.is_empty(),
        "{} of {} pairs failed:\n{}",
        faults.len(),
        outcomes.len(),
        faults.join("\n")
    );
}

#[test]
fn a_call_connects_over_both_families_two_nats_and_narrow_firewalls() {
    show(&parallel(pairs(), AT_ONCE, outcome));
}

#[test]
fn two_agents_behind_one_nat_meet_inside_at_its_outside_or_at_the_relay() {
    let cases = vec![
        (Inside::Open, Path::Direct),
        (Inside::Hairpin, Path::Direct),
        (Inside::NoHairpin, Path::Relayed),
    ];
    let outcomes = parallel(cases, AT_ONCE, |(inside, expected)| {
        let behind = [inside.to_string(), "the same".to_owned()];
        Outcome { behind, expected, call: connected(|| Lab::behind_one_nat(inside)) }
    });
    show(&outcomes);
    let ends =
        outcomes.iter().map(|outcome| outcome.call.as_ref().map(|call| call.sides[0].end.kind));
    let ends: Vec<_> = ends.flatten().collect();
    use causeway_natlab::call::CandidateKind::{Host, Prflx, Srflx};
    assert_eq!(ends[0], Host, "joined: no NAT between them");
    assert!(matches!(ends[1], Srflx | Prflx), "{:?} is not the NAT's outside", ends[1]);
}

#[test]
fn ice_agent_recognises_both_families_and_two_nats() {
    use NatKind::{FullCone, PortRestricted, Symmetric};
    let double = |home, provider| Access::DoubleNat { home, provider };
    let accesses = [
        Access::Ipv6,
        Access::DualStack(PortRestricted),
        Access::DualStack(Symmetric),
        double(PortRestricted, FullCone),
        double(PortRestricted, Symmetric),
        double(FullCone, PortRestricted),
        Access::TlsOnly,
    ];
    let lab = Lab::of(&accesses).unwrap();
    let stund = Stund::start(&lab).unwrap();
    let servers = [Stund::address(&lab), Stund::address_ipv6(&lab).unwrap()];
    let seen = parallel(lab.sites.iter().collect(), accesses.len(), |site| {
        let asked: &[_] = match (site.access.has_ipv4(), site.access.has_ipv6()) {
            (true, true) => &servers,
            (true, false) => &servers[..1],
            _ => &servers[1..],
        };
        recognise_by(site, asked)
    });
    for (site, seen) in lab.sites.iter().zip(seen) {
        let seen = seen.unwrap();
        assert_eq!(seen, expected(site, servers, &seen), "{}", site.access);
    }
    stund.stop().unwrap();
}

#[test]
fn ice_agent_recognises_hairpin() {
    for (inside, hairpin) in
        [(Inside::Open, false), (Inside::Hairpin, true), (Inside::NoHairpin, false)]
    {
        let lab = Lab::behind_one_nat(inside).unwrap();
        let stund = Stund::start(&lab).unwrap();
        let (site, server) = (&lab.sites[0], Stund::address(&lab));
        let seen = recognise_by(site, &[server]).unwrap();
        let promise = NatKind::FullCone.promise();
        let expected = expected_of(
            promise.udp,
            site.client.address(),
            Some(site.public_address()),
            server,
            &seen,
        );
        assert_eq!(seen, Recognition { hairpin: Some(hairpin), ..expected }, "{inside}");
        stund.stop().unwrap();
    }
}

/// The result that must be reported for a site: for IPv4, and beside it or instead of it for IPv6,
/// which no box translates.
fn expected(site: &Site, servers: [std::net::SocketAddr; 2], seen: &Recognition) -> Recognition {
    let access = site.access;
    let ipv6 = |seen: &Recognition| {
        let own = site
            .client
            .addresses
            .iter()
            .copied()
            .find(std::net::IpAddr::is_ipv6)
            .expect("it has one");
        expected_of(access.udp6(), own, None, servers[1], seen)
    };
    if !access.has_ipv4() {
        return ipv6(seen);
    }
    let udp = access.udp4();
    let mut expected =
        expected_of(udp, site.client.address(), Some(site.public_address()), servers[0], seen);
    if access == Access::TlsOnly {
        // Its firewall keeps from it the server's TCP port, too.
        expected.tcp = Some(false);
    }
    expected.other_family =
        access.has_ipv6().then(|| Box::new(ipv6(seen.other_family.as_deref().unwrap_or(seen))));
    expected
}
