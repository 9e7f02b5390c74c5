//! Random messages and random bytes: what must hold for each of them.
