//! Warns at the start if other programs may take relayed ports, because the kernel may assign them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::config::Config;

/// Below this number of relayed ports, even a few taken ones matter.
const FEW: usize = 1_000;

/// A range of relayed ports that the kernel may assign to sockets of other programs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Clash {
    /// The relayed ports that the kernel may assign.
    ports: RangeInclusive<u16>,
    reason: &'static str,
    /// The command that prevents it.
    command: String,
}

/// The kernel's files about ports.
#[derive(Debug, Default)]
struct Host {
    /// Text of `ip_local_port_range`.
    ephemeral: String,
    /// Text of `ip_local_reserved_ports`.
    reserved: String,
    /// Text of `/proc/net/udp` and `/proc/net/udp6`.
    sockets: String,
}

/// Warns if other programs' sockets are likely to take relayed ports, with the command that
/// prevents it.
pub(crate) fn warn_of_clash(config: &Config) {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let host = Host {
        ephemeral: read("/proc/sys/net/ipv4/ip_local_port_range"),
        reserved: read("/proc/sys/net/ipv4/ip_local_reserved_ports"),
        sockets: read("/proc/net/udp") + &read("/proc/net/udp6"),
    };
    let addresses: Vec<IpAddr> = config.relay.addresses.iter().map(|relay| relay.bound).collect();
    if let Some(Clash { ports, reason, command }) =
        clash(&config.relay.ports, &addresses, config.store.is_some(), &host)
    {
        let (first, last) = (ports.start(), ports.end());
        tracing::warn!(
            first,
            last,
            reason,
            command,
            "other programs may take relayed ports: they are in net.ipv4.ip_local_port_range"
        );
    }
}

/// Each port that another program uses costs an Allocate a further try, which is nothing as long as
/// they are few: on most hosts only a resolver uses ephemeral UDP ports. So an overlap alone is no
/// reason to warn.
fn clash(
    ports: &RangeInclusive<u16>,
    addresses: &[IpAddr],
    has_store: bool,
    host: &Host,
) -> Option<Clash> {
    let ephemeral = range(&host.ephemeral, char::is_whitespace)?;
    let overlap = *ports.start().max(ephemeral.start())..=*ports.end().min(ephemeral.end());
    if overlap.is_empty() || is_reserved(&overlap, &host.reserved) {
        return None;
    }
    let held = host.sockets.lines().filter_map(bound).filter(|(ip, port)| {
        overlap.contains(port) && (ip.is_unspecified() || addresses.contains(ip))
    });
    let reason = if has_store {
        "after a restart a call continues only if its port is still free"
    } else if held.count() * 100 >= ports.len() {
        "other programs use at least 1 % of them now"
    } else if ports.len() < FEW && overlap.len() * 2 >= ports.len() {
        "there are few of them"
    } else {
        return None;
    };
    // The command replaces the whole list.
    let others = host.reserved.trim();
    let separator = if others.is_empty() { "" } else { "," };
    let (first, last) = (overlap.start(), overlap.end());
    let command =
        format!("sysctl -w net.ipv4.ip_local_reserved_ports={others}{separator}{first}-{last}");
    Some(Clash { ports: overlap, reason, command })
}

/// The local address and port in a line of `/proc/net/udp` or `udp6`: hexadecimal, each 32 bits of
/// the address in host byte order.
fn bound(line: &str) -> Option<(IpAddr, u16)> {
    let (ip, port) = line.split_whitespace().nth(1)?.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(ip.get(at..at + 8)?, 16).ok();
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut octets = [0; 16];
            for (at, octets) in octets.chunks_exact_mut(4).enumerate() {
                octets.copy_from_slice(&word(at * 8)?.to_ne_bytes());
            }
            IpAddr::from(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

/// Whether `reserved`, as in `ip_local_reserved_ports`, covers all of `ports`.
fn is_reserved(ports: &RangeInclusive<u16>, reserved: &str) -> bool {
    let mut next = u32::from(*ports.start());
    // The kernel writes the list in ascending order.
    for entry in reserved.trim().split(',') {
        let Some(entry) = range(entry, |c| c == '-') else { continue };
        if u32::from(*entry.start()) <= next && next <= u32::from(*entry.end()) {
            next = u32::from(*entry.end()) + 1;
        }
    }
    next > u32::from(*ports.end())
}

fn range(text: &str, separator: impl Fn(char) -> bool) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.trim().split(separator).filter(|part| !part.is_empty()).map(str::parse);
    let first = numbers.next()?.ok()?;
    match numbers.next() {
        Some(last) => Some(first..=last.ok()?),
        None => Some(first..=first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: [IpAddr; 1] = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))];

    fn host(reserved: &str, held: impl IntoIterator<Item = u16>) -> Host {
        let ip = u32::from_ne_bytes([192, 0, 2, 1]);
        let line = |port| {
            format!(
                "  7: {ip:08X}:{port:04X} 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 0\n"
            )
        };
        let head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n";
        let sockets = head.to_owned() + &held.into_iter().map(line).collect::<String>();
        Host { ephemeral: "32768\t60999\n".into(), reserved: reserved.into(), sockets }
    }

    #[test]
    fn a_list_of_reserved_ports_covers_what_it_names() {
        let covers = |list| is_reserved(&(49_152..=65_535), list);
        assert!(covers("49152-65535\n") && covers("1,8080,40000-50000,50001-65535"));
        assert!(!covers("\n") && !covers("49152-65534") && !covers("49152-50000,50002-65535"));
        assert_eq!(range("32768\t60999\n", char::is_whitespace), Some(32_768..=60_999));
    }

    #[test]
    fn sockets_are_read_as_the_kernel_writes_them() {
        let word = |octets: [u8; 4]| u32::from_ne_bytes(octets);
        let line = |ip: String| format!("  42: {ip}:C001 00000000:0000 07");
        let ipv6 = format!(
            "{:08X}{:08X}{:08X}{:08X}",
            word([0x20, 1, 0xD, 0xB8]),
            0,
            0,
            word([0, 0, 0, 1])
        );
        assert_eq!(
            bound(&line(format!("{:08X}", word([127, 0, 0, 1])))),
            Some(([127, 0, 0, 1].into(), 49_153))
        );
        assert_eq!(bound(&line(ipv6)), Some(("2001:db8::1".parse().unwrap(), 49_153)));
        assert_eq!(
            (bound("  sl  local_address rem_address"), bound(""), bound("1: é:1")),
            (None, None, None)
        );
    }

    #[test]
    fn the_defaults_of_a_stock_host_are_no_reason_to_warn() {
        let ports = 49_152..=65_535;
        assert_eq!(
            clash(&ports, &RELAY, false, &host("", 50_000..50_100)),
            None,
            "a hundred of 16,384"
        );
        assert_eq!(
            clash(&ports, &RELAY, false, &host("", 32_768..40_000)),
            None,
            "others' ports elsewhere"
        );
        assert_eq!(
            clash(&ports, &[[203, 0, 113, 1].into()], false, &host("", 50_000..51_000)),
            None,
            "at another address"
        );
        assert_eq!(clash(&(61_000..=61_099), &RELAY, true, &host("", [])), None, "no overlap");
        assert_eq!(
            clash(&ports, &RELAY, true, &host("49152-60999\n", 50_000..51_000)),
            None,
            "they are reserved"
        );
    }

    #[test]
    fn where_a_clash_is_likely_the_command_is_written_out() {
        let ports = 49_152..=65_535;
        let busy = clash(&ports, &RELAY, false, &host("\n", 50_000..50_200)).unwrap();
        assert_eq!(
            (busy.ports, busy.command.as_str()),
            (49_152..=60_999, "sysctl -w net.ipv4.ip_local_reserved_ports=49152-60999")
        );
        let few = clash(&(50_000..=50_099), &RELAY, false, &host("8080,9148\n", [])).unwrap();
        assert_eq!(
            few.command, "sysctl -w net.ipv4.ip_local_reserved_ports=8080,9148,50000-50099",
            "what is reserved stays so"
        );
        let restored = clash(&ports, &RELAY, true, &host("", [])).unwrap();
        assert!(restored.reason.contains("after a restart"));
        let wildcard = Host {
            sockets: (50_000..50_200).map(|port| format!("1: 00000000:{port:04X} 0\n")).collect(),
            ..host("", [])
        };
        assert!(clash(&ports, &RELAY, false, &wildcard).is_some());
    }
}
