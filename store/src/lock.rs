//! The lock file that keeps two servers of one host from using the same node id.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::node::{Incarnation, NodeId};

/// Maximum number of previous holders that a lock file names: a process that ended before its claim
/// must not hide the one before it.
const HOLDERS: usize = 16;

/// A node id locked on this host, by an advisory lock on a file: SO_REUSEPORT would let two servers
/// of one name share their ports unnoticed. Released when dropped, and by the kernel however the
/// process ends.
#[derive(Debug)]
pub struct NodeLock {
    _file: File,
    path: PathBuf,
    ended: Vec<Incarnation>,
}

/// Why a node id cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds the lock.
    #[error(
        "the node id {node} is in use by {holder} (lock file {path}): two servers of one name \
         would share ports and overwrite each other's allocations; give this server another \
         store.node_id, or stop the other one"
    )]
    Held {
        /// The node id that is in use.
        node: NodeId,
        /// The holder, such as "process 123", if the file names it.
        holder: String,
        /// Path of the lock file.
        path: PathBuf,
    },
    /// The file cannot be created or locked.
    #[error(
        "cannot lock the node id with the file {path}: {source}; let this server's user write in \
         its folder, or set store.lock_directory to another folder that all servers of this host \
         use"
    )]
    Io {
        /// Path of the lock file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl NodeLock {
    /// Locks `node` with the file `<node>.lock` in `directory`, which is created if it is missing,
    /// and writes the process id and the incarnation into the file.
    ///
    /// # Errors
    /// Another process holds the lock, or the file cannot be created.
    pub fn acquire(directory: &Path, node: &NodeId, me: Incarnation) -> Result<Self, LockError> {
        let path = directory.join(format!("{node}.lock"));
        let failed = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        // Not truncated before the lock is ours: the file names the holder. It is never removed, or
        // a third server could lock a new one.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    node: node.clone(),
                    holder: holder(&mut file),
                    path,
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        // If they cannot be read, their heartbeats decide.
        let ended: Vec<Incarnation> =
            read(&mut file).lines().skip(1).filter_map(Incarnation::parse).take(HOLDERS).collect();
        let mut text = format!("{}\n{me}\n", std::process::id());
        ended.iter().take(HOLDERS - 1).for_each(|one| text.push_str(&format!("{one}\n")));
        let mut write = || {
            file.rewind()?;
            file.write_all(text.as_bytes())?;
            file.set_len(text.len() as u64)
        };
        write().map_err(failed)?;
        Ok(Self { _file: file, path, ended })
    }

    /// The latest processes that held the lock. They have certainly ended, since this process holds
    /// it now: their heartbeats can be ignored.
    #[must_use]
    pub fn ended(&self) -> &[Incarnation] {
        &self.ended
    }

    /// Path of the lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The text of the file, up to the length that this program writes.
fn read(file: &mut File) -> String {
    let mut text = Vec::new();
    // Bounded: the holder of the lock may have written anything.
    let read = file.take(64 * (HOLDERS as u64 + 1)).read_to_end(&mut text);
    String::from_utf8(text).ok().filter(|_| read.is_ok()).unwrap_or_default()
}

fn holder(file: &mut File) -> String {
    match read(file).lines().next().unwrap_or_default().parse::<u32>() {
        Ok(pid) => format!("process {pid}"),
        Err(_) => "another process".to_owned(),
    }
}
