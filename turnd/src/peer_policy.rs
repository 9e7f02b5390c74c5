//! The peer policy of this server: the operator's rules, and the addresses of the server itself.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use anyhow::{Result, bail};
use causeway_net::{is_local, source_towards};
use causeway_relay::{OwnAddresses, PeerPolicy, Rule};

use crate::config::{Config, Verdict};

/// Builds the policy from the operator's rules, the listeners at every address at which they can be
/// reached (H5), and the relay addresses (H8).
pub(crate) fn peer_policy(config: &Config) -> PeerPolicy {
    let rules: Vec<Rule> = config
        .peers
        .rules
        .iter()
        .map(|rule| Rule { allow: rule.verdict == Verdict::Allow, net: rule.network })
        .collect();
    let outside: Vec<IpAddr> = config
        .relay
        .addresses
        .iter()
        .filter(|relay| relay.bound != relay.advertised)
        .map(|relay| relay.advertised)
        .collect();
    let listeners = config
        .own_endpoints()
        .into_iter()
        .flat_map(|endpoint| reachable_at(endpoint, &outside))
        .collect();
    let relays =
        config.relay.addresses.iter().flat_map(|relay| [relay.bound, relay.advertised]).collect();
    let own = Kernel { if_unknown: !config.insecure.wildcard_listeners };
    PeerPolicy::new(&rules, listeners, relays, config.relay.ports.clone()).asking(Arc::new(own))
}

/// Rejects listeners on wildcard addresses if the kernel does not say which addresses are this
/// host's: clients could reach the listeners through the relay. An operator may allow that
/// explicitly.
///
/// # Errors
/// There is such a listener, and it is not allowed.
pub(crate) fn check_own_addresses(config: &Config) -> Result<()> {
    let Some(wildcard) =
        config.own_endpoints().into_iter().find(|endpoint| endpoint.ip().is_unspecified())
    else {
        return Ok(());
    };
    let Err(reason) = kernel_tells() else { return Ok(()) };
    if config.insecure.wildcard_listeners {
        tracing::warn!(
            reason,
            "cannot tell which addresses are this host's: clients can reach its wildcard listeners \
             through the relay"
        );
        return Ok(());
    }
    bail!(
        "{wildcard}: cannot tell which addresses are this host's ({reason}), so clients could reach \
         this listener through the relay; listen on explicit addresses, let the process create and \
         connect UDP sockets, or allow it with --insecure-wildcard-listeners"
    )
}

/// Checks that the kernel knows the one address that every host has. A loopback device that is down
/// has no route, which is no fault.
fn kernel_tells() -> Result<(), String> {
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    match is_local(loopback) {
        Ok(true) => Ok(()),
        Ok(false) if source_towards(loopback).is_ok_and(|source| source.is_none()) => Ok(()),
        Ok(false) => Err("the kernel does not know 127.0.0.1".into()),
        Err(error) => Err(error.to_string()),
    }
}

/// How long an answer of the kernel is cached for datagrams: the system call takes tens of
/// microseconds, more than all other work for a datagram.
const LATELY: Duration = Duration::from_millis(100);
/// Maximum number of answers that a worker caches.
const REMEMBERED: usize = 256;

/// Whether addresses are this host's, as the kernel said, and until when to rely on that.
type Answers = AHashMap<IpAddr, (Instant, bool)>;

thread_local! {
    static ANSWERS: RefCell<Answers> = RefCell::default();
}

/// Asks the kernel each time, so that new and removed addresses take effect at once (H55), but for
/// datagrams within [`LATELY`].
#[derive(Debug)]
struct Kernel {
    if_unknown: bool,
}

impl OwnAddresses for Kernel {
    fn contains(&self, ip: IpAddr) -> bool {
        is_local(ip).unwrap_or(self.if_unknown)
    }

    fn contained_lately(&self, ip: IpAddr) -> bool {
        ANSWERS
            .with_borrow_mut(|answers| lately(answers, ip, Instant::now(), |ip| self.contains(ip)))
    }
}

fn lately(
    answers: &mut Answers,
    ip: IpAddr,
    now: Instant,
    ask: impl FnOnce(IpAddr) -> bool,
) -> bool {
    if let Some((_, is_own)) = answers.get(&ip).filter(|(until, _)| now < *until) {
        return *is_own;
    }
    if answers.len() >= REMEMBERED {
        answers.clear();
    }
    let is_own = ask(ip);
    answers.insert(ip, (now + LATELY, is_own));
    is_own
}

/// The addresses at which an endpoint is reached: behind a 1:1 NAT also the outer ones, unless it
/// is on loopback.
fn reachable_at(endpoint: SocketAddr, outside: &[IpAddr]) -> Vec<SocketAddr> {
    if endpoint.ip().is_loopback() {
        return vec![endpoint];
    }
    let same_family = outside.iter().filter(|ip| ip.is_ipv4() == endpoint.is_ipv4());
    same_family.map(|ip| SocketAddr::new(*ip, endpoint.port())).chain([endpoint]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::configured;

    #[test]
    fn h55_for_datagrams_an_answer_counts_a_moment_and_few_are_remembered() {
        let (mut answers, start) = (Answers::new(), Instant::now());
        let ip = IpAddr::from([192, 0, 2, 1]);
        assert!(!lately(&mut answers, ip, start, |_| false));
        assert!(!lately(&mut answers, ip, start + LATELY / 2, |_| panic!("it is known")));
        assert!(lately(&mut answers, ip, start + LATELY, |_| true), "it is this host's by now");
        for number in 0..10_000_u32 {
            lately(&mut answers, IpAddr::from(number.to_be_bytes()), start, |_| false);
            assert!(answers.len() <= REMEMBERED);
        }
    }

    #[test]
    fn h5_a_wildcard_listener_is_kept_from_every_address_of_this_host() {
        let listen = [
            "--listen",
            "0.0.0.0:3478",
            "--set",
            "peers.rules=[\"allow 127.0.0.0/8\"]",
            "--set",
            "relay.scope=\"private\"",
        ];
        let outside = ["--relay-address", "10.0.0.7", "--external-address", "203.0.113.7"];
        let policy = peer_policy(&configured(&[&listen[..], &outside].concat()).unwrap());
        let judged =
            |peer: &str| policy.check_transport(causeway_relay::PeerAddress(peer.parse().unwrap()));
        for own in ["127.0.0.1:3478", "127.0.0.2:3478", "203.0.113.7:3478", "127.0.0.1:9641"] {
            assert_eq!(judged(own), Err(causeway_relay::Denied::Listener), "{own}");
        }
        for other in ["127.0.0.2:3479", "127.0.0.2:9641", "8.8.8.8:3478"] {
            assert_eq!(judged(other), Ok(()), "{other}");
        }
    }
}
