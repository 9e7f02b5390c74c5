//! The error codes with the reason phrases of IANA's registry.

use std::fmt;

/// An error code with its recommended reason phrase (RFC 8489 §14.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(u16);

impl ErrorCode {
    /// 300: the client should try an alternate server (RFC 8489 §14.8).
    pub const TRY_ALTERNATE: Self = Self(300);
    /// 400: the request is malformed (RFC 8489 §14.8).
    pub const BAD_REQUEST: Self = Self(400);
    /// 401: the request lacks correct credentials (RFC 8489 §14.8).
    pub const UNAUTHENTICATED: Self = Self(401);
    /// 403: policy forbids the request (RFC 8656 §19).
    pub const FORBIDDEN: Self = Self(403);
    /// 405: mobility is not allowed (RFC 8016 §3.4).
    pub const MOBILITY_FORBIDDEN: Self = Self(405);
    /// 420: an unknown attribute requires comprehension (RFC 8489 §14.8).
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420);
    /// 430, sent to clients of RFC 3489 only (RFC 3489 §11.2.9).
    pub const STALE_CREDENTIALS: Self = Self(430);
    /// 432, sent to clients of RFC 3489 only (RFC 3489 §11.2.9).
    pub const MISSING_USERNAME: Self = Self(432);
    /// 433, sent to clients of RFC 3489 only (RFC 3489 §11.2.9).
    pub const USE_TLS: Self = Self(433);
    /// 437: the 5-tuple has no allocation, or already has one (RFC 8656 §19).
    pub const ALLOCATION_MISMATCH: Self = Self(437);
    /// 438: the nonce is no longer valid (RFC 8489 §14.8).
    pub const STALE_NONCE: Self = Self(438);
    /// 440: the server does not relay this address family (RFC 8656 §19).
    pub const ADDRESS_FAMILY_NOT_SUPPORTED: Self = Self(440);
    /// 441: not the credentials that made the allocation (RFC 8656 §19).
    pub const WRONG_CREDENTIALS: Self = Self(441);
    /// 442: the server does not relay this protocol (RFC 8656 §19).
    pub const UNSUPPORTED_TRANSPORT_PROTOCOL: Self = Self(442);
    /// 443: the peer's family is not that of a relayed address (RFC 8656 §19).
    pub const PEER_ADDRESS_FAMILY_MISMATCH: Self = Self(443);
    /// 446: the peer connection already exists (RFC 6062 §6.3).
    pub const CONNECTION_ALREADY_EXISTS: Self = Self(446);
    /// 447: the peer connection failed or timed out (RFC 6062 §6.3).
    pub const CONNECTION_TIMEOUT_OR_FAILURE: Self = Self(447);
    /// 486: the user has as many allocations as allowed (RFC 8656 §19).
    pub const ALLOCATION_QUOTA_REACHED: Self = Self(486);
    /// 487: both ICE agents claim the same role (RFC 8445 §7.3.1.1).
    pub const ROLE_CONFLICT: Self = Self(487);
    /// 500: a temporary error of the server (RFC 8489 §14.8).
    pub const SERVER_ERROR: Self = Self(500);
    /// 508: the server has no capacity left (RFC 8656 §19).
    pub const INSUFFICIENT_CAPACITY: Self = Self(508);
    /// 600, sent to clients of RFC 3489 only (RFC 3489 §11.2.9).
    pub const GLOBAL_FAILURE: Self = Self(600);

    /// The code with this number; `None` outside 300..=699 (RFC 8489 §14.8).
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number >= 300 && number <= 699 { Some(Self(number)) } else { None }
    }

    /// The number, 300 to 699.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The reason phrase that IANA's registry recommends; empty for codes that this crate does not
    /// name.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self.0 {
            300 => "Try Alternate",
            400 => "Bad Request",
            401 => "Unauthenticated",
            403 => "Forbidden",
            405 => "Mobility Forbidden",
            420 => "Unknown Attribute",
            430 => "Stale Credentials",
            432 => "Missing Username",
            433 => "Use TLS",
            437 => "Allocation Mismatch",
            438 => "Stale Nonce",
            440 => "Address Family not Supported",
            441 => "Wrong Credentials",
            442 => "Unsupported Transport Protocol",
            443 => "Peer Address Family Mismatch",
            446 => "Connection Already Exists",
            447 => "Connection Timeout or Failure",
            486 => "Allocation Quota Reached",
            487 => "Role Conflict",
            500 => "Server Error",
            508 => "Insufficient Capacity",
            600 => "Global Failure",
            _ => "",
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            "" => write!(f, "{}", self.0),
            reason => write!(f, "{} {reason}", self.0),
        }
    }
}
