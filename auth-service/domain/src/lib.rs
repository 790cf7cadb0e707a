//! The authority's rules: who exists, what they may present, what is dead.
//!
//! Owns: [`Authority`] and everything it decides; the port behind which rows live ([`Store`]); the one way to append
//! to the revocation log ([`Batch`] and [`WriteTx::commit_with`]).
//! Guarantees: a revision is read before the state it stands for, on one snapshot; a change that kills or alters
//! authority commits with its log entry or not at all.
//! Refuses: any transport, any database, any clock or random source of its own.

mod access_token;
mod administrators;
mod api_key_rotation;
mod api_keys;
mod asking;
mod attributes;
mod audit;
mod audit_trail;
mod authentication;
mod authority;
mod batch;
mod beginning;
mod bootstrap;
mod callers;
mod certificates;
mod constraints;
mod cookies;
mod credential_listing;
mod credentials;
mod denied_logins;
mod ending_before;
mod etag;
mod event_quota;
pub mod faults;
mod grants;
mod group_commit;
mod guard;
mod identities;
mod identity_states;
mod identity_updates;
mod issuers;
mod key_revocation;
mod key_terms;
mod key_uses;
mod keyring;
mod lease_classes;
mod log_check;
mod login;
mod outrun;
mod own_factors;
mod paging;
mod password_changes;
mod password_states;
mod passwords;
mod reencryption;
mod restoring;
mod retention;
mod revocation;
mod roles;
mod scopes;
mod sealing;
mod second_factors;
mod service_tokens;
mod session_revocation;
mod sessions;
mod signature_keys;
mod standing;
mod store;
mod tenant_deletion;
mod tenant_states;
mod tenants;
mod tickets;
mod tokens;
mod totp;
mod verdict;
mod verification;
pub mod watch;

pub use administrators::{NewKeyError, new_administrator_key};
pub use api_key_rotation::{MAX_KEY_OVERLAP, RotateApiKey, RotateApiKeyError, RotatedApiKey};
pub use api_keys::{ApiKey, CreateApiKeyError, IssuedApiKey, MAX_API_KEY_LIFE, MAX_API_KEYS, NewApiKey};
pub use asking::{ANSWERS_KEPT, Asked};
pub use attributes::{Attributes, MAX_ATTRIBUTE_BYTES, MAX_ATTRIBUTES};
pub use audit::{About, Actor, AuditEntry, AuditOutcome, Detail, MAX_DETAIL_BYTES};
pub use audit_trail::{AuditBeginning, AuditPart, AuditRecord, DeniedCall};
pub use authentication::{Authentication, Method, Methods};
pub use authority::{Authority, OpenError, Parts, Settings};
pub use batch::{Answer, Batch, CloseCode, Effect, Fact, Pace, Reason, Target};
pub use beginning::BeginError;
pub use bootstrap::BootstrapError;
pub use callers::{Caller, CallerError, Forbidden};
pub use certificates::{
    CertificateName, ClientCertificate, MAX_CERTIFICATES, NewCertificate, RegisterCertificateError, ShownCertificate,
};
pub use constraints::{Audience, Label, Origin};
pub use cookies::{CookieRules, CookieUse};
pub use credential_listing::{CredentialState, ListedCredential};
pub use credentials::{Credential, CredentialKind, Spent};
pub use ending_before::{EndBefore, EndBeforeError};
pub use etag::Etag;
pub use event_quota::EventQuota;
pub use grants::{Action, Grant, MAX_GRANTS, Pattern};
pub use group_commit::{Asking, Group, MAX_GROUP, Revoked};
pub use guard::{AttemptKey, Attempts, GuardRules};
pub use identities::{
    CreateIdentityError, FirstPassword, Identity, IdentityKind, IdentityRef, IdentityState, MAX_ROLES_HELD,
    NewIdentity, SetPasswordError, TOMBSTONE,
};
pub use identity_states::ChangeIdentityError;
pub use identity_updates::{IdentityUpdate, UpdateIdentityError};
pub use issuers::{
    ChangeIssuerError, ClaimName, Discovery, InvalidDocument, Issuer, IssuerAlgorithm, IssuerKey, IssuerKeys,
    IssuerSilent, IssuerSubject, IssuerUrl, KeyAnswer, KeyBook, KeyRules, KeySet, ListSubjectsError,
    MAX_DOCUMENT_BYTES, MAX_ISSUERS, MAX_RULES, Mapping, NameTemplate, NewIssuer, PutIssuerError, RoleRule,
    UnlinkError, WhichSubjects,
};
pub use key_revocation::{EndedKeys, RevokeKeys, RevokeKeysError};
pub use key_terms::{KeyTerms, MAX_KEY_ADDRESSES, MAX_KEY_GRANT_BYTES, MAX_KEY_GRANTS};
pub use keyring::{
    Algorithm, KeySettings, KeyState, RevokeSigningKeyError, RotateError, RotateSigningKey, Rotation, SigningKey,
    SigningKeyStanding,
};
pub use lease_classes::SetLeaseClassError;
pub use log_check::{LogFault, WholeLog, check_log};
pub use login::{
    Brought, Challenge, Challenged, Continuation, ContinueError, KnownDevice, LoginAttempt, LoginError, LoginMode,
    LoginOutcome, LoginStep, Proof, Refusal,
};
pub use own_factors::{OwnFactorError, OwnProof};
pub use paging::{InvalidPage, ListError, MAX_PAGE, Page, Paged};
pub use password_changes::{
    ChangePassword, ChangePasswordError, PasswordChange, PasswordReset, PasswordWasReset, RESET_LIFE, Reset,
};
pub use password_states::{PasswordState, RemovePasswordError, SetPassword};
pub use passwords::{
    Argon2id, ForeignLimits, HashError, HashQueue, InvalidPassword, LONGEST_PASSWORD, PasswordHasher, PasswordHashes,
    PasswordPolicy, StoredPassword, UnfitHash,
};
pub use reencryption::{ReencryptError, Reencrypted};
pub use restoring::reauthorize_everybody;
pub use retention::{AuditStart, CompactError, Ended, Lives, RetentionRules, SealMark, Tidied, TrailFault, VouchError};
pub use revocation::{Request, RequestId, RevokeError, RevokeRequest, RevokeTarget};
pub use roles::{DeleteRoleError, MAX_GRANT_BYTES, MAX_ROLES, MAX_TENANT_GRANT_BYTES, PutRoleError, Role, RoleTotals};
pub use scopes::{Scope, Scopes};
pub use sealing::{DoesNotOpen, KekMissing, KeyEncryptionKey, KeyEncryptionKeys};
pub use second_factors::{
    FactorCode, RECOVERY_CODES, SecondFactorError, SecondFactors, TotpConfirmation, TotpEnrolment, TotpFactor,
};
pub use service_tokens::{ServiceToken, ServiceTokenError};
pub use session_revocation::{EndedSessions, MAX_SESSIONS_ENDED, RevokeSessions, RevokeSessionsError, SessionsBy};
pub use sessions::{ListSessionsError, ListedSession, Session, SessionState};
pub use signature_keys::{
    CHALLENGE_LIFE, CarriedKey, HolderError, InvalidJwk, InvalidProof, KeyChallenge, MAX_JWK_BYTES, MAX_PROOF_BYTES,
    MAX_REMEMBERED_KEYS, MAX_SIGNATURE_KEYS, NewSignatureKey, ProofClaims, PublicKey, RegisterSignatureKeyError,
    RegisteredSignatureKey, RotateSignatureKey, RotateSignatureKeyError, RotatedSignatureKey, SignatureKey,
    SignatureKeyRules, Thumbprint,
};
pub use store::{
    Answered, ApiKeyWrites, AuditFilter, AuditReads, AuditRemovalReads, AuditRemovalWrites, AuditWrites,
    CertificateReads, CertificateWrites, Certified, Committed, Connections, CredentialFilter, EndedBeforeReads,
    EndedBeforeWrites, ExternalMark, Head, HeldKey, IdentityFilter, IssuerReads, IssuerWrites, KeyReads, KeyWrites,
    LeaseClassReads, LeaseClassWrites, LifecycleReads, LifecycleWrites, LogEntry, LoginReads, LoginWrites,
    PasswordReads, PasswordRow, PasswordWrites, PoolUse, ReadView, RetentionReads, RetentionWrites, SealedReads,
    SealedWrites, SessionFilter, SessionUseReads, SignatureKeyCount, SignatureKeyReads, SignatureKeyRow,
    SignatureKeyWrites, SigningKeyMark, StandingReads, StandingRows, Store, StoreError, SubjectReads, SubjectWrites,
    SubjectsOf, TenantDeletionReads, TenantDeletionWrites, TextMatch, TicketReads, WithParent, WriteTx,
};
pub use store::{Fleet, Noted, Registered, Renewal, ReplicaId};
pub use tenant_states::ChangeTenantError;
pub use tenants::{CreateTenantError, Tenant, TenantState};
pub use tickets::{CreateTicketError, NewTicket, TicketAsker, TicketOutcome, TicketRules};
pub use tokens::{IssueError, IssueOutcome, IssueTokens, NewSession, RefreshOutcome, SessionCredentials, TokenPair};
pub use verdict::{
    Allowed, CredentialReference, DenyReason, Judgement, PresentationContext, Presented, Principal, Verdict,
};
pub use verification::VerifyError;
