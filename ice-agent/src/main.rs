//! NAT behaviour, server check, ICE between agents.

fn main() {}
