//! From rows to the domain's types. A row that means nothing is an error and never a guess.

pub(crate) mod audit_trail;
pub(crate) mod issuers;
pub(crate) mod signature_keys;
pub(crate) mod tickets;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use auth_domain::{
    Action, Answered, Attributes, Authentication, Committed, Credential, CredentialKind, Grant, Head, Identity,
    KeyTerms, Label, LogEntry, Methods, Pattern, Role, Scope, Scopes, Session, SigningKey, SigningKeyMark, Spent,
    StandingRows, StoreError, StoredPassword, Tenant, TenantState, WithParent,
};
use portcullis_types::{
    Chain, ClientId, CredentialId, IdentityId, IdentityName, RedemptionId, Revision, RoleName, SessionId, SigningKeyId,
    TenantId, Timestamp,
};
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Database, Decode, Row, Type};

use crate::looks::Seen;
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
    pub(crate) fn text(&self, column: &'static str) -> Read<&str> {
        self.maybe_text(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    pub(crate) fn maybe_text(&self, column: &'static str) -> Read<Option<&str>> {
        self.0.maybe_text(column)
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Read<&[u8]> {
        self.0.maybe_bytes(column)?.ok_or(StoreError::Corrupt { what: column })
    }

    pub(crate) fn array<const N: usize>(&self, column: &'static str) -> Read<[u8; N]> {
        self.bytes(column)?.try_into().map_err(|_| StoreError::Corrupt { what: column })
    }

    pub(crate) fn maybe_array<const N: usize>(&self, column: &'static str) -> Read<Option<[u8; N]>> {
        let bytes = self.0.maybe_bytes(column)?;
        bytes.map(|bytes| bytes.try_into().map_err(|_| StoreError::Corrupt { what: column })).transpose()
    }

    pub(crate) fn number(&self, column: &'static str) -> Read<i64> {
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

    pub(crate) fn at(&self, column: &'static str) -> Read<Timestamp> {
        self.number(column).map(Timestamp::from_micros)
    }

    pub(crate) fn maybe_at(&self, column: &'static str) -> Read<Option<Timestamp>> {
        Ok(self.maybe_number(column)?.map(Timestamp::from_micros))
    }

    pub(crate) fn chain(&self, column: &'static str) -> Read<Chain> {
        self.array(column).map(Chain::from_bytes)
    }

    pub(crate) fn revision(&self, seq: &'static str, chain: &'static str) -> Read<Revision> {
        Ok(Revision { seq: self.seq(seq)?, chain: self.number(chain)?.cast_unsigned() })
    }

    pub(crate) fn name<T: for<'t> TryFrom<&'t str>>(&self, column: &'static str) -> Read<T> {
        T::try_from(self.text(column)?).map_err(|_| StoreError::Corrupt { what: column })
    }

    pub(crate) fn maybe_name<T: for<'t> TryFrom<&'t str>>(&self, column: &'static str) -> Read<Option<T>> {
        let name = self.maybe_text(column)?.map(|text| T::try_from(text));
        name.transpose().map_err(|_| StoreError::Corrupt { what: column })
    }

    fn names<T: for<'t> TryFrom<&'t str>>(&self, column: &'static str) -> Read<Vec<T>> {
        let corrupt = || StoreError::Corrupt { what: column };
        let texts: Vec<String> = serde_json::from_str(self.text(column)?).map_err(|_| corrupt())?;
        texts.iter().map(|text| T::try_from(text).map_err(|_| corrupt())).collect()
    }

    pub(crate) fn word<T: Word>(&self, column: &'static str) -> Read<T> {
        T::from_word(self.text(column)?).ok_or(StoreError::Corrupt { what: T::WHAT })
    }

    fn maybe_word<T: Word>(&self, column: &'static str) -> Read<Option<T>> {
        let word = self.maybe_text(column)?.map(|text| T::from_word(text).ok_or(StoreError::Corrupt { what: T::WHAT }));
        word.transpose()
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

/// Reads a tenant from its columns, whose names begin with a prefix where they stand beside others'.
macro_rules! tenant_reader {
    ($reader:ident, $prefix:literal) => {
        pub(crate) fn $reader(row: &impl Cells) -> Read<Tenant> {
            let row = Columns(row);
            let suspended_at = row.maybe_number(concat!($prefix, "suspended_at"))?;
            let deleted_at = row.maybe_number(concat!($prefix, "deleted_at"))?;
            Ok(Tenant {
                name: row.name(concat!($prefix, "name"))?,
                display_name: row.maybe_name(concat!($prefix, "display_name"))?,
                state: match (deleted_at, suspended_at) {
                    (Some(_), _) => TenantState::Deleted,
                    (None, Some(_)) => TenantState::Suspended,
                    (None, None) => TenantState::Active,
                },
                version: row.seq(concat!($prefix, "version"))?,
                created_at: row.at(concat!($prefix, "created_at"))?,
                lease_class: row.maybe_word(concat!($prefix, "lease_class"))?,
                revoked_seq: row.maybe_seq(concat!($prefix, "revoked_seq"))?,
                ended_before: row.maybe_at(concat!($prefix, "ended_before"))?,
            })
        }
    };
}

/// Reads an identity; its roles come as one text, separated by spaces, which no role's name has.
macro_rules! identity_reader {
    ($reader:ident, $prefix:literal) => {
        pub(crate) fn $reader(row: &impl Cells) -> Read<Identity> {
            let row = Columns(row);
            Ok(Identity {
                id: IdentityId::from_bytes(row.array(concat!($prefix, "id"))?),
                tenant: row.name::<TenantId>(concat!($prefix, "tenant"))?,
                kind: row.word(concat!($prefix, "kind"))?,
                name: row.name::<IdentityName>(concat!($prefix, "name"))?,
                display_name: row.maybe_name(concat!($prefix, "display_name"))?,
                attributes: attributes(row.text(concat!($prefix, "attributes"))?)?,
                state: row.word(concat!($prefix, "state"))?,
                roles: roles(row.maybe_text(concat!($prefix, "roles"))?.unwrap_or_default())?,
                version: row.seq(concat!($prefix, "version"))?,
                created_at: row.at(concat!($prefix, "created_at"))?,
                revoked_seq: row.maybe_seq(concat!($prefix, "revoked_seq"))?,
            })
        }
    };
}

/// Reads a session.
macro_rules! session_reader {
    ($reader:ident, $prefix:literal) => {
        pub(crate) fn $reader(row: &impl Cells) -> Read<Session> {
            let row = Columns(row);
            Ok(Session {
                id: SessionId::from_bytes(row.array(concat!($prefix, "id"))?),
                tenant: row.name(concat!($prefix, "tenant"))?,
                identity: IdentityId::from_bytes(row.array(concat!($prefix, "identity"))?),
                device: row.maybe_name::<Label>(concat!($prefix, "device"))?,
                client: row.maybe_name::<ClientId>(concat!($prefix, "client"))?,
                authentication: authentication(&row, concat!($prefix, "amr"), concat!($prefix, "authenticated_at"))?,
                issued: row.revision(concat!($prefix, "issue_seq"), concat!($prefix, "issue_chain"))?,
                created_at: row.at(concat!($prefix, "created_at"))?,
                expires_at: row.at(concat!($prefix, "expires_at"))?,
                revoked_seq: row.maybe_seq(concat!($prefix, "revoked_seq"))?,
            })
        }
    };
}

fn authentication<R: Cells>(row: &Columns<'_, R>, amr: &'static str, at: &'static str) -> Read<Option<Authentication>> {
    let (Some(words), Some(at)) = (row.maybe_text(amr)?, row.maybe_at(at)?) else { return Ok(None) };
    Ok(Some(Authentication { methods: methods(words)?, at }))
}

pub(crate) fn methods(words: &str) -> Read<Methods> {
    Methods::try_from(words).map_err(|_| StoreError::Corrupt { what: "amr" })
}

tenant_reader!(tenant, "");
tenant_reader!(tenant_above, "t_");
identity_reader!(identity, "");
identity_reader!(identity_above, "i_");
session_reader!(session, "");
session_reader!(session_above, "s_");

fn roles(text: &str) -> Read<Vec<RoleName>> {
    let mut roles: Vec<RoleName> = text
        .split_ascii_whitespace()
        .map(|role| RoleName::try_from(role).map_err(|_| StoreError::Corrupt { what: "role" }))
        .collect::<Read<_>>()?;
    roles.sort();
    Ok(roles)
}

fn attributes(json: &str) -> Read<Attributes> {
    let corrupt = || StoreError::Corrupt { what: "attributes" };
    let map: BTreeMap<String, String> = serde_json::from_str(json).map_err(|_| corrupt())?;
    Attributes::try_from(map).map_err(|_| corrupt())
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
        must_change: row.number("must_change")? != 0,
    })
}

pub(crate) fn role(row: &impl Cells) -> Read<Role> {
    let row = Columns(row);
    Ok(Role { grants: grants(row.text("grants")?)?, tenant: row.name("tenant")?, name: row.name("name")? })
}

fn grants(json: &str) -> Read<Vec<Grant>> {
    let corrupt = || StoreError::Corrupt { what: "grants" };
    let grants: Vec<(&str, String)> = serde_json::from_str(json).map_err(|_| corrupt())?;
    let grants = grants.iter().map(|(action, pattern)| {
        let (action, pattern) = (Action::try_from(*action), Pattern::try_from(&**pattern));
        Ok(Grant { action: action.map_err(|_| corrupt())?, pattern: pattern.map_err(|_| corrupt())? })
    });
    grants.collect()
}

/// What several roles grant: one JSON list a line, which JSON itself never breaks.
fn grants_of_roles(lines: &str) -> Read<Vec<Grant>> {
    let mut all = Vec::new();
    for line in lines.lines() {
        all.append(&mut grants(line)?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

/// A credential with everything above it; none when there is no credential in the row.
pub(crate) fn standing(row: &impl Cells) -> Read<Option<StandingRows>> {
    let columns = Columns(row);
    if row.maybe_bytes("id")?.is_none() {
        return Ok(None);
    }
    let credential = credential(row)?;
    let (session, key) = (columns.maybe_array::<16>("s_id")?, columns.maybe_text("k_state")?);
    if session.is_some() != credential.session.is_some() || key.is_some() != credential.signing_key.is_some() {
        return Err(StoreError::Corrupt { what: "a credential without its session or its signing key" });
    }
    if columns.maybe_array::<16>("i_id")?.is_none() || columns.maybe_text("t_name")?.is_none() {
        return Err(StoreError::Corrupt { what: "a credential without its identity or its tenant" });
    }
    let signing_key = match key {
        Some(_) => {
            Some(SigningKeyMark { state: columns.word("k_state")?, revoked_seq: columns.maybe_seq("k_revoked_seq")? })
        }
        None => None,
    };
    let external = issuers::external_mark(row)?;
    // Ours were signed by a key that has a row here.
    let is_external = credential.kind == CredentialKind::AccessToken && credential.signing_key.is_none();
    if external.is_some() != is_external {
        return Err(StoreError::Corrupt { what: "an access token that nobody signed" });
    }
    let seq = credential.issued.seq;
    let issued_on =
        columns.maybe_array("issued_on")?.map(|chain| Revision { seq, chain: Chain::from_bytes(chain).short() });
    Ok(Some(StandingRows {
        session: session.map(|_| session_above(row)).transpose()?,
        identity: identity_above(row)?,
        grants: grants_of_roles(columns.maybe_text("i_grants")?.unwrap_or_default())?,
        external,
        tenant: tenant_above(row)?,
        signing_key,
        client_revoked_seq: columns.maybe_seq("client_revoked_seq")?,
        client_ended_before: columns.maybe_at("client_ended_before")?,
        issued_on,
        held_keys: signature_keys::held_keys(columns.maybe_text("held_keys")?.unwrap_or_default())?,
        credential,
    }))
}

/// A credential and the one that it was issued from, in any order.
pub(crate) fn with_parent(rows: &[impl Cells], id: CredentialId) -> Read<(Head, Option<WithParent>)> {
    let first = rows.first().ok_or(StoreError::Corrupt { what: "no head" })?;
    let (mut own, mut parent) = (None, None);
    for row in rows {
        match standing(row)? {
            Some(found) if found.credential.id == id => own = Some(found),
            found => parent = found,
        }
    }
    Ok((head(first)?, own.map(|own| (own, parent))))
}

/// Several of them from one snapshot. There is always a row: the head stands in each.
pub(crate) fn standings(rows: &[impl Cells]) -> Read<Seen> {
    let first = rows.first().ok_or(StoreError::Corrupt { what: "no head" })?;
    let mut seen = HashMap::with_capacity(rows.len());
    for row in rows {
        if let Some(id) = Columns(row).maybe_array("id")? {
            let found = standing(row).and_then(|found| found.ok_or(StoreError::Corrupt { what: "id" }));
            seen.insert(CredentialId::from_bytes(id), found.map(Arc::new).map_err(Arc::new));
        }
    }
    Ok((head(first)?, seen))
}

pub(crate) fn credential(row: &impl Cells) -> Read<Credential> {
    let row = Columns(row);
    Ok(Credential {
        id: CredentialId::from_bytes(row.array("id")?),
        tenant: row.name("tenant")?,
        identity: IdentityId::from_bytes(row.array("identity")?),
        session: row.maybe_array("session")?.map(SessionId::from_bytes),
        kind: credential_kind(&row)?,
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
        key_terms: key_terms(&row)?,
        certificate: row.maybe_name("certificate")?,
        revoked_seq: row.maybe_seq("revoked_seq")?,
    })
}

/// A client certificate is written as an API key with a name in it, a signature key as one with a public key in it.
fn credential_kind(row: &Columns<'_, impl Cells>) -> Read<CredentialKind> {
    match (row.word("kind")?, row.maybe_text("certificate")?, row.maybe_text("signature_key")?) {
        (kind, None, None) => Ok(kind),
        (CredentialKind::ApiKey, Some(_), None) => Ok(CredentialKind::ClientCertificate),
        (CredentialKind::ApiKey, None, Some(_)) => Ok(CredentialKind::SignatureKey),
        (_, Some(_), _) => Err(StoreError::Corrupt { what: "certificate" }),
        (_, None, Some(_)) => Err(StoreError::Corrupt { what: "signature_key" }),
    }
}

/// What only rows of API keys, client certificates and signature keys have.
fn key_terms(row: &Columns<'_, impl Cells>) -> Read<Option<KeyTerms>> {
    if row.word::<CredentialKind>("kind")? != CredentialKind::ApiKey {
        return Ok(None);
    }
    Ok(Some(KeyTerms {
        grants: row.maybe_text("key_grants")?.map(grants).transpose()?,
        addresses: if row.maybe_text("addresses")?.is_some() { row.names("addresses")? } else { Vec::new() },
        replaces: row.maybe_array("replaces")?.map(CredentialId::from_bytes),
        replaced_by: row.maybe_array("replaced_by")?.map(CredentialId::from_bytes),
        last_used_at: row.maybe_at("last_used_at")?,
    }))
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
    let subject = row.maybe_text("subject")?.map(str::to_owned);
    let committed = (row.number("has_entry")? != 0).then_some(committed);
    Ok(Answered { content: row.array("content")?, committed, subject })
}

/// Whether a query found what it asked for.
pub(crate) fn yes(row: &impl Cells, column: &'static str) -> Read<bool> {
    Ok(Columns(row).number(column)? != 0)
}

/// The log cannot reach 2^63 entries; a cursor from outside can claim to, and is then beyond every entry.
pub(crate) fn number(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// A JSON list. Lists of texts always encode.
pub(crate) fn list<T: Into<serde_json::Value>>(items: impl Iterator<Item = T>) -> String {
    serde_json::Value::from_iter(items).to_string()
}

/// A JSON object of texts.
pub(crate) fn object(attributes: &Attributes) -> String {
    serde_json::Value::from_iter(attributes.iter().map(|(name, value)| (name.to_owned(), value.to_owned()))).to_string()
}

/// Grants as a JSON list.
pub(crate) fn grants_list(grants: &[Grant]) -> String {
    list(grants.iter().map(|grant| [grant.action.name(), grant.pattern.as_str()]))
}
