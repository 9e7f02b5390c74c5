//! A folder for one test, removed when its [`Scratch`] is dropped.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

const PREFIX: &str = "causeway-";

/// An empty folder among the temporary files, which only its owner can read. Dropped, it is removed
/// with all that it contains.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes the folder.
    ///
    /// # Panics
    /// The temporary folder cannot be written.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a default would not make a folder")]
    pub fn new() -> Self {
        Self::try_new().unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`Scratch::new`], for callers that report errors.
    ///
    /// # Errors
    /// The temporary folder cannot be written; the text names the path.
    pub fn try_new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        // Left by a killed run whose process id is ours now.
        let _ = fs::remove_dir_all(&folder);
        let builder = &mut DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(builder, 0o700);
        builder.create(&folder).map_err(|error| naming(&folder, &error))?;
        Ok(Self(folder))
    }

    /// The path of the folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The path of a file in it, whether or not the file exists.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes or overwrites a file that only its owner can read; its path.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        self.try_write(name, contents).unwrap_or_else(|error| panic!("{error}"))
    }

    /// [`Scratch::write`], for callers that report errors.
    ///
    /// # Errors
    /// It cannot be written; the text names the path.
    pub fn try_write(&self, name: &str, contents: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.path(name);
        let options = &mut OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
        options
            .open(&path)
            .and_then(|mut file| file.write_all(contents.as_ref()))
            .map_err(|error| naming(&path, &error))?;
        Ok(path)
    }

    /// The text of a file in it; empty if there is no such file.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&fs::read(self.path(name)).unwrap_or_default()).into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A failure leaves a folder among the temporary files, which does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the folders of processes that were killed. Does nothing on a system without `/proc`,
/// which lists the processes that are alive.
pub fn remove_leftovers() {
    if !Path::new("/proc/self").exists() {
        return;
    }
    let temporary = std::env::temp_dir();
    let Ok(entries) = fs::read_dir(&temporary) else { return };
    for name in entries.flatten().map(|entry| entry.file_name()) {
        let owner = owner(&name.to_string_lossy());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir_all(temporary.join(name));
        }
    }
}

/// The process that made a folder, when its name is one of ours.
fn owner(name: &str) -> Option<u32> {
    let (pid, number) = name.strip_prefix(PREFIX)?.split_once('-')?;
    number.parse::<u32>().ok()?;
    pid.parse().ok()
}

fn naming(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_gone_when_dropped() {
        let scratch = Scratch::new();
        let file = scratch.write("secret", "x");
        assert_eq!((fs::read_to_string(&file).unwrap(), scratch.read("secret")), two("x"));
        assert_eq!(scratch.read("other"), "");
        drop(scratch);
        assert!(!file.exists() && !file.parent().unwrap().exists());
    }

    #[test]
    fn folders_of_others_have_no_owner_here() {
        assert_eq!(owner("causeway-12-0"), Some(12));
        for name in ["causeway-ports", "causeway-", "causeway-x-1", "causeway-1-x", "cause-1-2"] {
            assert_eq!(owner(name), None, "{name}");
        }
    }

    fn two(text: &str) -> (String, String) {
        (text.to_owned(), text.to_owned())
    }
}
