use std::fs;
use std::ops::RangeInclusive;

/// Warns when the kernel may give relayed ports to other programs' sockets: they would then fail to bind now and then.
pub(crate) fn warn_of_overlap(ports: &RangeInclusive<u16>) {
    let read = |name: &str| fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
    let Some(ephemeral) = range(&read("ip_local_port_range"), char::is_whitespace) else { return };
    let overlap = *ports.start().max(ephemeral.start())..=*ports.end().min(ephemeral.end());
    if overlap.is_empty() || is_reserved(&overlap, &read("ip_local_reserved_ports")) {
        return;
    }
    tracing::warn!(
        first = overlap.start(),
        last = overlap.end(),
        "relayed ports overlap net.ipv4.ip_local_port_range; reserve them with net.ipv4.ip_local_reserved_ports"
    );
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

    #[test]
    fn a_list_of_reserved_ports_covers_what_it_names() {
        let covers = |list| is_reserved(&(49_152..=65_535), list);
        assert!(covers("49152-65535\n") && covers("1,8080,40000-50000,50001-65535"));
        assert!(!covers("\n") && !covers("49152-65534") && !covers("49152-50000,50002-65535"));
        assert_eq!(range("32768\t60999\n", char::is_whitespace), Some(32_768..=60_999));
    }
}
