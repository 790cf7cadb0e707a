//! From the rows that logging in rests on to the domain's types, and the words in them.

use auth_domain::{
    AttemptKey, Attempts, Continuation, LoginMode, LoginStep, Method, PasswordReset, PasswordRow, StoreError,
    TotpFactor,
};
use portcullis_types::{CredentialId, IdentityId};

use crate::rows::{Cells, Columns, methods, password};
use crate::words::Word;

impl Word for LoginMode {
    const ALL: &'static [Self] = &[Self::Tokens, Self::Cookie];
    const WHAT: &'static str = "login mode";

    fn word(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Cookie => "cookie",
        }
    }
}

impl Word for LoginStep {
    const ALL: &'static [Self] = &[Self::SecondFactor, Self::NewPassword];
    const WHAT: &'static str = "login step";

    fn word(self) -> &'static str {
        match self {
            Self::SecondFactor => "second_factor",
            Self::NewPassword => "new_password",
        }
    }
}

pub(crate) fn attempts<R: Cells>(row: &R) -> Result<Attempts, StoreError> {
    let row = Columns(row);
    let failures = u32::try_from(row.seq("failures")?).map_err(|_| StoreError::Corrupt { what: "failures" })?;
    Ok(Attempts { failures, next_at: row.at("next_at")?, last_at: row.at("last_at")? })
}

pub(crate) fn totp_factor<R: Cells>(row: &R) -> Result<TotpFactor, StoreError> {
    let row = Columns(row);
    Ok(TotpFactor {
        id: CredentialId::from_bytes(row.array("id")?),
        tenant: row.name("tenant")?,
        identity: IdentityId::from_bytes(row.array("identity")?),
        sealed_secret: row.bytes("sealed_secret")?.to_vec(),
        kek_id: row.text("kek_id")?.to_owned(),
        created_at: row.at("created_at")?,
        confirmed_at: row.maybe_at("confirmed_at")?,
        last_step: row.seq("last_step")?,
    })
}

/// How many are under a key-encryption key.
pub(crate) fn sealed_count<R: Cells>(row: &R) -> Result<(String, u64), StoreError> {
    let row = Columns(row);
    Ok((row.text("kek_id")?.to_owned(), row.seq("number")?))
}

pub(crate) fn continuation<R: Cells>(row: &R) -> Result<Continuation, StoreError> {
    let row = Columns(row);
    Ok(Continuation {
        id: CredentialId::from_bytes(row.array("id")?),
        tenant: row.name("tenant")?,
        identity: IdentityId::from_bytes(row.array("identity")?),
        digest: row.array("digest")?,
        password: CredentialId::from_bytes(row.array("password")?),
        issued: row.revision("issue_seq", "issue_chain")?,
        actor: row.text("actor")?.into(),
        // The release before wrote down nothing; a continuation follows a password.
        proved: row.maybe_text("amr")?.map_or(Ok(Method::Password.into()), methods)?,
        step: row.word("step")?,
        refused: u32::try_from(row.seq("refused")?).map_err(|_| StoreError::Corrupt { what: "refused" })?,
        mode: row.word("mode")?,
        device: row.maybe_name("device")?,
        client: row.maybe_name("client")?,
        account: AttemptKey::from_bytes(row.array("account")?),
        place: row.maybe_array("place")?.map(AttemptKey::from_bytes),
        expires_at: row.at("expires_at")?,
        spent: row.maybe_at("spent_at")?.is_some(),
    })
}

pub(crate) fn password_row<R: Cells>(row: &R) -> Result<PasswordRow, StoreError> {
    let columns = Columns(row);
    let is_set = columns.maybe_text("phc")?.is_some();
    Ok(PasswordRow {
        identity: IdentityId::from_bytes(columns.array("identity")?),
        name: columns.name("name")?,
        stored: is_set.then(|| password(row)).transpose()?,
        reset_ends_at: columns.maybe_at("reset_ends_at")?,
    })
}

pub(crate) fn password_reset<R: Cells>(row: &R) -> Result<PasswordReset, StoreError> {
    let row = Columns(row);
    Ok(PasswordReset {
        id: CredentialId::from_bytes(row.array("id")?),
        tenant: row.name("tenant")?,
        identity: IdentityId::from_bytes(row.array("identity")?),
        digest: row.array("digest")?,
        issued_seq: row.maybe_seq("issue_seq")?,
        created_at: row.at("created_at")?,
        expires_at: row.at("expires_at")?,
        spent: row.maybe_at("spent_at")?.is_some(),
    })
}
