//! The one block of memory that a worker receives into and sends from.
//!
//! It is mapped once and addressed by offsets. Pages that no packet has touched stay untouched: sixty-four slots for the largest
//! datagram are 4 MB of address space, and a few hundred kilobytes of memory under voice traffic.

use std::io;
use std::ptr::NonNull;

/// A half-open range of bytes of a worker's memory, in which its packets and replies lie.
///
/// The loop makes them; a service passes them on. They stay valid until the batch in which they were made has been flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// How many bytes the span covers.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Whether the span covers nothing (an empty datagram is still a datagram).
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// Anonymous memory of a fixed size.
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the region owns its mapping, and nothing about the mapping is bound to the thread that made it.
unsafe impl Send for Region {}
// SAFETY: a shared `Region` gives out addresses only; who reads or writes through them answers for exclusion.
unsafe impl Sync for Region {}

impl Region {
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no existing memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A huge page would make two megabytes resident for one small packet. Only a hint: its failure changes nothing else.
        // SAFETY: the range is the mapping just made.
        unsafe { libc::madvise(base, len, libc::MADV_NOHUGEPAGE) };
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, len })
    }

    /// The address of `span`'s first byte.
    ///
    /// # Panics
    /// If the span does not lie in the region: a span of another worker.
    pub(crate) fn address(&self, span: Span) -> NonNull<u8> {
        assert!(span.start <= span.end && span.end <= self.len, "a span of this region");
        // SAFETY: the offset was just checked to lie in (or one past the end of) the mapping.
        unsafe { self.base.add(span.start) }
    }

    /// # Safety
    /// Nothing may write the bytes of `span` while the slice lives.
    pub(crate) unsafe fn bytes(&self, span: Span) -> &[u8] {
        // SAFETY: `address` checked the bounds, the mapping is initialised (zero pages), the caller excludes writers.
        unsafe { std::slice::from_raw_parts(self.address(span).as_ptr(), span.len()) }
    }

    /// # Safety
    /// Nothing else may read or write the bytes of `span` while the slice lives.
    #[allow(clippy::mut_from_ref)] // the region is raw memory; exclusion is the caller's promise, not the borrow's
    pub(crate) unsafe fn bytes_mut(&self, span: Span) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the caller promises that the access is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.address(span).as_ptr(), span.len()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length and is unmapped once.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}
