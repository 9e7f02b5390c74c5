//! The client cores against scripted servers, in virtual time. One program, so that its tests share
//! the script.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod allocation;
mod binding;
mod credentials;
mod families;
mod lossy;
mod peers;
mod scripted;
