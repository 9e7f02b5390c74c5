//! Free ports of loopback, reserved for this process until it ends.
//!
//! To bind port 0, close the socket and use its number is a race: the kernel may give the number to
//! any other socket in between. These ports lie below the range from which the kernel chooses, and
//! a lock on a file reserves them against other test programs that run at the same time.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process;
use std::sync::{Mutex, PoisonError};

/// The lowest port. All of them are below the kernel's ephemeral ports, below those that `turnd`
/// relays from by default, and below 10,000, where the measured servers relay from.
const FIRST: u16 = 7_000;
/// Number of ports that one lock reserves.
const BLOCK: u16 = 30;
/// Number of blocks, which is the maximum of programs that test at the same time.
const BLOCKS: u16 = 100;

/// A port that is free for UDP and for TCP on 127.0.0.1, 127.0.0.2 and ::1. It is returned once.
///
/// # Panics
/// When [`try_free`] fails.
#[must_use]
pub fn free() -> u16 {
    try_free().unwrap_or_else(|error| panic!("no free port: {error}"))
}

/// [`free`], for callers that report errors.
///
/// # Errors
/// The temporary folder cannot hold a lock, or all ports are taken.
pub fn try_free() -> io::Result<u16> {
    static RESERVED: Mutex<Option<Reserved>> = Mutex::new(None);
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let reserved = match &mut *reserved {
        Some(reserved) => reserved,
        none => none.insert(Reserved::new(&std::env::temp_dir().join("causeway-ports"))?),
    };
    reserved.next()
}

/// The ports of this process.
struct Reserved {
    folder: std::path::PathBuf,
    /// The block to try next. Programs that run at the same time begin at different ones.
    next_block: u16,
    blocks_tried: u16,
    ports: std::ops::Range<u16>,
    /// The locks live as long as the process: what was reserved may be in use until then.
    locks: Vec<File>,
}

impl Reserved {
    fn new(folder: &Path) -> io::Result<Self> {
        create_shared(folder)?;
        let start = process::id() % u32::from(BLOCKS);
        Ok(Self {
            folder: folder.to_owned(),
            next_block: u16::try_from(start).unwrap_or(0),
            blocks_tried: 0,
            ports: 0..0,
            locks: Vec::new(),
        })
    }

    fn next(&mut self) -> io::Result<u16> {
        loop {
            if let Some(port) = self.ports.by_ref().find(|port| is_free(*port)) {
                return Ok(port);
            }
            self.take_block()?;
        }
    }

    fn take_block(&mut self) -> io::Result<()> {
        while self.blocks_tried < BLOCKS {
            let block = self.next_block;
            self.next_block = (block + 1) % BLOCKS;
            self.blocks_tried += 1;
            let first = FIRST + block * BLOCK;
            if let Some(lock) = lock(&self.folder.join(first.to_string()))? {
                self.locks.push(lock);
                self.ports = first..first + BLOCK;
                return Ok(());
            }
        }
        Err(io::Error::new(ErrorKind::AddrInUse, "every port of loopback that tests use is taken"))
    }
}

/// The file, locked; `None` when another process has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    // A file of another user can be opened to read, which is enough for a lock.
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => match File::create_new(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => File::open(path),
            created => created,
        },
        opened => opened,
    }?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A folder in which every user may create files, as in the temporary folder itself.
fn create_shared(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => {
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt as _;
                fs::set_permissions(folder, fs::Permissions::from_mode(0o1777))?;
            }
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn is_free(port: u16) -> bool {
    // A machine without one of the addresses has nothing on it either.
    let taken = |error: &io::Error| {
        matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied)
    };
    let addresses: [IpAddr; 3] = [
        Ipv4Addr::LOCALHOST.into(),
        Ipv4Addr::new(127, 0, 0, 2).into(),
        Ipv6Addr::LOCALHOST.into(),
    ];
    addresses.into_iter().all(|ip| {
        !TcpListener::bind((ip, port)).is_err_and(|error| taken(&error))
            && !UdpSocket::bind((ip, port)).is_err_and(|error| taken(&error))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_port_is_returned_once_and_can_be_bound() {
        let ports: BTreeSet<u16> = (0..120).map(|_| free()).collect();
        assert_eq!(ports.len(), 120);
        for port in ports {
            drop(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
        }
    }

    #[test]
    fn two_processes_get_different_ports() {
        let folder = crate::Scratch::new();
        let take = |reserved: &mut Reserved| -> BTreeSet<u16> {
            (0..75).map(|_| reserved.next().unwrap()).collect()
        };
        // Locks of two open files exclude each other, whether or not in one process.
        let mut one = Reserved::new(folder.folder()).unwrap();
        let mut other = Reserved::new(folder.folder()).unwrap();
        assert!(take(&mut one).is_disjoint(&take(&mut other)));
    }

    #[test]
    fn a_port_that_is_bound_is_skipped() {
        let port = free();
        let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(port));
        drop(held);
        assert!(is_free(port));
    }
}
