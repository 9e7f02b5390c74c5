//! A worker's counters. One set for each worker, read by the control side at scrape time.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter (or gauge) with one writer, its worker, and any number of readers.
///
/// Writing is a plain load and store, without a locked instruction: a second writer would lose
/// counts, nothing worse.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the one writer may call it.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Sets the value to `n`. Only the one writer may call it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value, which another thread may be about to change.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One counter as an exporter sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The metric's name without prefix and `_total`, such as `datagrams_received_bytes`.
    pub family: &'static str,
    /// The cause, for families with several counters, such as `dropped`.
    pub cause: Option<&'static str>,
    /// The help text of the family.
    pub help: &'static str,
    /// Whether it is a gauge, which goes up and down.
    pub gauge: bool,
    /// The sum so far; of a gauge, the current value.
    pub value: u64,
}

impl Reading {
    /// A reading by the name of its field: `dropped_` and a cause, or `_open` at the end of a
    /// gauge.
    fn of(field: &'static str, help: &'static str, value: u64) -> Self {
        let plain =
            Self { family: field, cause: None, help, gauge: field.ends_with("_open"), value };
        if let Some(cause) = field.strip_prefix("dropped_") {
            return Self {
                family: "dropped",
                cause: Some(cause),
                help: "Datagrams and frames dropped, by cause",
                ..plain
            };
        }
        plain
    }
}

macro_rules! stats {
    ($(#[doc = $doc:literal] $name:ident,)+) => {
        /// The counters of one worker, on cache lines of their own. Names that end in `_open` are
        /// gauges; all others are totals.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Stats {
            $(#[doc = $doc] pub $name: Count,)+
        }

        impl Stats {
            /// Every counter, for an exporter.
            pub fn readings(&self) -> impl Iterator<Item = Reading> {
                [$(
                    Reading::of(stringify!($name), $doc.trim_ascii(), self.$name.value()),
                )+]
                .into_iter()
            }
        }
    };
}

stats! {
    /// Turns of the loop: returns from the wait for events
    turns,
    /// Turns after which the loop rested, so that the next one has more to do
    rests,
    /// Datagrams received
    datagrams_received,
    /// Payload bytes of datagrams received
    datagrams_received_bytes,
    /// Datagrams received together with others in one message
    datagrams_received_merged,
    /// System calls that received datagrams
    receive_calls,
    /// Datagrams sent
    datagrams_sent,
    /// Payload bytes of datagrams sent
    datagrams_sent_bytes,
    /// Datagrams sent together with others in one message
    datagrams_sent_merged,
    /// System calls that sent datagrams
    send_calls,
    /// System calls that entered the ring of io_uring
    ring_enters,
    /// Receives of the ring that ended and were begun again: no buffer was free, or an ICMP error came
    receives_restarted,
    /// Datagrams dropped: the socket's send buffer was full
    dropped_send_buffer_full,
    /// Datagrams dropped: the kernel refused them (no route, prohibited, too long)
    dropped_send_refused,
    /// Datagrams dropped: the socket that they were to leave from is gone
    dropped_socket_gone,
    /// Datagrams that the kernel dropped because a receive queue was full
    dropped_receive_queue_full,
    /// Datagrams dropped: the kernel gave a source address that is neither IPv4 nor IPv6
    dropped_bad_source,
    /// Datagrams dropped: they do not begin as the listener's protocols do
    dropped_not_served,
    /// Datagrams dropped: a trusted proxy sent them without a PROXY header, or with a bad one
    dropped_proxy_header,
    /// Datagrams dropped: the DTLS association that they were for is gone
    dropped_association_gone,
    /// Datagrams dropped: they are longer than a DTLS record may be
    dropped_record_too_long,
    /// Datagrams dropped: no DTLS record in them was authentic and new
    dropped_unauthentic,
    /// DTLS records dropped: they came behind others in one datagram, and the turn had no room for them
    dropped_too_many_records,
    /// Datagrams dropped: they belong to no DTLS association or handshake, and begin none
    dropped_no_handshake,
    /// ICMP errors reported by the kernel
    icmp_errors,
    /// Relayed and listening UDP sockets open now (gauge)
    sockets_open,
    /// DTLS clients that were asked to prove their address
    cookies_sent,
    /// DTLS associations open now (gauge)
    associations_open,
    /// DTLS associations whose handshake was completed
    associations_established,
    /// DTLS associations refused by the service at once
    associations_refused,
    /// DTLS associations ended, by either side
    associations_closed,
    /// Streams open now (gauge)
    streams_open,
    /// Streams accepted
    streams_accepted,
    /// Streams refused by the service at once
    streams_refused,
    /// Streams reset: a trusted proxy sent no PROXY header in time, or a bad one
    streams_without_proxy_header,
    /// Streams ended, by either side
    streams_closed,
    /// Turns in which accepting failed for want of descriptors or memory
    accept_exhausted,
    /// Frames received on streams
    frames_received,
    /// Bytes received on streams
    streams_received_bytes,
    /// Frames queued on streams
    frames_sent,
    /// Bytes written to streams
    streams_sent_bytes,
    /// Frames dropped: the stream's outgoing queue was full
    dropped_stream_queue_full,
    /// Frames dropped: the stream is gone
    dropped_stream_gone,
    /// Messages received from the control side
    mail_received,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exporter_learns_name_cause_and_kind() {
        let stats = Stats::default();
        stats.datagrams_sent.add(3);
        stats.datagrams_sent_bytes.add(480);
        stats.dropped_send_refused.add(2);
        stats.streams_open.set(1);
        let find = |family: &str, cause: Option<&str>| {
            let mut all = stats.readings().filter(|one| (one.family, one.cause) == (family, cause));
            let found = all.next().expect("it is there");
            assert!(all.next().is_none(), "once");
            (found.value, found.gauge)
        };
        assert_eq!(find("datagrams_sent", None), (3, false));
        assert_eq!(find("datagrams_sent_bytes", None), (480, false));
        assert_eq!(find("dropped", Some("send_refused")), (2, false));
        assert_eq!(find("streams_open", None), (1, true));
    }
}
