//! Whether the NAT supports hairpinning: datagrams from inside to its own external address (RFC
//! 4787 §6, RFC 5780 §3.4).

use std::net::{IpAddr, SocketAddr};

use causeway_client::BindingRequest;
use causeway_wire::{Class, MessageWriter, Method, TransactionId};
use tokio::time::{Instant, sleep_until};

use super::loss::{Evidence, MAX_TOTALS, Silence};
use super::network::Network;
use super::probe_socket::ProbeSocket;
use super::repeated_request::RepeatedRequest;
use super::session::{Session, TestRequest};

/// The result of the hairpinning test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Hairpin {
    /// A datagram arrived through the NAT's external address.
    Works,
    /// No datagram arrived, and loss does not explain it.
    Silent(Evidence),
    /// No datagram arrived, but the reason may be loss.
    Unsettled,
}

/// Uses two fresh sockets that send to each other's mapped address (RFC 5780 §3.4), so that a
/// filter which accepts only known remote addresses does not hide the answer.
///
/// # Errors
/// No socket.
pub(super) async fn measure<N: Network>(
    session: &Session<N>,
    local: IpAddr,
    server: SocketAddr,
) -> anyhow::Result<Hairpin> {
    let (mut first, mut second) = (session.probe(local).await?, session.probe(local).await?);
    let request = TestRequest::plain("hairpin", server);
    let Some(first_seen) = session.request(&mut first, request).await else {
        return Ok(Hairpin::Unsettled);
    };
    let Some(second_seen) = session.request(&mut second, request).await else {
        return Ok(Hairpin::Unsettled);
    };
    let mut control = session.probe(local).await?;
    let ends = [(&first, first_seen.mapped), (&second, second_seen.mapped)];
    Ok(hairpins(session, ends, &mut control, server).await)
}

/// Both sockets send to the other's mapped address until a datagram arrives or the silence is
/// conclusive.
async fn hairpins<N: Network>(
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
            // A datagram that cannot be sent does not come back.
            let _ = first.send(second_mapped, &to_second).await;
            let _ = second.send(first_mapped, &to_first).await;
            silence.sent(now);
            due = now + interval;
        }
        if let Some(at) = plain.send_if_due(control, session.pacer(), Some(interval * 2)).await {
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
            () = first.receive(&to_first) => return Hairpin::Works,
            () = second.receive(&to_second) => return Hairpin::Works,
            reply = control.reply() => if reply.outcome.is_ok() {
                session.path.borrow_mut().answered(reply.asked, reply.asked.elapsed());
            },
            () = sleep_until(wake.unwrap_or(due)) => {}
        }
    }
}

/// A Binding request with a random transaction id, so that it can be recognised.
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
