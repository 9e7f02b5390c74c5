//! What the lab needs from the machine, checked before anything is built.

use std::path::Path;
use std::process::Command;

use crate::LabError;

/// Checks that the lab can run: root, `ip` with network namespaces, `nft`.
///
/// # Errors
/// [`LabError::Missing`] names everything that is missing at once, with the Debian package that
/// brings it.
pub fn requirements() -> Result<(), LabError> {
    let mut missing = Vec::new();
    if !is_root() {
        missing.push(
            "root (network namespaces are made with CAP_NET_ADMIN and CAP_SYS_ADMIN)".to_owned(),
        );
    }
    for (program, package) in [("ip", "iproute2"), ("nft", "nftables")] {
        if Command::new(program).arg("-V").output().is_err() {
            missing.push(format!("`{program}` (Debian package {package})"));
        }
    }
    if !Path::new("/proc/self/ns/net").exists() {
        missing.push("a kernel with network namespaces".to_owned());
    }
    if missing.is_empty() { Ok(()) } else { Err(LabError::Missing(missing.join("; "))) }
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    effective_uid(&status) == Some(0)
}

/// The effective user id in the text of `/proc/self/status`: the second number of its `Uid:` line.
fn effective_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_uid_is_the_second_number() {
        assert_eq!(effective_uid("Name:\tx\nUid:\t1000\t0\t1000\t1000\n"), Some(0));
        assert_eq!(effective_uid("Name:\tx\n"), None);
    }
}
