//! STUN long-term credentials, keys and nonces: no I/O.
