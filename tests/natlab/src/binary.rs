//! Finding the workspace's executables beside the running test.

use std::path::{Path, PathBuf};

use crate::LabError;

/// The executable `name` of the build that the running program belongs to (`target/debug/name`).
///
/// # Errors
/// [`LabError::NotBuilt`] when there is no such file: cargo does not build other packages'
/// executables for a test.
pub fn binary(name: &str) -> Result<PathBuf, LabError> {
    let running =
        std::env::current_exe().map_err(LabError::io("finding the running executable"))?;
    let path = profile_directory(&running).join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(LabError::NotBuilt { name: name.to_owned(), path: path.display().to_string() })
    }
}

/// `target/debug` for both `target/debug/program` and `target/debug/deps/test-0123`.
fn profile_directory(running: &Path) -> &Path {
    let directory = running.parent().unwrap_or(running);
    if directory.ends_with("deps") { directory.parent().unwrap_or(directory) } else { directory }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_programs_find_the_same_directory() {
        assert_eq!(profile_directory(Path::new("/t/debug/deps/proof-12")), Path::new("/t/debug"));
        assert_eq!(profile_directory(Path::new("/t/debug/xtask")), Path::new("/t/debug"));
    }

    #[test]
    fn a_missing_executable_says_how_to_build_it() {
        let error = binary("no-such-program").unwrap_err().to_string();
        assert!(error.contains("cargo build --bin no-such-program"), "{error}");
    }
}
