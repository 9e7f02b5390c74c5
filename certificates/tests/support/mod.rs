//! The files of an operator, made by the openssl program: `make.sh`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder that is removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("openssl-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(&folder.0).unwrap();
        folder
    }

    /// Runs a command in the folder and returns its output.
    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let made = Command::new(program)
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .expect("sh and openssl are installed");
        assert!(
            made.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        made.stdout
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All files that the script makes, by name. It runs once for all tests.
fn made() -> &'static BTreeMap<String, Vec<u8>> {
    static MADE: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = Folder::new();
        folder.run("sh", &[concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/make.sh")]);
        let files = fs::read_dir(&folder.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file());
        files
            .map(|path| {
                (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
            })
            .collect()
    })
}

/// A file that the script made.
pub(crate) fn file(name: &str) -> Vec<u8> {
    made().get(name).unwrap_or_else(|| panic!("the script makes no {name}")).clone()
}

/// Several of them, one behind the other.
pub(crate) fn files(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| file(name)).collect()
}

/// The output of openssl's own command for a file, to test the cures.
pub(crate) fn openssl(arguments: &str) -> Vec<u8> {
    let (folder, arguments) = (Folder::new(), arguments.split(' ').collect::<Vec<_>>());
    for name in arguments.iter().filter(|argument| made().contains_key(**argument)) {
        fs::write(folder.0.join(name), file(name)).unwrap();
    }
    folder.run("openssl", &arguments)
}
