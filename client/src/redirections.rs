//! Memory of the servers that a request was sent to, which prevents redirection loops.

use std::net::SocketAddr;
use std::time::Duration;

/// "If the client has been redirected to a server to which it has already sent this request within
/// the last five minutes, it MUST ignore the redirection and consider the transaction to have
/// failed" (RFC 8489 §10).
const REMEMBERED: Duration = Duration::from_secs(300);
/// Maximum number of servers remembered, and so that one request may be sent to.
const MAX_SERVERS: usize = 16;

/// The servers that a request was sent to, so that redirections cannot form a loop.
#[derive(Clone, Debug, Default)]
pub struct Redirections(Vec<(SocketAddr, Duration)>);

impl Redirections {
    /// Records that the request is sent to a server at `now`, the time since a start of the
    /// caller's. Returns `false` if it must not be sent: it was sent there within the last five
    /// minutes, or to too many other servers.
    pub fn send_to(&mut self, server: SocketAddr, now: Duration) -> bool {
        self.0.retain(|(_, sent)| now.saturating_sub(*sent) < REMEMBERED);
        if self.0.len() >= MAX_SERVERS || self.0.iter().any(|(before, _)| *before == server) {
            return false;
        }
        self.0.push((server, now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc8489_10_a_server_is_not_asked_twice_within_five_minutes() {
        let now = Duration::from_secs(1_000);
        let server = |last: u8| SocketAddr::from(([192, 0, 2, last], 3478));
        let mut redirections = Redirections::default();
        assert!(redirections.send_to(server(1), now));
        assert!(redirections.send_to(server(2), now));
        assert!(!redirections.send_to(server(1), now + Duration::from_secs(299)), "a circle");
        assert!(redirections.send_to(server(1), now + Duration::from_secs(300)));
    }

    #[test]
    fn an_endless_row_of_redirections_is_cut() {
        let now = Duration::from_secs(1_000);
        let mut redirections = Redirections::default();
        let followed = (0..100u8)
            .filter(|last| redirections.send_to(([192, 0, 2, *last], 3478).into(), now))
            .count();
        assert_eq!(followed, MAX_SERVERS);
    }
}
