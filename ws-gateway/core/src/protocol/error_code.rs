//! The numbers by which the protocol names a refusal of a command.

/// Why a command was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// A fault of ours.
    Internal,
    /// Not somebody known.
    Unauthorized,
    /// No such channel.
    UnknownChannel,
    /// Not allowed.
    PermissionDenied,
    /// No such command.
    MethodNotFound,
    /// The client follows the channel already.
    AlreadySubscribed,
    /// As many as allowed.
    LimitExceeded,
    /// The command makes no sense.
    BadRequest,
    /// Not now, or not here.
    NotAvailable,
    /// The credential's time is over or it is spent: the SDKs ask for a new one.
    TokenExpired,
    /// Too many commands in a short time.
    TooManyRequests,
}

impl ErrorCode {
    /// The protocol's number.
    pub const fn number(self) -> u16 {
        match self {
            Self::Internal => 100,
            Self::Unauthorized => 101,
            Self::UnknownChannel => 102,
            Self::PermissionDenied => 103,
            Self::MethodNotFound => 104,
            Self::AlreadySubscribed => 105,
            Self::LimitExceeded => 106,
            Self::BadRequest => 107,
            Self::NotAvailable => 108,
            Self::TokenExpired => 109,
            Self::TooManyRequests => 111,
        }
    }

    /// The protocol's words, used where there is no better reason.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Internal => "internal server error",
            Self::Unauthorized => "unauthorized",
            Self::UnknownChannel => "unknown channel",
            Self::PermissionDenied => "permission denied",
            Self::MethodNotFound => "method not found",
            Self::AlreadySubscribed => "already subscribed",
            Self::LimitExceeded => "limit exceeded",
            Self::BadRequest => "bad request",
            Self::NotAvailable => "not available",
            Self::TokenExpired => "token expired",
            Self::TooManyRequests => "too many requests",
        }
    }

    /// Whether the same command may succeed later; the SDKs then try again by themselves.
    pub const fn is_temporary(self) -> bool {
        match self {
            Self::Internal | Self::NotAvailable | Self::TokenExpired | Self::TooManyRequests => true,
            Self::Unauthorized
            | Self::UnknownChannel
            | Self::PermissionDenied
            | Self::MethodNotFound
            | Self::AlreadySubscribed
            | Self::LimitExceeded
            | Self::BadRequest => false,
        }
    }
}
