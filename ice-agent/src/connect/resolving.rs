//! Resolves the STUN servers in the background. Each family is resolved separately, so that a name
//! server's silence about one does not delay the other (RFC 8305 §3).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use causeway_wire::Transport;
use tokio::sync::mpsc;

use super::gathering::Problem;
use crate::discovery::Choice;
use crate::reach::Reach;
use crate::uri::ServerUri;

/// Maximum wait for the address of a STUN server.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The result of one lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resolved {
    server: usize,
    found: Result<Vec<SocketAddr>, String>,
    /// Notes about unused records.
    notes: Vec<String>,
}

/// The lookups in progress.
#[derive(Debug, Default)]
pub(super) struct Resolving {
    servers: Vec<Server>,
}

#[derive(Debug)]
struct Server {
    uri: ServerUri,
    open: usize,
    is_found: bool,
}

impl Resolving {
    /// Starts the lookups; each ends with one event.
    pub(super) fn start<E: From<Resolved> + Send + 'static>(
        servers: &[ServerUri],
        reach: &Arc<Reach>,
        events: &mpsc::Sender<E>,
    ) -> Self {
        let mut resolving = Self::default();
        for (index, uri) in servers.iter().enumerate() {
            let families = reach.choice().families.each();
            resolving.servers.push(Server {
                uri: uri.clone(),
                open: families.len(),
                is_found: false,
            });
            for family in families {
                // The sockets use UDP, and each takes the addresses of its own family.
                let choice =
                    Choice { transport: Some(Transport::Udp), ..reach.choice().only(*family) };
                let (uri, reach, events) = (uri.clone(), Arc::clone(reach), events.clone());
                tokio::spawn(async move {
                    let (found, notes) = match tokio::time::timeout(
                        RESOLVE_TIMEOUT,
                        reach.discover_choosing(&uri, &choice),
                    )
                    .await
                    {
                        Ok(Ok(discovered)) => (
                            Ok(discovered.attempts().map(|(_, address)| address).collect()),
                            discovered.notes,
                        ),
                        Ok(Err(error)) => (Err(error.to_string()), Vec::new()),
                        Err(_) => (Err("no answer in time".into()), Vec::new()),
                    };
                    // If there is no receiver, the call is over.
                    let _ = events.send(Resolved { server: index, found, notes }.into()).await;
                });
            }
        }
        resolving
    }

    /// The notes of a lookup, as problems for the report.
    pub(super) fn notes(&self, resolved: &Resolved) -> Vec<Problem> {
        let Some(server) = self.servers.get(resolved.server) else { return Vec::new() };
        resolved
            .notes
            .iter()
            .map(|note| Problem::new(&server.uri.to_string(), "resolve", note.as_str()))
            .collect()
    }

    /// Processes a result: returns the server with its addresses, or a problem if no family has
    /// any.
    pub(super) fn handle(
        &mut self,
        resolved: Resolved,
    ) -> Option<Result<(ServerUri, Vec<SocketAddr>), Problem>> {
        let server = self.servers.get_mut(resolved.server)?;
        server.open = server.open.saturating_sub(1);
        match resolved.found {
            Ok(addresses) => {
                server.is_found = true;
                Some(Ok((server.uri.clone(), addresses)))
            }
            Err(reason) if server.open == 0 && !server.is_found => {
                Some(Err(Problem::new(&server.uri.to_string(), "resolve", reason)))
            }
            Err(_) => None,
        }
    }

    /// Whether all lookups have ended.
    pub(super) fn is_over(&self) -> bool {
        self.servers.iter().all(|server| server.open == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8305_3_a_family_without_addresses_is_no_trouble_where_the_other_has_some() {
        let server =
            || Server { uri: "stun:example.org".parse().unwrap(), open: 2, is_found: false };
        let address: SocketAddr = "192.0.2.1:3478".parse().unwrap();
        let (found, missed) = (Ok(vec![address]), Err("no address".to_owned()));
        for (first, second, problems) in
            [(&found, &missed, 0), (&missed, &found, 0), (&missed, &missed, 1)]
        {
            let mut resolving = Resolving { servers: vec![server()] };
            let mut told = Vec::new();
            for one in [first, second] {
                assert!(!resolving.is_over());
                told.extend(resolving.handle(Resolved {
                    server: 0,
                    found: one.clone(),
                    notes: Vec::new(),
                }));
            }
            assert!(resolving.is_over());
            assert_eq!(told.iter().filter(|told| told.is_err()).count(), problems);
        }
    }
}
