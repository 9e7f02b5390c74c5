//! An established TLS session, on the worker.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{BorrowedFd, RawFd};

use rustls::ServerConnection;
use socket2::SockRef;

use crate::tcp::{Outgoing, Written};

/// What is encrypted before the kernel is asked to take it: two full records. More frames wait as
/// they are.
const ENCRYPTED_AHEAD: usize = 32 << 10;

/// Records in, records out. It keeps no more than a partial record received, and
/// [`ENCRYPTED_AHEAD`] not sent yet.
pub(crate) struct Session {
    connection: Box<ServerConnection>,
    /// The handshake's last bytes, which leave before all others.
    flight: Outgoing,
    /// What is left of each frame that waits: a frame has records of its own. Clients there are
    /// that read one record, and take it for one message (coturn's).
    frames: VecDeque<usize>,
    /// Bytes that are decrypted and not read yet.
    decrypted: usize,
    peer_closed: bool,
    said_goodbye: bool,
}

impl Session {
    pub(crate) fn new(connection: Box<ServerConnection>, flight: Outgoing) -> Self {
        let mut session = Self {
            connection,
            flight,
            frames: VecDeque::new(),
            decrypted: 0,
            peer_closed: false,
            said_goodbye: false,
        };
        // What came with the client's last flight is decrypted already. Nothing new is in it: no
        // record can be refused.
        let _ = session.take_in();
        session
    }

    /// Decrypts `records`, taking off what it has taken in, into `plain`, until either is at its
    /// end.
    ///
    /// # Errors
    /// `WouldBlock` when nothing came of them; `InvalidData` when they are no records of this
    /// session. `Ok(0)`: the peer said that no more will come.
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

    /// Decrypts the records that are whole.
    fn take_in(&mut self) -> io::Result<()> {
        let state =
            self.connection.process_new_packets().map_err(|_| io::ErrorKind::InvalidData)?;
        self.decrypted = state.plaintext_bytes_to_read();
        self.peer_closed = state.peer_has_closed();
        Ok(())
    }

    /// A frame of `len` bytes, more than none, waits behind the others.
    pub(crate) fn frame_queued(&mut self, len: usize) {
        if len > 0 {
            self.frames.push_back(len);
        }
    }

    /// Whether something encrypted waits to be written.
    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write() || !self.flight.is_empty()
    }

    /// Encrypts and writes what waits, as much as the kernel takes: frames that wait together leave
    /// together. When all is written and it is the `last`, says goodbye.
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
                if !last || self.said_goodbye {
                    break;
                }
                self.said_goodbye = true;
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
                self.frames.push_back(waiting.len()); // nobody has said where its frames end
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

/// A stream's descriptor, as rustls writes to it.
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
