//! The block of memory that a worker receives into and sends from.
//!
//! It is mapped once and addressed by offsets. Pages that no packet has touched stay untouched:
//! sixty-four slots for the largest datagram are 4 MB of address space, and a few hundred kilobytes
//! of memory under voice traffic.
//!
//! Under load, each packet lies on a page or two of its own, far from the others. Huge pages save
//! the processor most of the address lookups that this costs, and take more memory. So the region
//! begins with small pages, and the loop decides when to change ([`Region::prefer`]).

use std::io;
use std::ptr::NonNull;

/// A half-open range of bytes of a worker's memory: a packet, a reply, or a part of one.
///
/// The loop makes spans; a service passes them on. A span is valid until the batch in which it was
/// made is flushed.
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

/// The size of a huge page in bytes (`PMD_SIZE` of x86-64, and of arm64 with pages of 4 KiB). Where
/// it differs, the kernel uses huge pages for fewer addresses of a region, or for none.
pub(crate) const HUGE_PAGE: usize = 2 << 20;

/// The size of pages to prefer for a part of a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageSize {
    Small,
    Huge,
}

/// Anonymous memory of a fixed size. One of a huge page or more begins at a multiple of
/// [`HUGE_PAGE`].
#[derive(Debug)]
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
    /// The kernel's mapping: the region, and the padding before and behind it.
    mapping: (NonNull<u8>, usize),
}

// SAFETY: the region owns its mapping, and nothing about the mapping is bound to the thread that
// made it.
unsafe impl Send for Region {}
// SAFETY: a shared `Region` gives out addresses only; code that reads or writes through them is
// responsible for exclusion.
unsafe impl Sync for Region {}

impl Region {
    /// A region of `len` bytes in small pages.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let alignment = if len < HUGE_PAGE { 1 } else { HUGE_PAGE };
        let mapped = len + alignment - 1;
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no
        // existing memory.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // A huge page would make two megabytes resident for one small packet. Only a hint: its
        // failure changes nothing else. SAFETY: the range is the mapping just made.
        unsafe { libc::madvise(base, mapped, libc::MADV_NOHUGEPAGE) };
        let start: NonNull<u8> = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let skipped = start.addr().get().next_multiple_of(alignment) - start.addr().get();
        // SAFETY: fewer bytes are skipped than were mapped beyond `len`.
        Ok(Self { base: unsafe { start.add(skipped) }, len, mapping: (start, mapped) })
    }

    /// Asks for pages of this size for what is written to `span` from now on; what was written
    /// before stays where it is, until the kernel moves it in its own time. The span begins and
    /// ends at multiples of [`HUGE_PAGE`]. It is a hint: where
    /// `/sys/kernel/mm/transparent_hugepage/enabled` is `never`, pages stay small.
    ///
    /// # Panics
    /// If the span does not lie in the region.
    pub(crate) fn prefer(&self, span: Span, pages: PageSize) {
        let advice = match pages {
            PageSize::Small => libc::MADV_NOHUGEPAGE,
            PageSize::Huge => libc::MADV_HUGEPAGE,
        };
        // SAFETY: `address` checked that the range lies in the mapping, and the advice leaves its
        // content as it is.
        unsafe { libc::madvise(self.address(span).as_ptr().cast(), span.len(), advice) };
    }

    /// Gives the memory of `span`, which begins and ends at multiples of [`HUGE_PAGE`], back to the
    /// kernel: what is written there next is written to pages of the size that is preferred.
    ///
    /// # Safety
    /// Nothing needs the bytes of `span` any more, and nothing uses them during the call: they read
    /// as zero afterwards.
    ///
    /// # Panics
    /// If the span does not lie in the region.
    pub(crate) unsafe fn give_back(&self, span: Span) {
        // SAFETY: `address` checked that the range lies in the mapping. The caller promises that
        // its content is of no use.
        unsafe {
            libc::madvise(self.address(span).as_ptr().cast(), span.len(), libc::MADV_DONTNEED)
        };
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
        // SAFETY: `address` checked the bounds, the mapping is initialised (zero pages), the caller
        // excludes writers.
        unsafe { std::slice::from_raw_parts(self.address(span).as_ptr(), span.len()) }
    }

    /// # Safety
    /// Nothing else may read or write the bytes of `span` while the slice lives.
    #[allow(clippy::mut_from_ref)] // raw memory: the caller promises exclusion, not the borrow
    pub(crate) unsafe fn bytes_mut(&self, span: Span) -> &mut [u8] {
        // SAFETY: as in `bytes`, and the caller promises that the access is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.address(span).as_ptr(), span.len()) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this length and is unmapped once.
        unsafe { libc::munmap(self.mapping.0.as_ptr().cast(), self.mapping.1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of the mapping that `address` lies in. The kernel may have joined it with a
    /// neighbour of the same flags.
    fn flags(address: usize) -> String {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in text.lines() {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            let number = |text: &str| usize::from_str_radix(text, 16).ok();
            if let Some((Some(start), Some(end))) =
                range.map(|(start, end)| (number(start), number(end)))
            {
                inside = (start..end).contains(&address);
            } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
                return flags.to_owned();
            }
        }
        String::new()
    }

    /// How many bytes of the region are resident, its neighbours not counted.
    fn resident(region: &Region) -> usize {
        // SAFETY: it reads a setting of the system.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let mut pages = vec![0; region.len.div_ceil(page)];
        // SAFETY: the range is the region's own mapping, which begins at a page, and there is a
        // byte for each of its pages.
        let result =
            unsafe { libc::mincore(region.base.as_ptr().cast(), region.len, pages.as_mut_ptr()) };
        assert_eq!(result, 0);
        pages.iter().filter(|page| **page & 1 == 1).count() * page
    }

    fn is(flags: &str, flag: &str) -> bool {
        flags.split_whitespace().any(|word| word == flag)
    }

    #[test]
    fn a_region_of_a_huge_page_or_more_is_aligned_to_it() {
        for len in [HUGE_PAGE, 3 * HUGE_PAGE + 5] {
            let regions: Vec<Region> = (0..4).map(|_| Region::new(len).unwrap()).collect();
            assert!(
                regions.iter().all(|region| region.base.addr().get().is_multiple_of(HUGE_PAGE)),
                "{regions:?}"
            );
        }
        // A small one is not padded to one.
        assert_eq!(Region::new(4096).unwrap().mapping.1, 4096);
    }

    #[test]
    fn a_part_that_is_given_back_is_empty_and_its_neighbours_are_kept() {
        let region = Region::new(3 * HUGE_PAGE).unwrap();
        let page = |index: usize| Span { start: index * HUGE_PAGE, end: (index + 1) * HUGE_PAGE };
        for index in 0..3 {
            // SAFETY: the region is this test's own.
            let bytes = unsafe { region.bytes_mut(page(index)) };
            bytes[..100].fill(7);
        }
        // SAFETY: as above.
        unsafe { region.give_back(page(1)) };
        // SAFETY: as above.
        let first = |index| unsafe { region.bytes(page(index)) }[0];
        assert_eq!([first(0), first(1), first(2)], [7, 0, 7]);
    }

    #[test]
    fn pages_are_small_until_huge_ones_are_wanted_and_again_afterwards() {
        let region = Region::new(2 * HUGE_PAGE).unwrap();
        let (all, address) = (Span { start: 0, end: 2 * HUGE_PAGE }, region.base.addr().get());
        let touch = || {
            // SAFETY: the region is this test's own.
            let bytes = unsafe { region.bytes_mut(Span { start: 0, end: 1 }) };
            bytes[0] = 1;
            (flags(address), resident(&region))
        };
        let (flags, bytes) = touch();
        assert!(is(&flags, "nh") && bytes <= 64 << 10, "{flags} {bytes}");
        region.prefer(all, PageSize::Huge);
        // SAFETY: as above.
        unsafe { region.give_back(all) };
        let (flags, bytes) = touch();
        assert!(is(&flags, "hg"), "{flags}");
        let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled")
            .unwrap_or_default();
        // Where it is allowed, the kernel has a huge page to give, or it has none.
        let most = if setting.contains("[never]") { 64 << 10 } else { HUGE_PAGE };
        assert!((1..=most).contains(&bytes), "{bytes}");
        region.prefer(all, PageSize::Small);
        // SAFETY: as above.
        unsafe { region.give_back(all) };
        let (flags, bytes) = touch();
        assert!(is(&flags, "nh") && bytes <= 64 << 10, "{flags} {bytes}");
    }
}
