//! The terminal side of every program, in one place.
//!
//! - [`print()`], [`answer`], [`complain`]: output whose loss is noticed and reported.
//! - [`parse`]: the flags, with `--help` and `--version` printed by the same writer, and errors
//!   that show no secret.
//! - [`secret_line`]: the content of a secret's file.
//!
//! The workspace's lints deny `println!` and its kin: they panic when the reader has left or the
//! disk is full.

mod arguments;
#[cfg(any(test, feature = "manual"))]
mod manual;
mod output;
mod secret;

pub use arguments::{Unshown, end, parse, parse_from, parse_or};
pub use output::{EXIT_USAGE, Unwritten, answer, answer_line, complain, print, print_line};
pub use secret::{BadSecret, secret_line};
