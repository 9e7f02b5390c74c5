//! The STUN and TURN client: no I/O, no clock, no threads.
//!
//! [`StunClient`] asks Binding requests of any server; [`TurnClient`] keeps one allocation with its permissions and channels alive. Both are
//! driven alike: bytes, `now` and timeouts go in, then transmissions, events and the next deadline come out. Their types state the contract.
//!
//! | noun | file | source |
//! |---|---|---|
//! | transaction, its timing, the round trip | `transaction.rs`, `timing.rs`, `round_trip.rs` | RFC 8489 §6.2 |
//! | a request until it is settled | `exchange/` | RFC 8489 §6.3, §9.2.3, §9.2.5 |
//! | challenge: realm, nonce, key | `exchange/challenge.rs` | RFC 8489 §9.2 |
//! | Binding | `binding.rs`, `stun_client.rs` | RFC 8489 §12, RFC 5780 §4 |
//! | allocation, permissions, channels, data | `turn/` | RFC 8656 §7 to §12 |
//! | frames of a stream | `stream_buffer.rs` | RFC 8489 §6.2.2, RFC 8656 §12.5 |

mod binding;
mod credentials;
mod exchange;
mod failure;
mod received;
mod round_trip;
mod stream_buffer;
mod stun_client;
mod timing;
mod transaction;
mod transmit;
mod turn;

pub use binding::{Binding, BindingId, BindingRequest};
pub use credentials::Credentials;
pub use failure::{Failure, Refusal};
pub use received::{Discard, Received};
pub use stream_buffer::StreamBuffer;
pub use stun_client::{BindingEvent, StunClient, StunConfig};
pub use timing::Timing;
pub use transaction::{Due, Transaction};
pub use transmit::{Transmit, Transport};
pub use turn::{Advice, Allocated, Event, HEADROOM, Loss, RequestError, SendError, TAILROOM, TurnClient, TurnConfig};
