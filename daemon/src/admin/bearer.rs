//! The bearer token of RFC 6750, compared in constant time.

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq;

use crate::config::Secret;

/// Whether the request shows the token that is asked for, if one is.
pub(super) fn is_authorized(headers: &HeaderMap, token: Option<&Secret>) -> bool {
    let Some(token) = token else { return true };
    let shown = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, shown) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(shown)
    });
    // Only the token's length can be learned from the time that this takes.
    shown.is_some_and(|shown| shown.ct_eq(token.expose().as_bytes()).into())
}
