//! Giving back the memory pages that only the start of the process needed.

use std::ffi::{CStr, c_int, c_void};

/// Has the kernel take back the read-only pages of the program and its libraries. Most of them
/// served the start alone: reading arguments and configuration, linking. A page that is needed
/// again comes back from the page cache on its first use.
///
/// Call it once, when everything is set up. It is a hint: where the kernel does not follow it,
/// more memory stays resident.
pub fn release_startup_pages() {
    // SAFETY: the callback keeps nothing of what it is shown, and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(release), std::ptr::null_mut()) };
}

unsafe extern "C" fn release(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the linker shows a valid object for the time of this call.
    let object = unsafe { &*object };
    if object.dlpi_phdr.is_null() || !is_from_file(object) {
        return 0;
    }
    // SAFETY: the linker says that the array has this many headers.
    let segments =
        unsafe { std::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    // SAFETY: `sysconf` takes no pointer and reads a constant.
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
        // SAFETY: whole pages of a segment that is mapped from a file and never written: a later
        // read of them reads the file again. The linker keeps the object loaded during this call.
        unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTNEED) };
    }
    0
}

/// Whether the object is mapped from a file. The program itself has an empty name here; what the
/// kernel maps of its own (the vDSO) has a name without a path.
fn is_from_file(object: &libc::dl_phdr_info) -> bool {
    if object.dlpi_name.is_null() {
        return true;
    }
    // SAFETY: the linker's name of an object ends with a zero byte.
    let name = unsafe { CStr::from_ptr(object.dlpi_name) }.to_bytes();
    name.is_empty() || name.starts_with(b"/")
}
