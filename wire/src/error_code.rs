use std::fmt;

/// An error code with its recommended reason phrase (RFC 8489 §14.8).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(u16);

impl ErrorCode {
    /// RFC 8489 §14.8.
    pub const TRY_ALTERNATE: Self = Self(300);
    /// RFC 8489 §14.8.
    pub const BAD_REQUEST: Self = Self(400);
    /// RFC 8489 §14.8.
    pub const UNAUTHENTICATED: Self = Self(401);
    /// RFC 8656 §19.
    pub const FORBIDDEN: Self = Self(403);
    /// RFC 8016 §3.4.
    pub const MOBILITY_FORBIDDEN: Self = Self(405);
    /// RFC 8489 §14.8.
    pub const UNKNOWN_ATTRIBUTE: Self = Self(420);
    /// RFC 3489 §11.2.9; told to its clients only.
    pub const STALE_CREDENTIALS: Self = Self(430);
    /// RFC 3489 §11.2.9; told to its clients only.
    pub const MISSING_USERNAME: Self = Self(432);
    /// RFC 3489 §11.2.9; told to its clients only.
    pub const USE_TLS: Self = Self(433);
    /// RFC 8656 §19.
    pub const ALLOCATION_MISMATCH: Self = Self(437);
    /// RFC 8489 §14.8.
    pub const STALE_NONCE: Self = Self(438);
    /// RFC 8656 §19.
    pub const ADDRESS_FAMILY_NOT_SUPPORTED: Self = Self(440);
    /// RFC 8656 §19.
    pub const WRONG_CREDENTIALS: Self = Self(441);
    /// RFC 8656 §19.
    pub const UNSUPPORTED_TRANSPORT_PROTOCOL: Self = Self(442);
    /// RFC 8656 §19.
    pub const PEER_ADDRESS_FAMILY_MISMATCH: Self = Self(443);
    /// RFC 6062 §6.3.
    pub const CONNECTION_ALREADY_EXISTS: Self = Self(446);
    /// RFC 6062 §6.3.
    pub const CONNECTION_TIMEOUT_OR_FAILURE: Self = Self(447);
    /// RFC 8656 §19.
    pub const ALLOCATION_QUOTA_REACHED: Self = Self(486);
    /// RFC 8445 §7.3.1.1.
    pub const ROLE_CONFLICT: Self = Self(487);
    /// RFC 8489 §14.8.
    pub const SERVER_ERROR: Self = Self(500);
    /// RFC 8656 §19.
    pub const INSUFFICIENT_CAPACITY: Self = Self(508);
    /// RFC 3489 §11.2.9; told to its clients only.
    pub const GLOBAL_FAILURE: Self = Self(600);

    /// The code with this number; `None` outside 300..=699 (RFC 8489 §14.8).
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number >= 300 && number <= 699 { Some(Self(number)) } else { None }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The phrase that IANA's registry recommends; empty for codes that this crate does not name.
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
