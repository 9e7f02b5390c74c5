//! The TURN relay.

fn main() {}
