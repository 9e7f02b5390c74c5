use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::incarnation::Incarnation;
use crate::node::NodeId;

/// How many processes that have held a lock its file names: one that ended before its claim must
/// not hide the one before it.
const HOLDERS: usize = 16;

/// A node id held on this host, by an advisory lock of a file: SO_REUSEPORT would let two servers
/// of one name share their ports unnoticed. Let go when dropped, and by the kernel when the process
/// ends in whatever way.
#[derive(Debug)]
pub struct NodeLock {
    _file: File,
    path: PathBuf,
    ended: Vec<Incarnation>,
}

/// Why a node id cannot be held.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another server runs under it.
    #[error(
        "the node id {node} is held by {holder} (lock file {path}): two servers of one name would share ports and overwrite each other's \
         allocations; give this one another store.node_id, or end the other"
    )]
    Held {
        /// The node id.
        node: NodeId,
        /// "process 123", as far as the file tells.
        holder: String,
        /// The lock file.
        path: PathBuf,
    },
    /// The file cannot be made or locked.
    #[error(
        "cannot hold the node id by the lock file {path}: {source}; let the user that this server runs as write in its folder, or name \
         another one that all servers of this host use: store.lock_directory"
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl NodeLock {
    /// Holds `node` by the file `<node>.lock` in `directory`, which is made if it is not there, and
    /// writes into it who holds it.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be made.
    pub fn acquire(directory: &Path, node: &NodeId, me: Incarnation) -> Result<Self, LockError> {
        let path = directory.join(format!("{node}.lock"));
        let failed = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        // Not truncated before the lock is ours: the file tells who holds it. It is never removed,
        // or a third server could lock a new one.
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
        // Where they cannot be read they are not known, and then their heartbeats count.
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

    /// The latest processes that held the lock. They have ended for certain, since it is held now:
    /// no process needs to wait for their heartbeats.
    #[must_use]
    pub fn ended(&self) -> &[Incarnation] {
        &self.ended
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The file's text as far as it is this program's.
fn read(file: &mut File) -> String {
    let mut text = Vec::new();
    // Bounded: whoever holds the lock may have written anything.
    let read = file.take(64 * (HOLDERS as u64 + 1)).read_to_end(&mut text);
    String::from_utf8(text).ok().filter(|_| read.is_ok()).unwrap_or_default()
}

fn holder(file: &mut File) -> String {
    match read(file).lines().next().unwrap_or_default().parse::<u32>() {
        Ok(pid) => format!("process {pid}"),
        Err(_) => "another process".to_owned(),
    }
}
