//! The STUN and TURN client: no I/O.
