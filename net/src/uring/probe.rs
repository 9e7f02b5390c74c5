//! Finding out whether the kernel gives this process a ring, by using one.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use super::buffers::Buffers;
use super::completion::{Completion, Last};
use super::refusal::Refusal;
use super::ring::{Ring, on_another_thread};
use crate::keys::SocketKey;
use crate::region::Region;

/// The key of the receive with which a ring is tried out.
const TRIED: SocketKey = SocketKey::from_bits(0);

/// Does everything that a loop does with a ring.
pub(super) fn try_out() -> Result<(), Refusal> {
    let region = Region::new(Buffers::LEN).map_err(Refusal::at("mapping memory for buffers"))?;
    let mut ring = Ring::new(Arc::new(region), 0)?;
    on_another_thread(move || {
        ring.enable()?;
        echo(&mut ring)?;
        ring.shut_down([TRIED])
    })
    .map_err(Refusal::at("trying a ring out"))
}

/// Sends a datagram and receives it, both through the ring.
fn echo(ring: &mut Ring) -> io::Result<()> {
    let (near, far) = UnixDatagram::pair()?;
    near.set_nonblocking(true)?;
    ring.receive(TRIED, near.as_raw_fd())?;
    let word = *b"ring";
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    let mut vector = libc::iovec { iov_base: word.as_ptr().cast_mut().cast(), iov_len: word.len() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    // SAFETY: header and vector live through the `turn` that submits.
    unsafe { ring.send_message(0, far.as_raw_fd(), &header)? };
    for _ in 0..8 {
        ring.turn(Duration::ZERO, Duration::from_millis(100))?;
        if !ring.take_unsent().is_empty() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match ring.next() {
            Some(Completion::Receive { last: Some(Last::Failed(error)), .. }) => {
                return Err(io::Error::from_raw_os_error(error));
            }
            Some(Completion::Receive { buffer: Some(_), last: None, .. }) => return Ok(()),
            _ => {}
        }
    }
    Err(io::ErrorKind::TimedOut.into())
}
