//! An established TLS session, on the worker.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{BorrowedFd, RawFd};

use rustls::ServerConnection;
use socket2::SockRef;

use crate::tcp::{Outgoing, Written};

/// Maximum number of bytes that are encrypted before the kernel takes them: two full records. More
/// frames wait unencrypted.
const ENCRYPTED_AHEAD: usize = 32 << 10;

/// An established TLS session. It keeps at most a partial record received, and [`ENCRYPTED_AHEAD`]
/// bytes not sent yet.
pub(crate) struct Session {
    connection: Box<ServerConnection>,
    /// The last bytes of the handshake, which leave before all others.
    flight: Outgoing,
    /// The unencrypted length of each frame that waits: a frame has records of its own, because
    /// some clients (coturn's) read one record and take it for one message.
    frames: VecDeque<usize>,
    /// How many bytes are decrypted and not read yet.
    decrypted: usize,
    peer_closed: bool,
    sent_close_notify: bool,
}

impl Session {
    pub(crate) fn new(connection: Box<ServerConnection>, flight: Outgoing) -> Self {
        let mut session = Self {
            connection,
            flight,
            frames: VecDeque::new(),
            decrypted: 0,
            peer_closed: false,
            sent_close_notify: false,
        };
        // What came with the client's last flight was decrypted before. It holds nothing new, so no
        // record can be refused.
        let _ = session.take_in();
        session
    }

    /// Decrypts `records` into `plain` until either is at its end, and advances `records`.
    ///
    /// # Errors
    /// `WouldBlock`: they gave no plaintext. `InvalidData`: they are no records of this session.
    /// `Ok(0)`: the peer has sent close_notify.
    pub(crate) fn read(&mut self, records: &mut &[u8], plain: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < plain.len() {
            if self.decrypted > 0 {
                let count = self.connection.reader().read(&mut plain[filled..])?;
                self.decrypted -= count;
                filled += count;
            } else if self.peer_closed || records.is_empty() {
                break;
            } else {
                self.connection.read_tls(records)?;
                self.take_in()?;
            }
        }
        if filled == 0 && !self.peer_closed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(filled)
    }

    /// Decrypts the whole records that were read.
    fn take_in(&mut self) -> io::Result<()> {
        let state =
            self.connection.process_new_packets().map_err(|_| io::ErrorKind::InvalidData)?;
        self.decrypted = state.plaintext_bytes_to_read();
        self.peer_closed = state.peer_has_closed();
        Ok(())
    }

    /// Notes a frame of `len` bytes that waits behind the others.
    pub(crate) fn frame_queued(&mut self, len: usize) {
        if len > 0 {
            self.frames.push_back(len);
        }
    }

    /// Whether something encrypted waits to be written.
    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write() || !self.flight.is_empty()
    }

    /// Encrypts and writes as much as the kernel takes: frames that wait together leave together.
    /// After the `last` bytes it sends close_notify.
    pub(crate) fn write(
        &mut self,
        fd: RawFd,
        outgoing: &mut Outgoing,
        last: bool,
    ) -> io::Result<Written> {
        let mut written = self.flight.write(fd)?;
        if !written.all {
            return Ok(written);
        }
        written.all = false;
        loop {
            while self.connection.wants_write() {
                match self.connection.write_tls(&mut Socket(fd)) {
                    Ok(count) => written.bytes += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(written),
                    Err(error) => return Err(error),
                }
            }
            if outgoing.is_empty() {
                if !last || self.sent_close_notify {
                    break;
                }
                self.sent_close_notify = true;
                self.connection.send_close_notify();
                continue;
            }
            self.encrypt(outgoing)?;
        }
        written.all = true;
        Ok(written)
    }

    /// Encrypts frames that wait, each into records of its own.
    fn encrypt(&mut self, outgoing: &mut Outgoing) -> io::Result<()> {
        let mut ahead = 0;
        while ahead < ENCRYPTED_AHEAD {
            let waiting = outgoing.waiting();
            if waiting.is_empty() {
                break;
            }
            if self.frames.is_empty() {
                self.frames.push_back(waiting.len()); // bytes of which no frame was noted
            }
            let left = self.frames.front_mut().expect("there is one");
            let count =
                self.connection.writer().write(&waiting[..(*left).min(ENCRYPTED_AHEAD - ahead)])?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            *left -= count;
            if *left == 0 {
                self.frames.pop_front();
            }
            ahead += count;
            outgoing.advance(count);
        }
        Ok(())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("version", &self.connection.protocol_version())
            .finish_non_exhaustive()
    }
}

/// A stream's descriptor, for rustls to write to.
struct Socket(RawFd);

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // SAFETY: the caller's stream owns the descriptor and is alive during the call.
        let socket = unsafe { BorrowedFd::borrow_raw(self.0) };
        loop {
            let sent = match parts {
                // The plain call spares the kernel a copy of the header.
                [one] => SockRef::from(&socket).send_with_flags(one, libc::MSG_NOSIGNAL),
                _ => SockRef::from(&socket).send_vectored_with_flags(parts, libc::MSG_NOSIGNAL),
            };
            match sent {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
