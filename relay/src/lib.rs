//! The TURN server's decisions: no I/O.
