//! A directory for configuration files and secrets, removed when dropped.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::LabError;
use crate::namespace::PREFIX;

/// A directory that only its owner can read.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty directory below the system's temporary one.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be made.
    pub fn new() -> Result<Self, LabError> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("{PREFIX}-{}-{serial}", std::process::id()));
        // Left by a killed run whose pid is ours now.
        let _ = std::fs::remove_dir_all(&path);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(LabError::io(format!("making {}", path.display())))?;
        Ok(Self { path })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only its owner can read, and returns its path.
    ///
    /// # Errors
    /// [`LabError::Io`] when it cannot be written.
    pub fn file(&self, name: &str, text: &str) -> Result<PathBuf, LabError> {
        let path = self.path.join(name);
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(LabError::io(format!("writing {}", path.display())))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_gone_when_dropped() {
        let scratch = Scratch::new().unwrap();
        let file = scratch.file("secret", "x").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "x");
        drop(scratch);
        assert!(!file.exists() && !file.parent().unwrap().exists());
    }
}
