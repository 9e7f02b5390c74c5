//! What every program does at its terminal, in one place.
//!
//! - [`print()`], [`answer`], [`complain`]: output that is written, or whose loss is told.
//! - [`parse`]: the flags, with `--help` and `--version` printed by the same writer, and errors
//!   that show no secret.
//! - [`secret_line`]: what a secret's file may hold.
//!
//! `println!` and its kin are denied by the workspace's lints: they panic when the reader has left
//! or the disk is full.

mod arguments;
mod output;
mod secret;

pub use arguments::{Unshown, end, parse, parse_from};
pub use output::{EXIT_USAGE, Unwritten, answer, answer_line, complain, print, print_line};
pub use secret::{BadSecret, secret_line};
