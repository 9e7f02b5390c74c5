use causeway_wire::ErrorCode;

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401 with REALM and a new NONCE: nothing was shown. A client's first request is like this,
    /// and is no failure.
    Unauthenticated,
    /// 400, without any of them: something that belongs to the proof is missing or malformed.
    BadRequest,
    /// 438 with REALM and a new NONCE: the nonce is not ours, not this client's, or too old, or
    /// what it offers has changed since.
    StaleNonce,
    /// 400: what the request says of password algorithms is not what it was offered: somebody on
    /// the way has changed that, or the client errs.
    AlgorithmMismatch,
    /// 401 with REALM and a new NONCE: there is no such user.
    UnknownUser,
    /// 401 with REALM and a new NONCE: there is no such user, and the name does not have the form
    /// of those that the REST secrets mint.
    NoRestName,
    /// 401 with REALM and a new NONCE: the password is right, but the user has expired (H16).
    Expired,
    /// 401 with REALM and a new NONCE: the password is right, but the user's expiry is no seconds
    /// of Unix time, as where a service mints milliseconds (H49).
    ExpiryNotSeconds,
    /// 401 with REALM and a new NONCE: the integrity is wrong, and so is the password.
    WrongPassword,
}

impl Refusal {
    /// Those that [`is_failure`](Self::is_failure) is true of.
    pub const FAILURES: [Self; 5] = [
        Self::UnknownUser,
        Self::NoRestName,
        Self::Expired,
        Self::ExpiryNotSeconds,
        Self::WrongPassword,
    ];

    /// The error code of the answer.
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

    /// Its name as logs and metrics show it.
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

    /// Whether somebody showed credentials that are wrong: the event that a firewall may act on
    /// (H42).
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

    /// Whether the nonce was good all the same, so that the request's source address is no forgery
    /// (H11).
    #[must_use]
    pub const fn has_proven_address(self) -> bool {
        matches!(self, Self::AlgorithmMismatch) || self.is_failure()
    }
}
