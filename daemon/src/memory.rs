//! A check of the control group's memory limit against the buffers of our sockets (H53).
//!
//! Linux counts socket buffers towards the limit. Full buffers do not end the process, but the next
//! page that it then needs does.

use std::path::{Path, PathBuf};

use causeway_net::BufferSizes;

/// Memory of a service besides the buffers and without clients, rounded up.
const PROCESS: u64 = 64 << 20;

/// Warns if the buffers of the listening sockets may take more than the limit allows.
pub fn warn_of_buffers(sockets: impl Iterator<Item = BufferSizes>) {
    let buffers = total(sockets);
    let read = |file: &Path| std::fs::read_to_string(file).ok();
    let Some(limit) = limit(&read(Path::new("/proc/self/cgroup")).unwrap_or_default(), read) else {
        return;
    };
    if let Some(enough) = shortage(limit, buffers) {
        let remedy = format!(
            "raise the memory limit to at least {} MiB, or lower net.workers, net.receive_buffer or net.send_buffer",
            enough.div_ceil(1 << 20)
        );
        tracing::warn!(limit, buffers, remedy, "socket buffers may exceed the memory limit");
    }
}

/// The size of all buffers: the kernel takes twice the size that a program asks for, for its own
/// accounting.
fn total(sockets: impl Iterator<Item = BufferSizes>) -> u64 {
    sockets.map(|sizes| 2 * (sizes.receive as u64 + sizes.send as u64)).sum()
}

/// The sufficient limit, if `limit` is lower.
fn shortage(limit: u64, buffers: u64) -> Option<u64> {
    let enough = buffers.saturating_add(PROCESS);
    (enough > limit).then_some(enough)
}

/// The lowest limit of our group and of the groups above it; `groups` is the text of
/// `/proc/self/cgroup`. Version 1 of control groups does not count socket buffers.
fn limit(groups: &str, read: impl Fn(&Path) -> Option<String>) -> Option<u64> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut folder = PathBuf::from("/sys/fs/cgroup").join(group);
    let mut lowest = None;
    while folder.starts_with("/sys/fs/cgroup") {
        let limit =
            read(&folder.join("memory.max")).and_then(|text| text.trim().parse::<u64>().ok());
        lowest = lowest.into_iter().chain(limit).min();
        folder.pop();
    }
    lowest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &'static [(&str, &str)]) -> impl Fn(&Path) -> Option<String> {
        move |path| {
            files
                .iter()
                .find(|(name, _)| path == Path::new(name))
                .map(|(_, text)| (*text).to_owned())
        }
    }

    #[test]
    fn h53_the_lowest_limit_of_all_groups_counts() {
        let nested: &[(&str, &str)] = &[
            ("/sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("/sys/fs/cgroup/a/memory.max", "1073741824\n"),
            ("/sys/fs/cgroup/memory.max", "2147483648\n"),
        ];
        assert_eq!(limit("0::/a/b\n", files(nested)), Some(1 << 30));
        // In a container the group is the root of the visible hierarchy.
        assert_eq!(
            limit("0::/\n", files(&[("/sys/fs/cgroup/memory.max", "536870912\n")])),
            Some(512 << 20)
        );
        assert_eq!(limit("0::/\n", files(&[])), None);
        assert_eq!(limit("4:memory:/x\n", files(&[("/sys/fs/cgroup/memory.max", "1\n")])), None);
        assert_eq!(limit("0::/../../outside\n", files(&[])), None);
    }

    #[test]
    fn h53_buffers_are_counted_twice_and_held_against_the_limit() {
        let sizes = || BufferSizes { receive: 4 << 20, send: 4 << 20 };
        // Two families, 30 workers: what docs/kubernetes.md says of 1 GiB.
        let buffers = |sockets: usize| total(std::iter::repeat_with(sizes).take(sockets));
        assert_eq!(shortage(1 << 30, buffers(60)), None);
        assert_eq!(shortage(1 << 30, buffers(62)), Some((992 << 20) + PROCESS));
    }
}
