//! Memory that only the start needed.

use std::ffi::{CStr, c_int, c_void};

/// Has the kernel take back the pages of the program and its libraries that nobody writes. Most of
/// them were for the start alone: reading arguments and configuration, linking. Those that are
/// needed come back from the page cache with their first use.
///
/// Worth its while once, when all is set up. A hint: where the kernel does not follow it, more
/// memory stays resident.
pub fn forget_start() {
    // SAFETY: the callback keeps nothing of what it is shown, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut()) };
}

unsafe extern "C" fn forget(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the linker shows a valid object for the time of this call.
    let object = unsafe { &*object };
    if object.dlpi_phdr.is_null() || !is_of_a_file(object) {
        return 0;
    }
    // SAFETY: so many headers stand there.
    let segments =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    // SAFETY: a question about a constant.
    let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(0);
    if !page.is_power_of_two() {
        return 0;
    }
    for segment in segments
        .iter()
        .filter(|segment| segment.p_type == libc::PT_LOAD && segment.p_flags & libc::PF_W == 0)
    {
        let first = object.dlpi_addr as usize + segment.p_vaddr as usize;
        let (start, end) =
            (first & !(page - 1), (first + segment.p_memsz as usize).next_multiple_of(page));
        // SAFETY: whole pages of a segment that is mapped from a file and never written: what is
        // read there again is read from the file. The linker holds the object loaded during
        // this call.
        unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
    }
    0
}

/// The program itself has no name here; what the kernel maps of its own has one without a path.
fn is_of_a_file(object: &libc::dl_phdr_info) -> bool {
    if object.dlpi_name.is_null() {
        return true;
    }
    // SAFETY: the linker's name of an object ends with a zero byte.
    let name = unsafe { CStr::from_ptr(object.dlpi_name) }.to_bytes();
    name.is_empty() || name.starts_with(b"/")
}
