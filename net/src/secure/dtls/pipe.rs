//! The memory that OpenSSL reads from and writes to instead of a socket.

use std::io::{self, Read, Write};

use openssl::error::ErrorStack;
use openssl::ssl::SslStream;

/// One datagram in, any number of datagrams out.
///
/// The worker and the handshaker's thread each own one and lend it to a connection for a call, so
/// that a silent connection has no buffers.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    incoming: Vec<u8>,
    unread: bool,
    /// Datagrams, one behind the other.
    outgoing: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Pipe {
    /// Sets the next datagram to be read, and drops what was written before.
    pub(crate) fn put(&mut self, datagram: &[u8]) {
        self.clear();
        self.incoming.extend_from_slice(datagram);
        self.unread = true;
    }

    /// Drops what was to be read and what was written.
    pub(crate) fn clear(&mut self) {
        self.incoming.clear();
        self.unread = false;
        self.outgoing.clear();
        self.ends.clear();
    }

    /// Lends the pipe to a connection for one call of OpenSSL.
    pub(crate) fn lend<R>(
        &mut self,
        stream: &mut SslStream<Pipe>,
        act: impl FnOnce(&mut SslStream<Pipe>) -> R,
    ) -> R {
        // An error that an earlier call left in this thread's queue would be taken for this call's.
        let _ = ErrorStack::get();
        std::mem::swap(stream.get_mut(), self);
        let result = act(stream);
        std::mem::swap(stream.get_mut(), self);
        result
    }

    /// Whether nothing was written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.ends.is_empty()
    }

    /// The datagrams that were written.
    pub(crate) fn written(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.outgoing[start..*end])
    }
}

impl Read for Pipe {
    /// A datagram that is longer than the buffer loses its end, as with a socket.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !std::mem::take(&mut self.unread) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = self.incoming.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.incoming[..len]);
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.outgoing.extend_from_slice(datagram);
        self.ends.push(self.outgoing.len());
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_read_once_and_what_is_written_keeps_its_bounds() {
        let mut pipe = Pipe::default();
        pipe.put(b"hello");
        let mut buffer = [0; 16];
        assert_eq!(pipe.read(&mut buffer).unwrap(), 5);
        assert_eq!(pipe.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        pipe.write_all(b"one").unwrap();
        pipe.write_all(b"three").unwrap();
        assert_eq!(pipe.written().collect::<Vec<_>>(), [b"one".as_slice(), b"three"]);
        pipe.put(b"again");
        assert_eq!(pipe.written().count(), 0);
    }
}
