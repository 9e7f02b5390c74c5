//! Fuzz targets: a function a target, which takes any bytes and asserts what must hold for them.
//!
//! Each is used three times: by libFuzzer (`src/bin/`, run by `cargo xtask fuzz [--seconds N]
//! [target…]`), by the replay of the committed corpus (`tests/replay.rs`, part of `cargo test`),
//! and on random messages by `tests/properties.rs`.
//!
//! A target is added by a function here, a program of its name in `src/bin/`, and a folder of its
//! name in `corpus/`.

mod binding;
mod channel;
mod decode;
mod frame;
mod proxy;
mod server;

pub use binding::binding;
pub use decode::decode;
pub use frame::frame;
pub use proxy::proxy;
pub use server::server;

/// Runs one input; panics if it shows a fault.
pub type Target = fn(&[u8]);

/// The targets by their names, which are also those of their programs and of the folders of their
/// corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("binding", binding),
    ("decode", decode),
    ("frame", frame),
    ("proxy", proxy),
    ("server", server),
];

/// Runs the target on each file named by an argument, as libFuzzer's own program does: the main
/// function of a target that is not built for libFuzzer. A finding can thus be examined with the
/// ordinary compiler and debugger.
///
/// # Errors
/// The file that cannot be read.
pub fn replay(target: Target) -> std::io::Result<()> {
    for path in std::env::args_os().skip(1) {
        target(&std::fs::read(path)?);
    }
    Ok(())
}
