//! `turnload`: load for a TURN server, and what that costs the server.
//!
//! | noun | folder |
//! |---|---|
//! | scenario, target, the fleet that makes the load and checks every delivery | `load/` |
//! | servers that are started to be measured | `peer/` |
//! | two servers at once, the load changing between them | `compare/` |
//! | tables of it | `report/` |
//! | good calls while strangers begin handshakes | `flood/` |

pub mod compare;
pub mod flood;
pub mod load;
pub mod peer;
pub mod report;
