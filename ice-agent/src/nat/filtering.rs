//! The filtering tests of RFC 5780 §4.4, on a path that may lose packets.

use std::net::{IpAddr, SocketAddr};

use causeway_wire::attribute::ChangeRequest;

use super::behaviour::Behaviour;
use super::loss::{MAX_CHANCE_AT_ORIGIN, Silence};
use super::network::Network;
use super::probe_socket::ProbeSocket;
use super::session::{Session, TestRequest, Trial};

/// The filtering behaviour, and the chance that it is wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Filtering {
    pub(super) behaviour: Behaviour,
    /// The chance that a filter was found although there was only loss.
    pub(super) doubt: f64,
}

impl Filtering {
    /// A finding that does not depend on silence.
    pub(super) fn sure(behaviour: Behaviour) -> Self {
        Self { behaviour, doubt: 0.0 }
    }
}

/// The result of one filtering test.
enum Found {
    /// The answer arrived.
    Open,
    /// The answer was filtered; the chance that it was lost instead.
    Closed(f64),
    /// The test could not determine it.
    Unknown,
}

/// Runs tests II and III of RFC 5780 §4.4. Silence means a filter only if the address that should
/// have answered does answer direct requests, and if loss does not explain the silence.
///
/// # Errors
/// No socket can be opened.
pub(super) async fn measure<N: Network>(
    session: &Session<N>,
    local: IpAddr,
    server: SocketAddr,
    other: SocketAddr,
) -> anyhow::Result<Filtering> {
    let mut control = session.probe(local).await?;
    let change = ChangeRequest { change_ip: true, change_port: true };
    let doubt = match test(
        session,
        &mut control,
        TestRequest { name: "filtering II", to: server, change },
        other,
    )
    .await?
    {
        Found::Open => return Ok(Filtering::sure(Behaviour::EndpointIndependent)),
        Found::Unknown => return Ok(Filtering::sure(Behaviour::Unknown)),
        Found::Closed(doubt) => doubt,
    };
    let other_port = SocketAddr::new(server.ip(), other.port());
    let change = ChangeRequest { change_ip: false, change_port: true };
    Ok(
        match test(
            session,
            &mut control,
            TestRequest { name: "filtering III", to: server, change },
            other_port,
        )
        .await?
        {
            Found::Open => Filtering { behaviour: Behaviour::AddressDependent, doubt },
            Found::Unknown => Filtering::sure(Behaviour::Unknown),
            Found::Closed(more) => {
                Filtering { behaviour: Behaviour::AddressAndPortDependent, doubt: doubt + more }
            }
        },
    )
}

/// Requests an answer from `origin` to a fresh socket.
async fn test<N: Network>(
    session: &Session<N>,
    control: &mut ProbeSocket<N::Socket>,
    request: TestRequest,
    origin: SocketAddr,
) -> anyhow::Result<Found> {
    let mut probe = session.probe(control.local().ip()).await?;
    let mut silence = Silence::default();
    let trial = session.trial(&mut probe, control, request, &mut silence, 0).await;
    record(session, request, &probe, &silence, &trial);
    match trial {
        Trial::Silent(_) => {}
        trial => return Ok(not_silent(session, trial, origin)),
    }
    // From a socket of its own, so that the filter of the first one stays closed if that test goes
    // on.
    let mut asking = session.probe(control.local().ip()).await?;
    let (answered, lost) =
        session.sample(&mut asking, TestRequest::plain("filtering IV", origin)).await;
    if answered == 0 {
        session.note(format!(
            "{origin} does not answer direct requests either, so filtering is unknown."
        ));
        return Ok(Found::Unknown);
    }
    // The path from there may lose more than the path from the server's first address.
    let share = f64::from(lost + 1) / f64::from(answered + lost + 2);
    let least = (MAX_CHANCE_AT_ORIGIN.ln() / share.ln()).ceil() as u32;
    let trial = session.trial(&mut probe, control, request, &mut silence, least).await;
    Ok(match trial {
        // The worse of the two paths counts.
        Trial::Silent(evidence) => {
            Found::Closed(evidence.chance.max(share.powi(evidence.requests.cast_signed())))
        }
        trial => not_silent(session, trial, origin),
    })
}

fn not_silent<N: Network>(session: &Session<N>, trial: Trial, origin: SocketAddr) -> Found {
    match trial {
        Trial::Answered(binding) if binding.source == origin => return Found::Open,
        Trial::Answered(binding) => session.note(format!(
            "Asked to answer from {origin}, the server answered from {}, so filtering is unknown.",
            binding.source
        )),
        Trial::Refused => session.note(
            "The server refuses CHANGE-REQUEST, so filtering is \
            unknown.",
        ),
        Trial::Silent(_) | Trial::Unsettled => session.note(format!(
            "No answer came from {origin}, but the path is so lossy that the answer may be lost, \
            so filtering is unknown. Try again when the network is less busy."
        )),
    }
    Found::Unknown
}

fn record<N: Network>(
    session: &Session<N>,
    request: TestRequest,
    probe: &ProbeSocket<N::Socket>,
    silence: &Silence,
    trial: &Trial,
) {
    let outcome = match trial {
        Trial::Answered(binding) => Ok(binding.clone()),
        Trial::Refused => Err("the server refuses the request".to_owned()),
        Trial::Silent(evidence) => {
            Err(format!("no answer to any of {} requests", evidence.requests))
        }
        Trial::Unsettled => Err("no answer, but the path loses many packets".to_owned()),
    };
    session.record(request, probe.local(), silence.requests(), &outcome);
}
