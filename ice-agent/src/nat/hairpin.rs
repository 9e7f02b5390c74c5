//! Whether the NAT turns datagrams around that are meant for its own outside (RFC 4787 §6, RFC 5780
//! §3.4).

use std::net::{IpAddr, SocketAddr};

use causeway_client::BindingRequest;
use causeway_wire::{Class, MessageWriter, Method, TransactionId};
use tokio::time::{Instant, sleep_until};

use super::loss::{Evidence, MAX_TOTALS, Silence};
use super::network::Network;
use super::probe_socket::ProbeSocket;
use super::repeated_request::RepeatedRequest;
use super::session::{Session, TestRequest};

/// What two sockets behind the NAT saw of each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Hairpin {
    /// Something came back.
    TurnedAround,
    /// Nothing did, and not because of loss.
    Silent(Evidence),
    /// Nothing did, and it could not be told why.
    Unsettled,
}

/// Two fresh sockets, each of which sends to the other's outside (RFC 5780 §3.4), so that a filter
/// that lets in only what was sent to does not hide the answer.
///
/// # Errors
/// No socket.
pub(super) async fn measure<N: Network>(
    session: &Session<N>,
    local: IpAddr,
    server: SocketAddr,
) -> anyhow::Result<Hairpin> {
    let (mut first, mut second) = (session.probe(local).await?, session.probe(local).await?);
    let question = TestRequest::plain("hairpin", server);
    let Some(first_seen) = session.question(&mut first, question).await else {
        return Ok(Hairpin::Unsettled);
    };
    let Some(second_seen) = session.question(&mut second, question).await else {
        return Ok(Hairpin::Unsettled);
    };
    let mut control = session.probe(local).await?;
    let ends = [(&first, first_seen.mapped), (&second, second_seen.mapped)];
    Ok(turns_around(session, ends, &mut control, server).await)
}

/// Both send to the other's outside until something comes or the silence is beyond doubt.
async fn turns_around<N: Network>(
    session: &Session<N>,
    [(first, first_mapped), (second, second_mapped)]: [(&ProbeSocket<N::Socket>, SocketAddr); 2],
    control: &mut ProbeSocket<N::Socket>,
    server: SocketAddr,
) -> Hairpin {
    let (to_second, to_first) = (request(), request());
    let interval = session.total() / 10;
    let start = Instant::now();
    let mut due = start;
    let mut plain = RepeatedRequest::new(server, BindingRequest::default(), start + interval / 2);
    let mut silence = Silence::default();
    loop {
        let now = Instant::now();
        if due <= now {
            // A datagram that cannot be sent is one that does not come back.
            let _ = first.send(second_mapped, &to_second).await;
            let _ = second.send(first_mapped, &to_first).await;
            silence.sent(now);
            due = now + interval;
        }
        if let Some(at) = plain.go(control, session.pacer(), Some(interval * 2)).await {
            session.path.borrow_mut().asked(at);
        }
        let (now, patience) = (Instant::now(), session.patience());
        let evidence = silence.evidence(&session.path.borrow(), now, patience, session.reach());
        if evidence.is_enough() {
            return Hairpin::Silent(evidence);
        }
        if now > start + session.total() * MAX_TOTALS {
            return Hairpin::Unsettled;
        }
        let wake =
            [Some(due), plain.due(), silence.ripens(now, patience)].into_iter().flatten().min();
        tokio::select! {
            () = first.receive(&to_first) => return Hairpin::TurnedAround,
            () = second.receive(&to_second) => return Hairpin::TurnedAround,
            reply = control.reply() => if reply.outcome.is_ok() {
                session.path.borrow_mut().answered(reply.asked, reply.asked.elapsed());
            },
            () = sleep_until(wake.unwrap_or(due)) => {}
        }
    }
}

/// A Binding request that nobody else sends.
fn request() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    let writer = MessageWriter::new(
        &mut bytes,
        Class::Request,
        Method::BINDING,
        TransactionId(rand::random()),
    );
    let length = writer.expect("a header is shorter").finish();
    bytes.truncate(length);
    bytes
}
