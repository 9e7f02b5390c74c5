//! Refusals that an operator may have to act on: a rate-limited line for each source and reason,
//! and a counter for each reason (H57).
//!
//! The target is `causeway::refusal`, the message `refused`, and the fields are
//!
//! | field | meaning |
//! |---|---|
//! | `source` | the refused address, redacted as `log.redact` says |
//! | `port` | its port |
//! | `local` | the address of this host that it reached |
//! | `reason` | a word of [`RefusalReason::name`] |
//! | `detail` | for handshakes: the alert, or the fault, in the program's words |
//! | `remedy` | what to check |
//! | `repeated` | number of suppressed lines of the same source and reason since the last one |
//!
//! A source (an IPv4 address, an IPv6 /64) gets one line per minute for each reason. All sources
//! together get ten new lines per second, of which strangers can use six, so that a flood from them
//! does not hide a refused proxy, user or admin client.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use causeway_net::proxy::Fault;
use causeway_net::{LimitReached, Rejection, RejectionReason, client_prefix};

use super::redact::redacted;

/// The target of the event, by which a filter names it.
pub const REFUSAL: &str = "causeway::refusal";

/// How long one line suppresses further ones of its source and reason.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a worker logs no further limited answer.
const SILENCE_OF_LIMITED: Duration = Duration::from_secs(1);
/// Maximum lines of new sources per second.
const NEW_PER_SECOND: u32 = 10;
/// Maximum of these lines for reasons that any stranger can cause, from many or forged addresses.
const OF_STRANGERS: u32 = 6;
/// Maximum number of sources and reasons that are remembered.
const REMEMBERED: usize = 1_024;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);
static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static COUNTS: [AtomicU64; RefusalReason::ALL.len()] =
    [const { AtomicU64::new(0) }; RefusalReason::ALL.len()];

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal, $remedy:literal;)+) => {
        /// The reason of a refusal.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum RefusalReason {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl RefusalReason {
            /// All reasons, in the order of their numbers.
            pub const ALL: [RefusalReason; [$($name),+].len()] = [$(RefusalReason::$variant),+];

            /// The name in logs and metrics.
            pub const fn name(self) -> &'static str {
                match self {
                    $(RefusalReason::$variant => $name,)+
                }
            }

            /// The advice for the operator.
            pub const fn remedy(self) -> &'static str {
                match self {
                    $(RefusalReason::$variant => $remedy,)+
                }
            }
        }
    };
}

reasons! {
    /// A trusted proxy did not send a PROXY header.
    ProxyNoHeader = "proxy-no-header", "have the proxy send a PROXY header of version 2, or remove it from proxy_protocol.trusted";
    /// A trusted proxy sent a header of version 1.
    ProxyVersion1 = "proxy-version-1", "have the proxy send version 2 (HAProxy: send-proxy-v2)";
    /// A trusted proxy sent a header that the protocol does not allow.
    ProxyMalformed = "proxy-malformed", "the proxy's PROXY header has an unknown version, command, family or length";
    /// A trusted proxy sent a header that is too long.
    ProxyTooLong = "proxy-too-long", "have the proxy send a shorter PROXY header: the maximum is 4096 bytes";
    /// A field of a header runs past its end.
    ProxyBadField = "proxy-bad-field", "a field (TLV) of the proxy's PROXY header runs past the header's end";
    /// The connection or the datagram ended within the header.
    ProxyCutShort = "proxy-cut-short", "the proxy's connection or datagram ended in the middle of its PROXY header";
    /// The header took too long.
    ProxySlow = "proxy-slow", "the proxy did not send its whole PROXY header within 5 seconds";
    /// A header from an address that is not trusted.
    ProxyUntrusted = "proxy-untrusted", "name the proxy in listen.proxy_protocol.trusted, or have it send no PROXY header";
    /// A TLS or DTLS handshake that cannot succeed.
    Handshake = "handshake-refused", "see detail: client and server have no version or cipher in common, or it is not TLS";
    /// A client refused the handshake.
    Alert = "handshake-alert", "see detail: often the client does not trust tls.certificate, or the chain is incomplete";
    /// Too many unfinished handshakes.
    HalfOpen = "half-open-handshakes", "raise limits.half_open_handshakes or half_open_handshakes_per_prefix if these are clients";
    /// Too many DTLS handshakes per second.
    HandshakeRate = "handshake-rate", "more DTLS handshakes than this server can do per second; add servers if these are clients";
    /// The thread that does the handshakes cannot keep up.
    HandshakerBusy = "handshaker-busy", "more handshakes than this server can do; add servers if these are clients";
    /// Too many TCP connections.
    Connections = "tcp-connections", "raise limits.tcp_connections if these are clients";
    /// Too many TCP connections from one prefix.
    ConnectionsOfPrefix = "tcp-connections-per-prefix", "raise limits.tcp_connections_per_prefix if many clients share this address";
    /// Too many DTLS associations.
    Associations = "dtls-associations", "raise limits.dtls_associations if these are clients";
    /// Too many DTLS associations from one prefix.
    AssociationsOfPrefix = "dtls-associations-per-prefix", "raise limits.dtls_associations_per_prefix if many clients share this address";
    /// Answers to an address that may be forged were dropped. Counted as `discarded`.
    AnswersLimited = "answers-limited", "raise limits.unauthenticated_per_prefix if these are clients; the source may be forged";
    /// A user has too many allocations.
    UserQuota = "allocations-per-user", "raise limits.allocations_per_user if one user needs more";
    /// A prefix has too many allocations.
    PrefixQuota = "allocations-per-prefix", "raise limits.allocations_per_prefix if many clients share this address";
    /// A request to the admin listener without a token.
    AdminNoToken = "admin-no-token", "send Authorization: Bearer with the token of admin.token_file";
    /// A request to the admin listener with a wrong token.
    AdminWrongToken = "admin-wrong-token", "the token is not that of admin.token_file";
}

impl RefusalReason {
    /// The reason for a TCP or TLS connection beyond a limit.
    pub fn of_stream(full: LimitReached) -> Self {
        match full {
            LimitReached::Total => RefusalReason::Connections,
            LimitReached::Prefix => RefusalReason::ConnectionsOfPrefix,
        }
    }

    /// The reason for a DTLS association beyond a limit.
    pub fn of_association(full: LimitReached) -> Self {
        match full {
            LimitReached::Total => RefusalReason::Associations,
            LimitReached::Prefix => RefusalReason::AssociationsOfPrefix,
        }
    }

    /// Whether strangers cause it every day, so that its line is not a warning.
    const fn is_common(self) -> bool {
        matches!(self, RefusalReason::Handshake)
    }

    /// Whether any stranger can cause it; the others are caused by trusted proxies, users, and
    /// clients of the admin listener.
    const fn is_of_strangers(self) -> bool {
        use RefusalReason as R;
        !matches!(
            self,
            R::ProxyNoHeader
                | R::ProxyVersion1
                | R::ProxyMalformed
                | R::ProxyTooLong
                | R::ProxyBadField
                | R::ProxyCutShort
                | R::ProxySlow
                | R::UserQuota
                | R::PrefixQuota
                | R::AdminNoToken
                | R::AdminWrongToken
        )
    }

    /// Whether its count is a metric of this service. Limited answers have a counter of their own,
    /// since they are logged at most once per second.
    pub(crate) fn is_of(self, service: &str) -> bool {
        match self {
            RefusalReason::AnswersLimited => false,
            RefusalReason::UserQuota | RefusalReason::PrefixQuota => service == "turnd",
            _ => true,
        }
    }

    /// Number of refusals with this reason since the process started.
    pub fn count(self) -> u64 {
        COUNTS[self as usize].load(Ordering::Relaxed)
    }
}

/// A refused client, proxy or request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The refused address.
    pub source: SocketAddr,
    /// The address of this host that it reached, if known.
    pub local: Option<SocketAddr>,
    /// The reason.
    pub reason: RefusalReason,
    /// Details in the program's words, so that no text from the client gets into the log.
    pub detail: Option<&'static str>,
}

impl Refusal {
    /// A refusal without details.
    pub fn new(source: SocketAddr, local: SocketAddr, reason: RefusalReason) -> Self {
        Refusal { source, local: Some(local), reason, detail: None }
    }
}

impl From<&Rejection> for Refusal {
    fn from(rejection: &Rejection) -> Self {
        let (reason, detail) = match rejection.reason {
            RejectionReason::ProxyHeader(Fault::Missing) => (RefusalReason::ProxyNoHeader, None),
            RejectionReason::ProxyHeader(Fault::Version1) => (RefusalReason::ProxyVersion1, None),
            RejectionReason::ProxyHeader(Fault::Malformed) => (RefusalReason::ProxyMalformed, None),
            RejectionReason::ProxyHeader(Fault::TooLong) => (RefusalReason::ProxyTooLong, None),
            RejectionReason::ProxyHeader(Fault::BadField) => (RefusalReason::ProxyBadField, None),
            RejectionReason::ProxyHeaderCutShort => (RefusalReason::ProxyCutShort, None),
            RejectionReason::ProxyHeaderSlow => (RefusalReason::ProxySlow, None),
            RejectionReason::ProxyUntrusted => (RefusalReason::ProxyUntrusted, None),
            RejectionReason::Handshake(words) => (RefusalReason::Handshake, Some(words)),
            RejectionReason::Alert(alert) => (RefusalReason::Alert, Some(alert)),
            RejectionReason::HalfOpen => (RefusalReason::HalfOpen, None),
            RejectionReason::HandshakeRate => (RefusalReason::HandshakeRate, None),
            RejectionReason::HandshakerBusy => (RefusalReason::HandshakerBusy, None),
        };
        Refusal { source: rejection.source, local: Some(rejection.local), reason, detail }
    }
}

/// A worker's log of limited answers: at most one line per second, so that a flood of forged
/// requests costs no look-ups.
#[derive(Debug, Default)]
pub struct LimitedAnswers {
    /// The end of the silence after a line, in monotonic time.
    silent_until: Duration,
}

impl LimitedAnswers {
    /// Logs that the answer to a request from `source` to `local` was dropped.
    pub fn tell(&mut self, now: Duration, source: SocketAddr, local: SocketAddr) {
        if now >= self.silent_until {
            self.silent_until = now + SILENCE_OF_LIMITED;
            refusal(&Refusal::new(source, local, RefusalReason::AnswersLimited));
        }
    }
}

/// Counts `refusal` and logs it, unless an earlier line suppresses it. Never waits: a line is
/// dropped while another thread holds the table.
pub fn refusal(refusal: &Refusal) {
    COUNTS[refusal.reason as usize].fetch_add(1, Ordering::Relaxed);
    let Ok(mut table) = TABLE.try_lock() else { return };
    let Some(repeated) = table.admit(START.elapsed(), refusal) else { return };
    drop(table);
    say(refusal, repeated);
}

/// Logs the suppressed refusals whose minute is over, so that the log also shows the end of a
/// flood.
pub(super) fn say_repeated() {
    // A worker holds the lock for one look-up, never while a line is written.
    let suppressed = TABLE.lock().unwrap_or_else(PoisonError::into_inner).expire(START.elapsed());
    for (refusal, repeated) in suppressed {
        say(&refusal, repeated);
    }
}

fn say(refusal: &Refusal, repeated: u64) {
    let Refusal { source, local, reason, detail } = *refusal;
    let (port, local) = (source.port(), local.map(tracing::field::display));
    let source = redacted(source.ip());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                target: REFUSAL,
                %source,
                port,
                local,
                reason = reason.name(),
                detail,
                remedy = reason.remedy(),
                repeated,
                "refused"
            )
        };
    }
    if reason.is_common() { line!(info) } else { line!(warn) }
}

/// The sources and reasons of the recent lines.
#[derive(Default)]
struct Table {
    lines: HashMap<(IpAddr, RefusalReason), Line>,
    /// The second in which new lines were last written, their number, and the number of those that
    /// strangers caused.
    new: (u64, u32, u32),
}

struct Line {
    /// The last suppressed refusal, or the logged one.
    last: Refusal,
    until: Duration,
    repeated: u64,
}

impl Table {
    /// The number of lines suppressed before this one; `None` if it is suppressed, too.
    fn admit(&mut self, now: Duration, refusal: &Refusal) -> Option<u64> {
        let key = (client_prefix(refusal.source.ip()), refusal.reason);
        if let Some(line) = self.lines.get_mut(&key) {
            if now < line.until {
                line.repeated += 1;
                line.last = *refusal;
                return None;
            }
            line.until = now + SILENCE;
            return Some(std::mem::take(&mut line.repeated));
        }
        if !self.has_room(now, refusal.reason) {
            return None;
        }
        self.lines.insert(key, Line { last: *refusal, until: now + SILENCE, repeated: 0 });
        Some(0)
    }

    fn has_room(&mut self, now: Duration, reason: RefusalReason) -> bool {
        let (second, is_of_strangers) = (now.as_secs(), reason.is_of_strangers());
        if self.new.0 != second {
            self.new = (second, 0, 0);
        }
        let (_, all, of_strangers) = &mut self.new;
        if *all >= NEW_PER_SECOND || is_of_strangers && *of_strangers >= OF_STRANGERS {
            return false;
        }
        *all += 1;
        *of_strangers += u32::from(is_of_strangers);
        if self.lines.len() >= REMEMBERED {
            self.lines.retain(|_, line| now < line.until);
        }
        self.lines.len() < REMEMBERED
    }

    /// Removes lines whose time is over, and returns the suppressed refusals among them.
    fn expire(&mut self, now: Duration) -> Vec<(Refusal, u64)> {
        let over = self.lines.extract_if(|_, line| now >= line.until);
        over.filter(|(_, line)| line.repeated > 0)
            .map(|(_, line)| (line.last, line.repeated))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refusal(source: &str, reason: RefusalReason) -> Refusal {
        Refusal::new(source.parse().unwrap(), "203.0.113.1:3478".parse().unwrap(), reason)
    }

    #[test]
    fn h57_a_source_has_one_line_a_minute_for_each_reason() {
        let mut table = Table::default();
        let (one, other) = (RefusalReason::ProxyVersion1, RefusalReason::ProxyNoHeader);
        assert_eq!(table.admit(SECOND, &refusal("192.0.2.1:1", one)), Some(0));
        for port in 2..100 {
            assert_eq!(table.admit(2 * SECOND, &refusal(&format!("192.0.2.1:{port}"), one)), None);
        }
        assert_eq!(
            table.admit(2 * SECOND, &refusal("192.0.2.1:1", other)),
            Some(0),
            "another reason"
        );
        assert_eq!(
            table.admit(2 * SECOND, &refusal("192.0.2.2:1", one)),
            Some(0),
            "another source"
        );
        assert_eq!(table.admit(2 * SECOND, &refusal("[2001:db8::1]:1", one)), Some(0));
        assert_eq!(
            table.admit(2 * SECOND, &refusal("[2001:db8::2]:1", one)),
            None,
            "one /64 is one source"
        );
        assert_eq!(table.admit(61 * SECOND, &refusal("192.0.2.1:1", one)), Some(98));
    }

    #[test]
    fn h57_a_flood_from_everywhere_is_bounded_in_lines_and_in_memory() {
        let mut table = Table::default();
        let mut written = 0;
        for number in 0..2_000_000_u32 {
            let source = SocketAddr::from((std::net::Ipv4Addr::from_bits(number), 1));
            let now = Duration::from_millis(u64::from(number / 10));
            let admitted =
                table.admit(now, &Refusal::new(source, source, RefusalReason::Handshake));
            written += u64::from(admitted.is_some());
            assert!(table.lines.len() <= REMEMBERED);
        }
        assert_eq!(written, 200 * u64::from(OF_STRANGERS));
    }

    #[test]
    fn h57_a_flood_of_strangers_hides_no_proxy() {
        let mut table = Table::default();
        for number in 0..100_000_u32 {
            let source = SocketAddr::from((std::net::Ipv4Addr::from_bits(number), 1));
            table.admit(SECOND, &Refusal::new(source, source, RefusalReason::ProxyUntrusted));
        }
        assert_eq!(
            table.admit(SECOND, &refusal("192.0.2.1:1", RefusalReason::ProxyVersion1)),
            Some(0)
        );
    }

    #[test]
    fn h57_suppressed_refusals_are_logged_when_their_minute_is_over() {
        let mut table = Table::default();
        let alert =
            Refusal { detail: Some("UnknownCA"), ..refusal("192.0.2.1:1", RefusalReason::Alert) };
        for _ in 0..5 {
            table.admit(SECOND, &alert);
        }
        table.admit(SECOND, &refusal("192.0.2.9:1", RefusalReason::Alert));
        assert_eq!(table.expire(60 * SECOND), []);
        assert_eq!(table.expire(61 * SECOND), [(alert, 4)]);
        assert!(table.lines.is_empty());
    }

    #[test]
    fn h57_reasons_have_names_of_their_own() {
        for (index, reason) in RefusalReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, index);
            assert!(
                RefusalReason::ALL[..index].iter().all(|earlier| earlier.name() != reason.name())
            );
        }
    }
}
