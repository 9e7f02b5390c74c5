//! The STUN and TURN client: no I/O, no clock, no threads.
//!
//! [`StunClient`] sends Binding requests to any server; [`TurnClient`] keeps one allocation alive
//! with its permissions and channels. The calling contract is the same: bytes, the time and
//! timeouts are inputs; transmissions, events and the next deadline are outputs. Each type
//! documents it. Time is a `Duration` since a start that the caller chooses.
//!
//! | noun | file | source |
//! |---|---|---|
//! | transaction, its timing | `transaction.rs`, `timing.rs` | RFC 8489 §6.2.1, §6.2.2 |
//! | round trips to each server | `round_trip.rs` | RFC 8489 §6.2.1 |
//! | a request until it ends | `exchange/` | RFC 8489 §6.3, §9.2.3, §9.2.5 |
//! | challenge: realm, nonce, key | `exchange/challenge.rs` | RFC 8489 §9.2 |
//! | security features of the nonce | `exchange/features.rs` | RFC 8489 §18.1 |
//! | how requests are authenticated | `credentials.rs` | RFC 8489 §9.2.5 |
//! | redirections, not in circles | `redirections.rs` | RFC 8489 §10 |
//! | Binding | `binding.rs`, `stun_client.rs` | RFC 8489 §12, RFC 5780 §4 |
//! | allocation, permissions, channels, data | `turn/` | RFC 8656 §7 to §12 |
//! | frames of a stream | `stream_buffer.rs` | RFC 8489 §6.2.2, RFC 8656 §12.5 |

mod binding;
mod credentials;
mod exchange;
mod failure;
mod messages;
mod redirections;
mod round_trip;
mod stream_buffer;
mod stun_client;
mod timing;
mod transaction;
mod turn;

pub use binding::{Binding, BindingId, BindingRequest};
pub use causeway_auth::Algorithm;
pub use causeway_wire::Transport;
pub use credentials::{Credentials, Security};
pub use failure::{Alternate, Failure, Refusal};
pub use messages::{Discard, Received, Transmit};
pub use redirections::Redirections;
pub use stream_buffer::StreamBuffer;
pub use stun_client::{BindingEvent, StunClient, StunConfig};
pub use timing::Timing;
pub use transaction::{Due, Transaction};
pub use turn::{
    Advice, Allocated, Event, HEADROOM, Loss, Rejected, RelayPort, RequestError, SendError,
    TAILROOM, TurnClient, TurnConfig,
};
