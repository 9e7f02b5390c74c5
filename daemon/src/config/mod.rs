//! Configuration: one tree of keys, filled from the documented defaults, a TOML file, the
//! environment, `--set` and flags, in that order, and read once into a service's own types.
//!
//! Each value remembers where it was written, so that an error names the key, the file and line (or
//! the variable, or the flag) and the remedy. An unknown key is an error that suggests the nearest
//! name that exists.
//!
//! - [`load`] reads the layers; [`start`] is what a `main` calls.
//! - A schema is any `serde::Deserialize` type made of structs, lists, tables and the types of
//!   [`values`]. It has no defaults of its own: those are in the service's documented configuration
//!   ([`Service::default_config`]). A new key is a field of the schema and a documented default.

mod assignment;
mod deserialize;
mod environment;
mod error;
mod external;
mod failure;
mod file;
mod flags;
mod joined;
mod keys;
mod listen;
mod load;
mod nearest;
mod network;
mod origin;
mod reference;
mod secret;
mod setting;
pub mod special_purpose;
mod tree;
mod unauthenticated;
pub mod values;

pub use assignment::Assignment;
pub use causeway_wire::Transport;
pub use error::{ConfigError, Problem};
pub use external::{Advertised, External, Scope};
pub use flags::CommonFlags;
pub use joined::Joined;
pub use keys::keys;
pub use listen::{Listen, ProxyProtocol};
pub use load::{Loaded, Service, load, start};
pub use nearest::nearest;
pub use network::{mapped_problem, network, networks};
pub use origin::Origin;
pub use reference::{documented_keys, uncommented, undocumented};
pub use secret::{Secret, key_from_file, missing, one_of, required_one_of};
pub use setting::Setting;
pub(crate) use unauthenticated::{unauthenticated, unauthenticated_problem};
