//! The STUN and TURN client: no I/O, no clock, no threads.
//!
//! [`StunClient`] asks Binding requests of any server; [`TurnClient`] keeps one allocation with its
//! permissions and channels alive. Both are driven alike: bytes, `now` and timeouts go in, then
//! transmissions, events and the next deadline come out. Their types state the contract.
//!
//! | noun | file | source |
//! |---|---|---|
//! | transaction, its timing, the round trip | `transaction.rs`, `timing.rs`, `round_trip.rs` | RFC 8489 §6.2 |
//! | a request until it is settled | `exchange/` | RFC 8489 §6.3, §9.2.3, §9.2.5 |
//! | challenge: realm, nonce, key | `exchange/challenge.rs`, `exchange/features.rs` | RFC 8489 §9.2, §18.1 |
//! | how requests are authenticated | `security.rs` | RFC 8489 §9.2.5 |
//! | redirections, not in circles | `redirections.rs` | RFC 8489 §10 |
//! | Binding | `binding.rs`, `stun_client.rs` | RFC 8489 §12, RFC 5780 §4 |
//! | allocation, permissions, channels, data | `turn/` | RFC 8656 §7 to §12 |
//! | frames of a stream | `stream_buffer.rs` | RFC 8489 §6.2.2, RFC 8656 §12.5 |

mod binding;
mod credentials;
mod exchange;
mod failure;
mod received;
mod redirections;
mod round_trip;
mod security;
mod stream_buffer;
mod stun_client;
mod timing;
mod transaction;
mod transmit;
mod turn;

pub use binding::{Binding, BindingId, BindingRequest};
pub use causeway_auth::Algorithm;
pub use causeway_wire::Transport;
pub use credentials::Credentials;
pub use failure::{Alternate, Failure, Refusal};
pub use received::{Discard, Received};
pub use redirections::Redirections;
pub use security::Security;
pub use stream_buffer::StreamBuffer;
pub use stun_client::{BindingEvent, StunClient, StunConfig};
pub use timing::Timing;
pub use transaction::{Due, Transaction};
pub use transmit::Transmit;
pub use turn::{
    Advice, Allocated, Event, HEADROOM, Loss, Rejected, RelayPort, RequestError, SendError,
    TAILROOM, TurnClient, TurnConfig,
};
