//! From rows to the domain's types. A row that means nothing is an error and never a guess.

use auth_domain::{
    Action, Answered, Committed, Credential, Grant, Head, Identity, Label, LogEntry, Pattern, Role, Scope, Scopes,
    Session, SigningKey, Spent, StoreError, StoredPassword, Tenant,
};
use portcullis_types::{
    Chain, ClientId, CredentialId, IdentityId, IdentityName, RedemptionId, Revision, RoleName, SessionId, SigningKeyId,
    TenantId, Timestamp,
};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Database, Decode, Row, Type};

use crate::words::Word;

/// A row of any of the stores: columns are texts, bytes and numbers in all of them.
pub(crate) trait Cells {
    fn maybe_text(&self, column: &'static str) -> Read<Option<&str>>;
    fn maybe_bytes(&self, column: &'static str) -> Read<Option<&[u8]>>;
    fn maybe_number(&self, column: &'static str) -> Read<Option<i64>>;
}

impl Cells for SqliteRow {
    fn maybe_text(&self, column: &'static str) -> Read<Option<&str>> {
        cell(self, column)
    }

    fn maybe_bytes(&self, column: &'static str) -> Read<Option<&[u8]>> {
        cell(self, column)
    }

    fn maybe_number(&self, column: &'static str) -> Read<Option<i64>> {
        cell(self, column)
    }
}

impl Cells for PgRow {
    fn maybe_text(&self, column: &'static str) -> Read<Option<&str>> {
        cell(self, column)
    }

    fn maybe_bytes(&self, column: &'static str) -> Read<Option<&[u8]>> {
        cell(self, column)
    }

    fn maybe_number(&self, column: &'static str) -> Read<Option<i64>> {
        cell(self, column)
    }
}

fn cell<'r, R, T>(row: &'r R, column: &'static str) -> Read<Option<T>>
where
    R: Row,
    T: Decode<'r, R::Database> + Type<R::Database>,
    &'static str: ColumnIndex<R>,
    R::Database: Database,
{
    row.try_get(column).map_err(|error| StoreError::Unavailable(Box::new(error)))
}

/// Reads columns by name.
pub(crate) struct Columns<'r, R>(pub(crate) &'r R);

type Read<T> = Result<T, StoreError>;

impl<R: Cells> Columns<'_, R> {
    fn text(&self, column: &'static str) -> Read<&str> {
        self.maybe_text(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    fn maybe_text(&self, column: &'static str) -> Read<Option<&str>> {
        self.0.maybe_text(column)
    }

    fn bytes(&self, column: &'static str) -> Read<&[u8]> {
        self.0.maybe_bytes(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    fn array<const N: usize>(&self, column: &'static str) -> Read<[u8; N]> {
        self.bytes(column)?.try_into().map_err(|_| StoreError::Corrupt { what: column })
    }

    fn maybe_array<const N: usize>(&self, column: &'static str) -> Read<Option<[u8; N]>> {
        let bytes = self.0.maybe_bytes(column)?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| StoreError::Corrupt { what: column })).transpose()
    }

    fn number(&self, column: &'static str) -> Read<i64> {
        self.0.maybe_number(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    fn maybe_number(&self, column: &'static str) -> Read<Option<i64>> {
        self.0.maybe_number(column)
    }

    pub(crate) fn seq(&self, column: &'static str) -> Read<u64> {
        u64::try_from(self.number(column)?).map_err(|_| StoreError::Corrupt { what: column })
    }

    pub(crate) fn maybe_seq(&self, column: &'static str) -> Read<Option<u64>> {
        let seq = self.maybe_number(column)?.map(u64::try_from).transpose();
        seq.map_err(|_| StoreError::Corrupt { what: column })
    }

    fn at(&self, column: &'static str) -> Read<Timestamp> {
        self.number(column).map(Timestamp::from_micros)
    }

    fn maybe_at(&self, column: &'static str) -> Read<Option<Timestamp>> {
        Ok(self.maybe_number(column)?.map(Timestamp::from_micros))
    }

    pub(crate) fn chain(&self, column: &'static str) -> Read<Chain> {
        self.array(column).map(Chain::from_bytes)
    }

    fn revision(&self, seq: &'static str, chain: &'static str) -> Read<Revision> {
        Ok(Revision { seq: self.seq(seq)?, chain: self.number(chain)?.cast_unsigned() })
    }

    fn name<T: for<'t> TryFrom<&'t str>>(&self, column: &'static str) -> Read<T> {
        T::try_from(self.text(column)?).map_err(|_| StoreError::Corrupt { what: column })
    }

    fn maybe_name<T: for<'t> TryFrom<&'t str>>(&self, column: &'static str) -> Read<Option<T>> {
        let name = self.maybe_text(column)?.map(|text| T::try_from(text));
        name.transpose().map_err(|_| StoreError::Corrupt { what: column })
    }

    fn names<T: for<'t> TryFrom<&'t str>>(&self, column: &'static str) -> Read<Vec<T>> {
        let corrupt = || StoreError::Corrupt { what: column };
        let texts: Vec<String> = serde_json::from_str(self.text(column)?).map_err(|_| corrupt())?;
        texts.iter().map(|text| T::try_from(text).map_err(|_| corrupt())).collect()
    }

    fn word<T: Word>(&self, column: &'static str) -> Read<T> {
        T::from_word(self.text(column)?).ok_or(StoreError::Corrupt { what: T::WHAT })
    }
}

pub(crate) fn head(row: &impl Cells) -> Read<Head> {
    let row = Columns(row);
    Ok(Head { seq: row.seq("seq")?, chain: row.chain("chain")? })
}

pub(crate) fn log_entry(row: &impl Cells) -> Read<LogEntry> {
    let row = Columns(row);
    Ok(LogEntry {
        seq: row.seq("seq")?,
        previous: row.chain("prev_chain")?,
        chain: row.chain("chain")?,
        payload: row.bytes("payload")?.to_vec(),
        committed_at: row.at("committed_at")?,
    })
}

pub(crate) fn tenant(row: &impl Cells) -> Read<Tenant> {
    let row = Columns(row);
    Ok(Tenant {
        name: row.name("name")?,
        created_at: row.at("created_at")?,
        revoked_seq: row.maybe_seq("revoked_seq")?,
    })
}

/// An identity; its roles come as one text, separated by spaces, which no role's name has.
pub(crate) fn identity(row: &impl Cells) -> Read<Identity> {
    let row = Columns(row);
    let roles = row.maybe_text("roles")?.unwrap_or_default();
    let mut roles: Vec<RoleName> = roles
        .split_ascii_whitespace()
        .map(|role| RoleName::try_from(role).map_err(|_| StoreError::Corrupt { what: "role" }))
        .collect::<Read<_>>()?;
    roles.sort();
    Ok(Identity {
        id: IdentityId::from_bytes(row.array("id")?),
        tenant: row.name::<TenantId>("tenant")?,
        kind: row.word("kind")?,
        name: row.name::<IdentityName>("name")?,
        state: row.word("state")?,
        roles,
        created_at: row.at("created_at")?,
        revoked_seq: row.maybe_seq("revoked_seq")?,
    })
}

pub(crate) fn identity_id(row: &impl Cells) -> Read<IdentityId> {
    Ok(IdentityId::from_bytes(Columns(row).array("id")?))
}

pub(crate) fn password(row: &impl Cells) -> Read<StoredPassword> {
    let row = Columns(row);
    Ok(StoredPassword {
        id: CredentialId::from_bytes(row.array("id")?),
        phc: row.text("phc")?.to_owned(),
        set_at: row.at("set_at")?,
    })
}

pub(crate) fn role(row: &impl Cells) -> Read<Role> {
    let row = Columns(row);
    let corrupt = || StoreError::Corrupt { what: "grants" };
    let grants: Vec<(String, String)> = serde_json::from_str(row.text("grants")?).map_err(|_| corrupt())?;
    let grants = grants.iter().map(|(action, pattern)| {
        let (action, pattern) = (Action::try_from(&**action), Pattern::try_from(&**pattern));
        Ok(Grant { action: action.map_err(|_| corrupt())?, pattern: pattern.map_err(|_| corrupt())? })
    });
    Ok(Role { grants: grants.collect::<Read<_>>()?, tenant: row.name("tenant")?, name: row.name("name")? })
}

pub(crate) fn session(row: &impl Cells) -> Read<Session> {
    let row = Columns(row);
    Ok(Session {
        id: SessionId::from_bytes(row.array("id")?),
        tenant: row.name("tenant")?,
        identity: IdentityId::from_bytes(row.array("identity")?),
        device: row.maybe_name::<Label>("device")?,
        client: row.maybe_name::<ClientId>("client")?,
        issued: row.revision("issue_seq", "issue_chain")?,
        created_at: row.at("created_at")?,
        expires_at: row.at("expires_at")?,
        revoked_seq: row.maybe_seq("revoked_seq")?,
    })
}

pub(crate) fn credential(row: &impl Cells) -> Read<Credential> {
    let row = Columns(row);
    Ok(Credential {
        id: CredentialId::from_bytes(row.array("id")?),
        tenant: row.name("tenant")?,
        identity: IdentityId::from_bytes(row.array("identity")?),
        session: row.maybe_array("session")?.map(SessionId::from_bytes),
        kind: row.word("kind")?,
        digest: row.maybe_array("digest")?,
        parent: row.maybe_array("parent")?.map(CredentialId::from_bytes),
        label: row.maybe_name("label")?,
        scopes: scopes(row.text("scopes")?)?,
        audiences: row.names("audiences")?,
        origins: row.names("origins")?,
        issued: row.revision("issue_seq", "issue_chain")?,
        signing_key: row.maybe_array("signing_key")?.map(SigningKeyId::from_bytes),
        created_at: row.at("created_at")?,
        expires_at: row.maybe_at("expires_at")?,
        spent: spent(&row)?,
        revoked_seq: row.maybe_seq("revoked_seq")?,
    })
}

fn spent(row: &Columns<'_, impl Cells>) -> Read<Option<Spent>> {
    let (successor, redeemed_by) = (row.maybe_array("successor")?, row.maybe_array("redeemed_by")?);
    match (row.maybe_at("spent_at")?, successor, redeemed_by) {
        (None, None, None) => Ok(None),
        (Some(at), Some(id), None) => Ok(Some(Spent::Rotated { successor: CredentialId::from_bytes(id), at })),
        (Some(at), None, Some(id)) => Ok(Some(Spent::Redeemed { by: RedemptionId::from_bytes(id), at })),
        (Some(_), None, None) | (Some(_), Some(_), Some(_)) | (None, _, _) => {
            Err(StoreError::Corrupt { what: "spent_at" })
        }
    }
}

fn scopes(text: &str) -> Read<Scopes> {
    let scopes = text.split_ascii_whitespace().map(Scope::try_from);
    scopes.collect::<Result<_, _>>().map_err(|_| StoreError::Corrupt { what: "scopes" })
}

pub(crate) fn signing_key(row: &impl Cells) -> Read<SigningKey> {
    let row = Columns(row);
    Ok(SigningKey {
        id: SigningKeyId::from_bytes(row.array("id")?),
        state: row.word("state")?,
        algorithm: row.name("algorithm")?,
        public: row.bytes("public_key")?.to_vec(),
        sealed_private: row.bytes("sealed_private")?.to_vec(),
        kek_id: row.text("kek_id")?.to_owned(),
        created_at: row.at("created_at")?,
        signing_at: row.maybe_at("signing_at")?,
        retained_at: row.maybe_at("retained_at")?,
        revoked_seq: row.maybe_seq("revoked_seq")?,
    })
}

pub(crate) fn answered(row: &impl Cells) -> Read<Answered> {
    let row = Columns(row);
    let committed = Committed { revision: row.revision("seq", "chain")?, committed_at: row.at("committed_at")? };
    Ok(Answered { content: row.array("content")?, committed })
}

/// The log cannot reach 2^63 entries; a cursor from outside can claim to, and is then beyond every entry.
pub(crate) fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A JSON list. Lists of texts always encode.
pub(crate) fn list<T: Into<serde_json::Value>>(items: impl Iterator<Item = T>) -> String {
    serde_json::Value::from_iter(items).to_string()
}
