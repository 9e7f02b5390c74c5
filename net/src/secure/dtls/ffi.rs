//! Functions of OpenSSL that the crate `openssl` lacks. All unsafe code of this folder is here.

use std::ptr;
use std::time::Duration;

use foreign_types::ForeignTypeRef;
use libc::{c_int, c_long};
use openssl::error::ErrorStack;
use openssl::pkey::{PKeyRef, Private};
use openssl::ssl::{SslContextBuilder, SslRef, SslStream};
use openssl::stack::StackRef;
use openssl::x509::{X509, X509Ref};
use openssl_sys as ffi;

use super::pipe::Pipe;

/// A socket address of OpenSSL's.
enum BioAddress {}

unsafe extern "C" {
    fn DTLSv1_listen(ssl: *mut ffi::SSL, client: *mut BioAddress) -> c_int;
    fn BIO_ADDR_new() -> *mut BioAddress;
    fn BIO_ADDR_free(address: *mut BioAddress);
    fn SSL_has_pending(ssl: *const ffi::SSL) -> c_int;
    fn SSL_CTX_use_cert_and_key(
        context: *mut ffi::SSL_CTX,
        leaf: *mut ffi::X509,
        key: *mut ffi::EVP_PKEY,
        issuers: *mut ffi::stack_st_X509,
        replace: c_int,
    ) -> c_int;
}

// The macros DTLSv1_get_timeout and DTLSv1_handle_timeout of openssl/ssl.h.
const DTLS_CTRL_GET_TIMEOUT: c_int = 73;
const DTLS_CTRL_HANDLE_TIMEOUT: c_int = 74;
const NO_ARGUMENT: c_long = 0;

/// Reads a ClientHello with its cookie, from which the handshake goes on: message numbers begin
/// with 1, and the first ClientHello is no part of the transcript. Whether there was one.
pub(super) fn listen(stream: &mut SslStream<Pipe>) -> bool {
    // SAFETY: plain allocation.
    let address = unsafe { BIO_ADDR_new() };
    if address.is_null() {
        return false;
    }
    // SAFETY: both objects are alive. The address is only cleared: a pipe has none.
    let listened = unsafe { DTLSv1_listen(stream.ssl().as_ptr(), address) };
    // SAFETY: it was allocated above, and nothing keeps a reference to it.
    unsafe { BIO_ADDR_free(address) };
    listened == 1
}

/// How long until the last flight is due again; `None`: it is not.
pub(super) fn time_left(ssl: &SslRef) -> Option<Duration> {
    let mut left = libc::timeval { tv_sec: 0, tv_usec: 0 };
    // SAFETY: the object is alive, and the command writes one `timeval`.
    let running = unsafe {
        ffi::SSL_ctrl(ssl.as_ptr(), DTLS_CTRL_GET_TIMEOUT, NO_ARGUMENT, (&raw mut left).cast())
    };
    let micros = u32::try_from(left.tv_usec).unwrap_or(0);
    (running == 1).then(|| Duration::new(u64::try_from(left.tv_sec).unwrap_or(0), micros * 1_000))
}

/// Sends the last flight again if it is due; `false`: that was done too often.
pub(super) fn resend(stream: &mut SslStream<Pipe>) -> bool {
    // SAFETY: the object is alive, and the command takes no argument.
    unsafe {
        ffi::SSL_ctrl(stream.ssl().as_ptr(), DTLS_CTRL_HANDLE_TIMEOUT, NO_ARGUMENT, ptr::null_mut())
            >= 0
    }
}

/// Whether the datagram that was read last holds more records.
pub(super) fn has_pending(ssl: &SslRef) -> bool {
    // SAFETY: the object is alive, and the call does not change it.
    unsafe { SSL_has_pending(ssl.as_ptr()) == 1 }
}

/// Gives a context a leaf with its key and its issuers. A context has one leaf for each kind of
/// key, each with its own chain.
pub(super) fn add_identity(
    builder: &mut SslContextBuilder,
    leaf: &X509Ref,
    key: &PKeyRef<Private>,
    issuers: &StackRef<X509>,
) -> Result<(), ErrorStack> {
    // SAFETY: all four objects are alive during the call, which takes references of its own to what
    // it keeps.
    let taken = unsafe {
        SSL_CTX_use_cert_and_key(builder.as_ptr(), leaf.as_ptr(), key.as_ptr(), issuers.as_ptr(), 1)
    };
    if taken == 1 { builder.check_private_key() } else { Err(ErrorStack::get()) }
}
