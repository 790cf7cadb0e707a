//! Naming an identity: its tenant, and its id or its name.

use portcullis_proto::auth::v1::{IdentityReference, identity_reference};
use portcullis_types::{CredentialId, IdentityId, InvalidName, SessionId};

use crate::failure::Failure;

/// Which identity.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct IdentityArgs {
    /// The tenant.
    #[arg(long)]
    tenant: String,
    #[command(flatten)]
    which: Which,
}

#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Its id.
    #[arg(long, value_name = "ID")]
    identity: Option<String>,
    /// Its name.
    #[arg(long)]
    name: Option<String>,
}

/// Which identity, and a name for what is asked about it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct NamedIdentityArgs {
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

/// A name for a request.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RequestArgs {
    /// A name of your own for this request: asked again with the same content, within a day, it is done once.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) request_id: String,
}

impl IdentityArgs {
    /// The tenant's name.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// As the contract says it.
    pub(crate) fn reference(&self) -> Result<IdentityReference, Failure> {
        let Which { identity, name } = &self.which;
        let reference = maybe_identity(&self.tenant, identity.as_deref(), name.as_deref())?;
        reference.ok_or_else(|| Failure::usage("name the identity with --identity or --name"))
    }
}

/// An identity of a tenant, where one is named, by its id or else by its name.
pub(crate) fn maybe_identity(
    tenant: &str,
    id: Option<&str>,
    name: Option<&str>,
) -> Result<Option<IdentityReference>, Failure> {
    let identity = match (id, name) {
        (Some(id), _) => {
            identity_reference::Identity::Id(IdentityId::try_from(id).map_err(by_name_instead)?.to_string())
        }
        (None, Some(name)) => identity_reference::Identity::Name(name.to_owned()),
        (None, None) => return Ok(None),
    };
    Ok(Some(IdentityReference { tenant: tenant.to_owned(), identity: Some(identity) }))
}

/// A session's id; what was typed is not repeated, it may be a secret.
pub(crate) fn session_id(text: &str) -> Result<String, Failure> {
    SessionId::try_from(text).map(|id| id.to_string()).map_err(|wrong| Failure::usage(wrong.to_string()))
}

/// A credential's id; what was typed is not repeated, it may be a secret.
pub(crate) fn credential_id(text: &str) -> Result<String, Failure> {
    CredentialId::try_from(text)
        .map(|id| id.to_string())
        .map_err(|wrong| Failure::usage(format!("{wrong}; for its presented form use --stdin")))
}

fn by_name_instead(wrong: InvalidName) -> Failure {
    Failure::usage(format!("{wrong}; for its name use --name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(identity: Option<&str>, name: Option<&str>) -> IdentityArgs {
        let which = Which { identity: identity.map(str::to_owned), name: name.map(str::to_owned) };
        IdentityArgs { tenant: "demo".to_owned(), which }
    }

    #[test]
    fn an_id_is_checked_and_a_name_is_taken_as_it_is() {
        let id = "0192f0c1-2345-7abc-8def-0123456789ab";
        let by_id = args(Some(id), None).reference().expect("a valid id").identity;
        assert_eq!(by_id, Some(identity_reference::Identity::Id(id.to_owned())));
        let by_name = args(None, Some("alice")).reference().expect("a name").identity;
        assert_eq!(by_name, Some(identity_reference::Identity::Name("alice".to_owned())));
    }

    #[test]
    fn what_is_not_an_id_is_not_repeated() {
        let error = args(Some("pk_secret"), None).reference().expect_err("not an id").to_string();
        assert!(error.contains("--name") && !error.contains("secret"), "{error}");
        let error = credential_id("pk_secret").expect_err("not an id").to_string();
        assert!(error.contains("--stdin") && !error.contains("secret"), "{error}");
        assert!(session_id("x").is_err());
    }
}
