//! Reading a PEM file: the only I/O of this crate.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

/// The bytes of a file, wiped on drop, because they may be a private key.
pub type Bytes = Zeroizing<Vec<u8>>;

/// Maximum length of a file in bytes. Bundles of all public authorities have a quarter of a
/// megabyte.
const LONGEST: u64 = 4 << 20;

/// Reads a PEM file as bytes: its comments may be in any character set.
///
/// # Errors
/// A sentence with the file's name, if the file cannot be read or is too long.
pub fn read(path: &Path) -> Result<Bytes, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Zeroizing::new(Vec::new());
    File::open(path).map_err(cannot)?.take(LONGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LONGEST {
        return Err(format!(
            "cannot read {}: the file is longer than {} MiB",
            path.display(),
            LONGEST >> 20
        ));
    }
    Ok(bytes)
}
