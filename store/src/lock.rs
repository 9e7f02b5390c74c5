use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::node::NodeId;

/// A node id held on this host, by an advisory lock of a file: SO_REUSEPORT would let two servers of one name share their ports unnoticed. Let
/// go when dropped, and by the kernel when the process ends in whatever way.
#[derive(Debug)]
pub struct NodeLock {
    _file: File,
    path: PathBuf,
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
    #[error("cannot hold the node id by the lock file {path}: {source}; store.lock_directory names another folder")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

impl NodeLock {
    /// Holds `node` by the file `<node>.lock` in `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be made.
    pub fn acquire(directory: &Path, node: &NodeId) -> Result<Self, LockError> {
        let path = directory.join(format!("{node}.lock"));
        let failed = |source| LockError::Io { path: path.clone(), source };
        fs::create_dir_all(directory).map_err(failed)?;
        // Not truncated before the lock is ours: the file tells who holds it. It is never removed, or a third server could lock a new one.
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held { node: node.clone(), holder: holder(&mut file), path });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        write().map_err(failed)?;
        Ok(Self { _file: file, path })
    }

    /// The lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where lock files are unless said otherwise: `$XDG_RUNTIME_DIR`, else `/run/causeway` where it can be made, else the folder for
    /// temporary files.
    #[must_use]
    pub fn default_directory() -> PathBuf {
        if let Some(runtime) = std::env::var_os("XDG_RUNTIME_DIR").filter(|runtime| !runtime.is_empty()) {
            return PathBuf::from(runtime);
        }
        let run = PathBuf::from("/run/causeway");
        match fs::create_dir_all(&run) {
            Ok(()) => run,
            Err(_) => std::env::temp_dir(),
        }
    }
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    // Bounded: whoever holds the lock may have written anything.
    let read = file.take(32).read_to_string(&mut text);
    match text.trim().parse::<u32>() {
        Ok(pid) if read.is_ok() => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}
