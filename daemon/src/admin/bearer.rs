//! The bearer token of RFC 6750, compared in constant time.

use hyper::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::config::Secret;
use crate::log::RefusalReason;

/// Checks the token of a request, if one is required.
///
/// # Errors
/// The token is missing or wrong.
pub(super) fn authorize(headers: &HeaderMap, token: Option<&Secret>) -> Result<(), RefusalReason> {
    let Some(token) = token else { return Ok(()) };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, shown) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(shown)
    });
    let shown = shown.ok_or(RefusalReason::AdminNoToken)?;
    // The time that this takes reveals the length of the token only.
    if shown.ct_eq(token.expose().as_bytes()).into() {
        Ok(())
    } else {
        Err(RefusalReason::AdminWrongToken)
    }
}
