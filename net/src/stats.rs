//! What a worker counts. One shard a worker, read by the control side at scrape time.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter (or gauge) with one writer, its worker, and any number of readers.
///
/// Writing is a plain load and store, without a locked instruction: a second writer would lose counts, nothing worse.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value now.
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The counters of one worker, on cache lines of their own. All are totals, but those said to be gauges.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: Count,)+
        }

        impl Stats {
            /// Every counter with its name and its help text, for an exporter.
            pub fn each(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($name), concat!($($doc),+).trim_ascii(), self.$name.value()),)+].into_iter()
            }
        }
    };
}

stats! {
    /// Turns of the loop: returns from the wait for events
    turns,
    /// Datagrams received
    datagrams_received,
    /// Payload bytes of datagrams received
    datagram_bytes_received,
    /// System calls that received datagrams
    receive_calls,
    /// Datagrams sent
    datagrams_sent,
    /// Payload bytes of datagrams sent
    datagram_bytes_sent,
    /// System calls that sent datagrams
    send_calls,
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
    /// ICMP errors reported by the kernel
    icmp_errors,
    /// Relayed and listening UDP sockets open now (gauge)
    sockets_open,
    /// Streams open now (gauge)
    streams_open,
    /// Streams accepted
    streams_accepted,
    /// Streams refused by the service at once
    streams_refused,
    /// Streams ended, whoever ended them
    streams_closed,
    /// Turns in which accepting failed for want of descriptors or memory
    accept_exhausted,
    /// Frames received on streams
    frames_received,
    /// Bytes received on streams
    stream_bytes_received,
    /// Frames queued on streams
    frames_sent,
    /// Bytes written to streams
    stream_bytes_sent,
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
    fn an_exporter_sees_every_counter_by_name() {
        let stats = Stats::default();
        stats.datagrams_sent.add(3);
        let found = stats.each().find(|(name, ..)| *name == "datagrams_sent");
        assert_eq!(found, Some(("datagrams_sent", "Datagrams sent", 3)));
    }
}
