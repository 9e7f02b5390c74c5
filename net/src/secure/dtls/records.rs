//! Encryption and decryption of the records of an established association.

use openssl::ssl::{ErrorCode, SslStream};

use super::ffi;
use super::pipe::Pipe;
use super::record::{self, LEAST, LEAST_WITH_NONCE};

/// Maximum plaintext of one record, in bytes (RFC 6347 §4.1.1 by way of TLS).
pub(crate) const MAX_PLAINTEXT: usize = 1 << 14;

/// Encrypts and decrypts for one client.
///
/// Each call borrows a [`Pipe`] and leaves the datagrams to send in it: records, an alert, or the
/// last flight again for a client that did not get it.
pub(crate) struct Records {
    stream: SslStream<Pipe>,
    /// Minimum length of a record of its cipher.
    least: usize,
}

/// The result of decrypting the next record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opened {
    /// This many bytes of plaintext were written.
    Plaintext(usize),
    /// The datagram holds no more records.
    None,
    /// The association is over: the client closed it, or broke the protocol under its own key.
    Over,
}

impl Records {
    /// Takes over when the handshake is done. OpenSSL has kept data that came before the client's
    /// Finished; it belongs to no later datagram, and is dropped.
    pub(super) fn new(mut stream: SslStream<Pipe>) -> Self {
        while stream.ssl_read(&mut [0; MAX_PLAINTEXT]).is_ok() {}
        let cipher = stream.ssl().current_cipher();
        let least = if cipher.is_some_and(|cipher| cipher.name().contains("CHACHA20")) {
            LEAST
        } else {
            LEAST_WITH_NONCE
        };
        Self { stream, least }
    }

    /// Puts `datagram` into the pipe, to be [opened](Self::open); `false`: it holds a record that
    /// must not be opened.
    #[must_use]
    pub(crate) fn admit(&self, pipe: &mut Pipe, datagram: &[u8]) -> bool {
        pipe.put(datagram);
        record::are_long_enough(datagram, self.least)
    }

    /// Decrypts the next record of the datagram in the pipe to `plaintext`, which has room for all
    /// that the datagram can hold. Bytes that are forged, repeated or no record are skipped.
    pub(crate) fn open(&mut self, pipe: &mut Pipe, plaintext: &mut [u8]) -> Opened {
        pipe.lend(&mut self.stream, |stream| match stream.ssl_read(plaintext) {
            Ok(len) => Opened::Plaintext(len),
            Err(error) => match error.code() {
                ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => Opened::None,
                _ => Opened::Over,
            },
        })
    }

    /// Whether the datagram that was read last holds more.
    pub(crate) fn has_more(&self) -> bool {
        ffi::has_pending(self.stream.ssl())
    }

    /// Encrypts `plaintext` as one record in one datagram; `false` if it is too long for one, or if
    /// the association is over.
    #[must_use]
    pub(crate) fn seal(&mut self, pipe: &mut Pipe, plaintext: &[u8]) -> bool {
        pipe.clear();
        plaintext.len() <= MAX_PLAINTEXT
            && pipe.lend(&mut self.stream, |stream| stream.ssl_write(plaintext).is_ok())
    }

    pub(crate) fn close(&mut self, pipe: &mut Pipe) {
        pipe.clear();
        // An association that failed has nothing to send.
        pipe.lend(&mut self.stream, |stream| _ = stream.shutdown());
    }
}
