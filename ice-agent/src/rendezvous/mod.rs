//! Where two agents find each other: rooms of two, spoken to over HTTP long-poll.
//!
//! | request | answer |
//! |---|---|
//! | `POST /rooms/{room}/members` | 201 [`http::Joined`]: the member's token and its role; 409 when two were there |
//! | `POST /rooms/{room}/signals` | 204; the body is one [`Signal`] for the other member |
//! | `GET /rooms/{room}/signals?after=N&wait=S` | 200 [`Batch`], at once if there is news, else after at most `S` seconds |
//! | `DELETE /rooms/{room}/members` | 204; the member leaves |
//!
//! All but the first carry `Authorization: Bearer TOKEN`. Everything is bounded by [`Limits`]; a room vanishes when both
//! members left, when neither was heard of for a while, and at the end of its lifetime at the latest.
//!
//! ICE passwords pass through here, so whoever runs it can join a call; it carries no media and no TURN password.

mod accept;
pub mod http;
mod name;
mod room;
mod rooms;
mod signal;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

pub use name::{BadRoomName, RoomName};
pub use room::{Batch, MemberToken, Peer, Role};
pub use rooms::{Limits, Refusal, Rooms};
pub use signal::{BadSignal, Signal};

use crate::interrupt::interrupted;
use crate::verdict::Verdict;

/// The command line of `ice-agent rendezvous`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address to listen on.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8088")]
    pub listen: SocketAddr,
    /// Most rooms at a time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().rooms)]
    pub max_rooms: usize,
    /// Most signals waiting for one member.
    #[arg(long, value_name = "N", default_value_t = Limits::default().signals)]
    pub max_signals: usize,
    /// Seconds after which a room is closed, whatever happens in it.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().lifetime.as_secs())]
    pub room_lifetime: u64,
}

/// Serves until interrupted; prints the address on standard output once it listens.
///
/// # Errors
/// The address cannot be bound.
pub async fn run(args: Args) -> anyhow::Result<Verdict> {
    let limits =
        Limits { rooms: args.max_rooms, signals: args.max_signals, lifetime: Duration::from_secs(args.room_lifetime), ..Limits::default() };
    let listener = tokio::net::TcpListener::bind(args.listen).await.with_context(|| format!("cannot listen on {}", args.listen))?;
    causeway_cli::answer_line(format_args!("rendezvous listening on http://{}", listener.local_addr()?))?;
    let router = http::router(limits);
    tokio::select! {
        () = accept::serve(listener, router) => Ok(Verdict::Yes),
        ended = interrupted() => {
            ended?;
            Ok(Verdict::Yes)
        }
    }
}
