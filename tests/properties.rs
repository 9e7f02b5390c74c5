//! Properties that hold for all messages, bytes and sequences of requests, checked on random ones.
#![allow(clippy::unwrap_used)] // a panic is how a test reports

#[path = "properties/codec.rs"]
mod codec;
#[path = "properties/directory.rs"]
mod directory;
#[path = "properties/message.rs"]
mod message;
#[path = "properties/model.rs"]
mod model;
#[path = "properties/oracle_stun_rs.rs"]
mod oracle_stun_rs;
#[path = "properties/oracle_stun_types.rs"]
mod oracle_stun_types;
#[path = "properties/oracles.rs"]
mod oracles;
#[path = "properties/relay.rs"]
mod relay;
#[path = "properties/request.rs"]
mod request;
#[path = "properties/stream.rs"]
mod stream;
#[path = "properties/value.rs"]
mod value;
