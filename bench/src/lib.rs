//! `turnload`: a load generator for TURN servers, which measures what the load costs the server.
//!
//! | noun | folder |
//! |---|---|
//! | scenario, target, and the fleet that loads a server and checks every delivery | `load/` |
//! | the servers that are measured | `peer/` |
//! | comparison of two servers, with the load alternating between them | `compare/` |
//! | reports: text, JSON, Markdown, SVG | `report/` |
//! | calls during a flood of half-open handshakes | `flood/` |

pub mod compare;
pub mod flood;
pub mod load;
pub mod peer;
pub mod report;
