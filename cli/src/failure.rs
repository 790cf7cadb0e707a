//! What can go wrong, what to do next, and the exit code that says it.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line, the environment or a file it names is wrong.
    #[error("{0}")]
    Usage(String),
    /// No answer.
    #[error("no answer from the authority at {endpoint}: {why}")]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// What the attempt ended with.
        why: String,
    },
    /// The authority answered with an error.
    #[error("{}", refusal_text(.0))]
    Refused(Refusal),
    /// The authority answered, and the answer is no; it was printed.
    #[error("denied")]
    Denied,
    /// The log cannot be followed from where it was asked.
    #[error("{what}")]
    Log {
        /// What is wrong with it.
        what: String,
        /// What to do next.
        next: String,
    },
    /// A revocation is committed, and whether it is enforced everywhere is not known yet.
    #[error("{revision} is committed and not known to be enforced everywhere yet; it certainly is in {certain_in}")]
    NotEnforced {
        /// Which.
        revision: String,
        /// When it is enforced by time.
        certain_in: String,
    },
    /// Standard output is gone.
    #[error("cannot write the answer: {0}")]
    Output(#[source] io::Error),
}

/// An error that the authority answered with.
#[derive(Debug)]
pub(crate) struct Refusal {
    code: Code,
    reason: Option<String>,
    message: String,
}

impl Refusal {
    /// Its reason, for programs.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What the authority said.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether it is about who asks or where, and so about all that it would ask.
    pub(crate) fn is_of_caller_or_tenant(&self) -> bool {
        let of_the_caller = matches!(self.code, Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented);
        of_the_caller || matches!(self.reason(), Some("TENANT_NOT_FOUND" | "TENANT_SUSPENDED"))
    }
}

fn refusal_text(refusal: &Refusal) -> String {
    match &refusal.reason {
        Some(reason) => format!("the authority refused: {} ({reason})", refusal.message),
        None => format!("the authority refused: {} ({})", refusal.message, code_word(refusal.code)),
    }
}

impl Failure {
    /// Wrong usage.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::Usage(what.into())
    }

    /// From what a call ended with. A transport that failed looks like a status too.
    pub(crate) fn from_status(endpoint: &str, status: &Status) -> Self {
        let reason = status.get_error_details().error_info().map(|info| info.reason.clone());
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            message => message.to_owned(),
        };
        let no_answer = match status.code() {
            Code::Unavailable | Code::DeadlineExceeded => true,
            // A broken connection, or our own deadline: an authority gives a reason with these.
            Code::Unknown | Code::Cancelled => reason.is_none(),
            // What was made here has a cause: the other side does not speak gRPC, or broke off. What was received has none.
            _ => status.source().is_some(),
        };
        if no_answer {
            let why = match (reason, root_cause(status)) {
                (Some(reason), _) => format!("{message} ({reason})"),
                (None, Some(cause)) if cause != message => format!("{message}: {cause}"),
                (None, _) => message,
            };
            return Self::Unreachable { endpoint: endpoint.to_owned(), why };
        }
        Self::Refused(Refusal { code: status.code(), reason, message })
    }

    /// 0 done (or the reader of a pipe left), 1 refused or denied, 2 wrong usage, 3 authority not reached, 4 not known to be enforced.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Refused(_) | Self::Denied | Self::Log { .. } | Self::Output(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::NotEnforced { .. } => 4,
        })
    }

    /// Nothing is to be said: the answer said it, or nobody listens.
    pub(crate) fn is_silent(&self) -> bool {
        match self {
            Self::Denied => true,
            Self::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            Self::Usage(_)
            | Self::Unreachable { .. }
            | Self::Refused(_)
            | Self::Log { .. }
            | Self::NotEnforced { .. } => false,
        }
    }

    /// What to do next.
    pub(crate) fn next_step(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "start the authority, or name its gRPC address with --endpoint or PORTCULLIS_ENDPOINT (https:// where it \
                 speaks TLS); give it longer with --timeout"
                    .to_owned(),
            ),
            Self::Refused(refusal) => next_after(refusal.code).map(str::to_owned),
            Self::Log { next, .. } => Some(next.clone()),
            Self::NotEnforced { revision, .. } => Some(format!("ask again: portcullis receipt {revision} --wait")),
            // Wrong usage says itself what would be right.
            Self::Usage(_) | Self::Denied | Self::Output(_) => None,
        }
    }

    /// The same for programs, on one line.
    pub(crate) fn json(&self) -> Value {
        let (kind, code, reason) = match self {
            Self::Usage(_) => ("usage", None, None),
            Self::Unreachable { .. } => ("unreachable", None, None),
            Self::Refused(refusal) => ("refused", Some(code_word(refusal.code)), refusal.reason.as_deref()),
            Self::Denied => ("denied", None, None),
            Self::Log { .. } => ("log", None, None),
            Self::NotEnforced { .. } => ("not_enforced", None, None),
            Self::Output(_) => ("output", None, None),
        };
        let error = json!({"kind": kind, "code": code, "reason": reason, "message": self.to_string(),
            "next": self.next_step()});
        json!({ "error": error })
    }
}

/// What a transport's error began with: the errors above it say no more than that there is one.
fn root_cause(status: &Status) -> Option<String> {
    let mut cause = status.source()?;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    Some(cause.to_string())
}

/// The code's name in the gRPC specification, in lower case.
const fn code_word(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

const fn next_after(code: Code) -> Option<&'static str> {
    match code {
        Code::Unauthenticated => Some(
            "use a key that is not revoked or expired: --api-key-file; the authority wrote the administrator's to \
             admin.key in its data directory",
        ),
        Code::PermissionDenied => Some(
            "use a key with the scope that the message names; only services of the tenant `system` act on other tenants",
        ),
        Code::NotFound => Some("look it up: tenant list, identity list, session list, api-key list"),
        Code::AlreadyExists => Some("use the one that exists, or another name"),
        Code::InvalidArgument => Some("correct what the message names; --help shows the forms"),
        Code::FailedPrecondition => {
            Some("change what the message names; identity show and session list tell how things stand")
        }
        Code::ResourceExhausted | Code::Aborted => Some("wait a moment and try again"),
        Code::Unimplemented => Some("the authority is of another version; compare with portcullis --version"),
        Code::OutOfRange => Some("read the log from its oldest entry: log tail --from-start"),
        Code::Unknown => Some("look whether the change was made before trying again"),
        Code::Internal | Code::DataLoss => Some("look at the authority's log"),
        Code::Ok | Code::Cancelled | Code::DeadlineExceeded | Code::Unavailable => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn a_reason_from_the_authority_is_shown() {
        let details = ErrorDetails::with_error_info("SCOPE_MISSING", "portcullis", HashMap::new());
        let status = Status::with_error_details(Code::PermissionDenied, "the key lacks the scope revoke", details);
        let failure = Failure::from_status("http://127.0.0.1:1", &status);
        assert_eq!(failure.to_string(), "the authority refused: the key lacks the scope revoke (SCOPE_MISSING)");
        assert_eq!(failure.exit_code(), ExitCode::from(1));
        assert_eq!(failure.json()["error"]["reason"], "SCOPE_MISSING");
    }

    #[test]
    fn no_answer_is_told_apart_from_a_refusal() {
        for code in [Code::Unavailable, Code::DeadlineExceeded, Code::Unknown, Code::Cancelled] {
            let failure = Failure::from_status("http://127.0.0.1:1", &Status::new(code, "gone"));
            assert_eq!(failure.exit_code(), ExitCode::from(3), "{code:?}");
        }
        for code in [Code::NotFound, Code::Internal, Code::Unauthenticated, Code::ResourceExhausted] {
            let failure = Failure::from_status("http://127.0.0.1:1", &Status::new(code, "no"));
            assert_eq!(failure.exit_code(), ExitCode::from(1), "{code:?}");
        }
    }

    #[test]
    fn what_broke_on_the_way_is_no_refusal_whatever_its_code() {
        for code in [Code::Internal, Code::PermissionDenied, Code::ResourceExhausted, Code::Unknown] {
            let mut status = Status::new(code, "protocol error");
            status.set_source(Arc::new(io::Error::other("a frame of an invalid size")));
            let failure = Failure::from_status("http://127.0.0.1:1", &status);
            assert_eq!(failure.exit_code(), ExitCode::from(3), "{code:?}");
            assert!(failure.to_string().ends_with("protocol error: a frame of an invalid size"), "{failure}");
        }
    }

    #[test]
    fn a_pipe_whose_reader_left_is_no_failure() {
        let failure = Failure::Output(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_silent());
        assert_eq!(failure.exit_code(), ExitCode::SUCCESS);
    }
}
