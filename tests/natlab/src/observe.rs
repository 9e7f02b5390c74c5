//! Seeing what a NAT does from packets alone: nothing here knows which kind it looks at.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{
    Behaviour, Filtering, Lab, LabError, Mapping, Site, TcpListenerProbe, UdpBehaviour, UdpProbe,
    tcp_connect,
};

/// For what should arrive: only a failure waits it out.
const PATIENCE: Duration = Duration::from_secs(5);
/// For the question whether UDP gets out at all; asked three times.
const FIRST_ANSWER: Duration = Duration::from_millis(700);
/// Packets cross the lab in microseconds, on whichever core; a pause keeps their order certain.
const SETTLE: Duration = Duration::from_millis(50);

/// Two addresses with two ports each, as RFC 5780 §3 asks of a server.
const PORTS: [u16; 2] = [3478, 3479];

/// Measures the behaviour of site `index`'s connection, with a fresh socket for each question.
///
/// # Errors
/// [`LabError::Unexpected`] when what is seen fits no behaviour of RFC 4787; other errors when the
/// lab breaks.
pub fn observe(lab: &Lab, index: usize) -> Result<Behaviour, LabError> {
    let site = &lab.sites[index];
    let mut servers = Servers::bind(lab)?;
    let listener =
        TcpListenerProbe::bind(&lab.server.namespace, SocketAddr::new(lab.server.address(), 3478))?;
    let tcp = tcp_connect(&site.client.namespace, listener.address())?;

    let mut client = client(site)?;
    let first = first_mapping(&mut client, &mut servers)?;
    let udp = match first {
        None => None,
        Some(mapped) => Some(UdpBehaviour {
            mapping: mapping(mapped, &mut client, &mut servers)?,
            filtering: filtering(site, &mut servers)?,
            port_preserved: mapped.port() == client.address().port(),
        }),
    };
    let seen = tcp.map(|address| address.ip()).or(first.map(|address| address.ip()));
    let seen = seen.ok_or_else(|| {
        LabError::Unexpected("neither TCP nor UDP gets out of this site".to_owned())
    })?;
    Ok(Behaviour { translated: seen != site.client.address(), udp, tcp: tcp.is_some() })
}

/// The server's four sockets.
struct Servers {
    /// By address, then by port.
    sockets: [[UdpProbe; 2]; 2],
}

impl Servers {
    fn bind(lab: &Lab) -> Result<Self, LabError> {
        let bind = |address: usize, port: usize| {
            UdpProbe::bind(
                &lab.server.namespace,
                SocketAddr::new(lab.server.addresses[address], PORTS[port]),
            )
        };
        Ok(Self { sockets: [[bind(0, 0)?, bind(0, 1)?], [bind(1, 0)?, bind(1, 1)?]] })
    }
}

fn client(site: &Site) -> Result<UdpProbe, LabError> {
    UdpProbe::bind(&site.client.namespace, SocketAddr::new(site.client.address(), 0))
}

/// The client's address as the first server socket sees it; `None` when no datagram gets there.
fn first_mapping(
    client: &mut UdpProbe,
    servers: &mut Servers,
) -> Result<Option<SocketAddr>, LabError> {
    let server = &mut servers.sockets[0][0];
    for _ in 0..3 {
        client.send(server.address(), "first")?;
        if let Some(arrival) = server.receive(FIRST_ANSWER) {
            return Ok(Some(arrival.from));
        }
    }
    Ok(None)
}

/// Which destinations share the external address `first`, which the first one saw.
fn mapping(
    first: SocketAddr,
    client: &mut UdpProbe,
    servers: &mut Servers,
) -> Result<Mapping, LabError> {
    let mut seen = [[first; 2]; 2];
    for (a, p) in [(0, 1), (1, 0), (1, 1)] {
        let server = &mut servers.sockets[a][p];
        client.send(server.address(), "mapping")?;
        let arrival = server.receive(PATIENCE);
        let arrival = arrival
            .ok_or_else(|| LabError::Unexpected(format!("nothing reached {}", server.address())))?;
        seen[a][p] = arrival.from;
    }
    let [[near, near_port], [far, far_port]] = seen;
    if [near_port, far, far_port].iter().all(|&other| other == near) {
        Ok(Mapping::EndpointIndependent)
    } else if near == near_port && far == far_port {
        Ok(Mapping::AddressDependent)
    } else if near == far && near_port == far_port {
        Err(LabError::Unexpected(format!("a mapping that RFC 4787 has no name for: {seen:?}")))
    } else {
        // Random ports may meet by chance, but not twice.
        Ok(Mapping::AddressAndPortDependent)
    }
}

/// Measures which server sockets may answer a socket that has sent to the first one only.
///
/// Silence proves nothing on a slow machine. So each stranger sends first and the one that was
/// contacted last: all go the same way, so what has not arrived when the last one has was filtered.
fn filtering(site: &Site, servers: &mut Servers) -> Result<Filtering, LabError> {
    let mut client = client(site)?;
    let contacted = &mut servers.sockets[0][0];
    client.send(contacted.address(), "contact")?;
    let arrival = contacted.receive(PATIENCE);
    let mapped = arrival
        .ok_or_else(|| LabError::Unexpected("the second socket cannot send".to_owned()))?
        .from;

    for (a, p, name) in
        [(1, 1, "other address, other port"), (1, 0, "other address"), (0, 1, "other port")]
    {
        servers.sockets[a][p].send(mapped, name)?;
    }
    std::thread::sleep(SETTLE);
    servers.sockets[0][0].send(mapped, "contacted")?;

    let mut passed = Vec::new();
    loop {
        let arrival = client.receive(PATIENCE);
        let arrival = arrival
            .ok_or_else(|| LabError::Unexpected("the contacted server cannot answer".to_owned()))?;
        if arrival.text == "contacted" {
            break;
        }
        passed.push(arrival.text);
    }
    passed.sort_unstable();
    match passed.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(Filtering::AddressAndPortDependent),
        ["other port"] => Ok(Filtering::AddressDependent),
        ["other address", "other address, other port", "other port"] => {
            Ok(Filtering::EndpointIndependent)
        }
        other => Err(LabError::Unexpected(format!(
            "a filter that RFC 4787 has no name for lets pass: {other:?}"
        ))),
    }
}
