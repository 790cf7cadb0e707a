//! Bodies: JSON, and a form at the token endpoint, capped, and never repeated in an error.
//!
//! Guarantees: a member that is missing or wrong is named by a name of ours, and nothing that was sent is repeated.
//! Refuses parameters in the URL beside JSON: secrets in URLs are written down on their way; and JSON that is no object.

use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::response::IntoResponse as _;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::problem::Problem;

macro_rules! members {
    ($($name:literal),* $(,)?) => {
        [$(Member {
            name: $name,
            missing: concat!("`", $name, "` is missing."),
            wrong: concat!("`", $name, "` is not what this route takes there."),
        }),*]
    };
}

/// Every member of every body, and what is said of it.
const MEMBERS: [Member; 20] = members![
    "audience",
    "client_id",
    "continuation",
    "current_password",
    "device",
    "device_token",
    "grant_type",
    "id",
    "jwk",
    "label",
    "mode",
    "name",
    "new_password",
    "password",
    "proof",
    "refresh_token",
    "remember_device",
    "reset_token",
    "tenant",
    "totp_code",
];

struct Member {
    name: &'static str,
    missing: &'static str,
    wrong: &'static str,
}

/// The largest body that any route takes.
pub(super) const MOST_BYTES: usize = 16 * 1024;

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        nothing_in_url(&request)?;
        if !is_json(request.headers()) {
            return Err(Problem::UnsupportedMediaType);
        }
        object(&whole(request, state).await?).map(Self)
    }
}

/// Whether a body is declared as JSON (RFC 8259, 11; RFC 6839, 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

/// Reads an object.
fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // A list of the members' values, in some order, would do as well.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(Problem::InvalidRequest);
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| wrong_member(&error))?;
    reader.end().map_err(|_| Problem::InvalidRequest)?;
    Ok(read)
}

/// Which member it is. What the parser says of it holds what was sent, and is not passed on.
fn wrong_member(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    if !error.inner().is_data() {
        return Problem::InvalidRequest;
    }
    let said = error.inner().to_string();
    if said.starts_with("unknown field ") {
        return Problem::InvalidField("There is a member that this route does not take.");
    }
    let of = |name: &str| MEMBERS.iter().find(|member| member.name == name);
    let missing = said.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    if let Some(member) = missing.and_then(of) {
        return Problem::InvalidField(member.missing);
    }
    match error.path().iter().next() {
        Some(Segment::Map { key }) => {
            of(key).map_or(Problem::InvalidRequest, |member| Problem::InvalidField(member.wrong))
        }
        Some(Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown) | None => Problem::InvalidRequest,
    }
}

/// No declared type, no body.
impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Option<Self>, Problem> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            nothing_in_url(&request)?;
            return Ok(None);
        }
        <Self as FromRequest<S>>::from_request(request, state).await.map(Some)
    }
}

fn nothing_in_url(request: &Request) -> Result<(), Problem> {
    request.uri().query().map_or(Ok(()), |_| Err(Problem::ParametersInUrl))
}

/// A body byte for byte.
pub(super) async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(unread)
}

fn unread(rejection: BytesRejection) -> Problem {
    if rejection.into_response().status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::TooLarge
    } else {
        Problem::InvalidRequest
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;
    use serde_json::Value;

    use super::super::openapi;
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "what is read of it is nothing")]
    struct Asked {
        name: String,
        mode: Mode,
        #[serde(default)]
        device: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Mode {
        Token,
    }

    fn refused(body: &str) -> Problem {
        object::<Asked>(body.as_bytes()).expect_err(body)
    }

    #[test]
    fn a_member_that_is_missing_or_wrong_is_named_and_its_value_is_not_repeated() {
        for (body, says) in [
            (r#"{"name":"hunter2"}"#, "`mode` is missing."),
            (r#"{"mode":"token"}"#, "`name` is missing."),
            (r#"{"name":"a","mode":"hunter2"}"#, "`mode` is not what this route takes there."),
            (r#"{"name":2,"mode":"token"}"#, "`name` is not what this route takes there."),
            (r#"{"name":"a","mode":"token","device":["hunter2"]}"#, "`device` is not what this route takes there."),
            (r#"{"name":"a","mode":"token","hunter2":1}"#, "There is a member that this route does not take."),
        ] {
            assert_eq!(refused(body), Problem::InvalidField(says), "{body}");
        }
        let read: Asked = object(br#" {"name":"a","mode":"token"} "#).expect("it is one");
        assert_eq!(read.name, "a");
    }

    #[test]
    fn what_is_no_object_is_refused_whatever_it_holds() {
        for body in [
            "",
            "null",
            r#"["a","token",null]"#,
            " [\"a\",\"token\"]",
            r#"{"name":"a","mode":"token"}{}"#,
            r#"{"name":"a""#,
            r#""token""#,
        ] {
            assert_eq!(refused(body), Problem::InvalidRequest, "{body}");
        }
    }

    #[test]
    fn json_is_declared_as_such() {
        let declared =
            |text: &str| is_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, text.parse().expect("text"))]));
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/vnd.x+json"] {
            assert!(declared(good), "{good}");
        }
        assert!(!declared("text/json") && !declared("application/jsonx") && !is_json(&HeaderMap::new()));
    }

    /// The properties of every body that the documentation describes, whatever they are wrapped in.
    fn properties(schema: &Value, all: &Value, into: &mut BTreeSet<String>) {
        let schema = match schema["$ref"].as_str() {
            Some(pointer) => all.pointer(pointer.trim_start_matches('#')).expect("it is there"),
            None => schema,
        };
        into.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
        for part in ["allOf", "oneOf", "anyOf"].iter().filter_map(|part| schema[part].as_array()).flatten() {
            properties(part, all, into);
        }
    }

    #[test]
    fn every_member_that_is_documented_can_be_named() {
        let document: Value = serde_json::from_str(openapi::DOCUMENT).expect("JSON");
        let mut documented = BTreeSet::new();
        for operation in
            document["paths"].as_object().expect("paths").values().flat_map(|item| item.as_object()).flatten()
        {
            properties(
                &operation.1["requestBody"]["content"]["application/json"]["schema"],
                &document,
                &mut documented,
            );
        }
        let known: BTreeSet<_> = MEMBERS.iter().map(|member| member.name.to_owned()).collect();
        assert_eq!(documented, known);
    }
}
