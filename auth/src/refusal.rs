//! Why a request is refused, with the error code and the name in logs and metrics.

use causeway_wire::ErrorCode;

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401 with REALM and a new NONCE: the request has no credentials. This is a client's first
    /// request, and no failure.
    Unauthenticated,
    /// 400, without REALM and NONCE: an attribute of the credentials is missing or malformed.
    BadRequest,
    /// 438 with REALM and a new NONCE: the nonce is not ours, not this client's, or expired, or the
    /// offers have changed since.
    StaleNonce,
    /// 400: the password algorithms in the request differ from the offer: they were changed on the
    /// way, or the client is wrong.
    AlgorithmMismatch,
    /// 401 with REALM and a new NONCE: the user does not exist.
    UnknownUser,
    /// 401 with REALM and a new NONCE: the user does not exist, and the name does not have the form
    /// of REST credentials.
    NoRestName,
    /// 401 with REALM and a new NONCE: the password is correct, but the user has expired (H16).
    Expired,
    /// 401 with REALM and a new NONCE: the password is correct, but the expiry is not in Unix
    /// seconds, as when a service mints milliseconds (H49).
    ExpiryNotSeconds,
    /// 401 with REALM and a new NONCE: the integrity, and so the password, is wrong.
    WrongPassword,
}

impl Refusal {
    /// The refusals for which [`is_failure`](Self::is_failure) is true.
    pub const FAILURES: [Self; 5] = [
        Self::UnknownUser,
        Self::NoRestName,
        Self::Expired,
        Self::ExpiryNotSeconds,
        Self::WrongPassword,
    ];

    /// The error code to answer with.
    #[must_use]
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::Unauthenticated
            | Self::UnknownUser
            | Self::NoRestName
            | Self::Expired
            | Self::ExpiryNotSeconds
            | Self::WrongPassword => ErrorCode::UNAUTHENTICATED,
            Self::BadRequest | Self::AlgorithmMismatch => ErrorCode::BAD_REQUEST,
            Self::StaleNonce => ErrorCode::STALE_NONCE,
        }
    }

    /// The name in logs and metrics.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unauthenticated => "no-credentials",
            Self::BadRequest => "incomplete-credentials",
            Self::StaleNonce => "stale-nonce",
            Self::AlgorithmMismatch => "password-algorithm-mismatch",
            Self::UnknownUser => "unknown-user",
            Self::NoRestName => "no-rest-name",
            Self::Expired => "expired",
            Self::ExpiryNotSeconds => "expiry-not-in-seconds",
            Self::WrongPassword => "wrong-password",
        }
    }

    /// Whether the request had wrong credentials: the event that a firewall may act on (H42).
    #[must_use]
    pub const fn is_failure(self) -> bool {
        matches!(
            self,
            Self::UnknownUser
                | Self::NoRestName
                | Self::Expired
                | Self::ExpiryNotSeconds
                | Self::WrongPassword
        )
    }

    /// Whether the nonce was valid nevertheless, which proves the request's source address (H11).
    #[must_use]
    pub const fn has_proven_address(self) -> bool {
        matches!(self, Self::AlgorithmMismatch) || self.is_failure()
    }
}
