//! The STUN server.

fn main() {}
