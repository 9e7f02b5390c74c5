//! Bytes to STUN messages and back: no I/O.
