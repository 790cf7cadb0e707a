//! Verdicts on presented credentials, asked for once and reused for a moment.
//!
//! Owns the verdict cache. Its key is a digest of the credential and of where it was presented; a raw credential leaves
//! this module only in a question to the authority.
//! Guarantees: a verdict is reused for at most the configured time on this machine's own clock, and never longer than
//! the authority allows; a ticket is never cached and never shares a question; a denial that time may heal is reused for
//! two seconds at most; that there was no answer is never kept. What somebody found refuted is asked for again once, however many find it
//! so, and whoever comes later is told what was answered then. None of this is needed for safety: whoever uses a verdict passes it
//! through the enforcer and its own constraints each time (I12).
//! Refuses to grow: the least used entries give way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gateway_core::{Denial, Judgement, Presentation};
use moka::future::Cache;
use portcullis_proto::auth::v1;
use portcullis_types::{Boottime, Clock, RedemptionId};
use sha2::{Digest, Sha256};

use crate::authority::{Authority, NoAnswer};
use crate::config::{CacheConfig, LONGEST_VERDICT_TTL};
use crate::credential::{Presented, PresentedKind};
use crate::metrics::Metrics;

/// For how long a denial that time may heal is reused at most.
const TRANSIENT_TTL: Duration = Duration::from_secs(2);

/// Bytes of a usual verdict: what one entry of the configured number stands for.
const USUAL_ENTRY: usize = 2_048;

/// Who answers questions about credentials.
#[async_trait::async_trait]
pub trait Judge: Send + Sync {
    /// Judges one credential.
    async fn verify(&self, question: v1::VerifyRequest) -> Result<v1::VerifyResponse, NoAnswer>;
}

#[async_trait::async_trait]
impl Judge for Authority {
    async fn verify(&self, question: v1::VerifyRequest) -> Result<v1::VerifyResponse, NoAnswer> {
        Self::verify(self, question).await
    }
}

/// One handshake's question.
#[derive(Debug)]
pub struct Question<'a> {
    /// The credential.
    pub presented: &'a Presented,
    /// Where it is presented.
    pub at: Presentation<'a>,
    /// Names this handshake, should it redeem a ticket.
    pub redemption: RedemptionId,
}

/// What was answered, and to the how manyth question of this process.
#[derive(Debug)]
pub struct Answered {
    /// The answer.
    pub judgement: Judgement,
    /// The question. What is asked later has a greater one.
    pub asked: Asked,
}

/// Orders the questions of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked(u64);

#[derive(Debug)]
struct Entry {
    asked: Asked,
    /// Absent: there was no answer; shared with those who waited for it and never reused.
    judgement: Option<Judgement>,
    usable_until: Boottime,
}

impl Entry {
    /// One for a usual entry; one with many grants counts for as many as it displaces.
    fn weight(&self) -> u32 {
        let bytes = match &self.judgement {
            Some(Judgement::Allowed(verdict)) => verdict.size(),
            Some(Judgement::Denied(_)) | None => 0,
        };
        u32::try_from(1 + bytes / USUAL_ENTRY).unwrap_or(u32::MAX)
    }
}

/// See the module.
pub struct Verifier {
    judge: Arc<dyn Judge>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    ttl: Duration,
    questions: AtomicU64,
    cache: Cache<[u8; 32], Arc<Entry>>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("entries", &self.cache.entry_count()).finish_non_exhaustive()
    }
}

impl Verifier {
    /// With an empty cache.
    pub fn new(config: &CacheConfig, judge: Arc<dyn Judge>, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let ttl = Duration::from_millis(config.ttl_ms).min(LONGEST_VERDICT_TTL);
        // The cache's own clock only frees memory.
        let cache = Cache::builder()
            .max_capacity(config.entries)
            .weigher(|_, entry: &Arc<Entry>| entry.weight())
            .time_to_live(LONGEST_VERDICT_TTL)
            .build();
        Self { judge, clock, metrics, ttl, questions: AtomicU64::new(0), cache }
    }

    /// Judges a credential, by the cache unless what it holds is what was `refuted`, or older.
    /// An error is [`Denial::AuthorityUnavailable`]: there is no verdict.
    pub async fn verify(&self, question: &Question<'_>, refuted: Option<Asked>) -> Result<Answered, Denial> {
        let entry = match question.presented.kind {
            PresentedKind::Ticket => Arc::new(self.ask(question).await),
            PresentedKind::AccessToken | PresentedKind::ApiKey if self.ttl.is_zero() => {
                Arc::new(self.ask(question).await)
            }
            PresentedKind::AccessToken | PresentedKind::ApiKey => self.cached(question, refuted).await,
        };
        let judgement = entry.judgement.clone().ok_or(Denial::AuthorityUnavailable)?;
        Ok(Answered { judgement, asked: entry.asked })
    }

    async fn cached(&self, question: &Question<'_>, refuted: Option<Asked>) -> Arc<Entry> {
        // Where nobody is asked for a while, nothing is refuted.
        let is_refuted =
            |entry: &Entry| entry.judgement.is_some() && refuted.is_some_and(|refuted| entry.asked <= refuted);
        let unusable = |entry: &Arc<Entry>| is_refuted(entry) || self.clock.boottime() >= entry.usable_until;
        let ask = async { Arc::new(self.ask(question).await) };
        // One question for all who present the same thing at the same time; each of them registers for itself.
        let entry = self.cache.entry(key_of(question)).or_insert_with_if(ask, unusable).await;
        if !entry.is_fresh() {
            self.metrics.verdict_hits.inc();
        }
        entry.into_value()
    }

    /// The authority said again what is refuted: it is not asked for the same in the next moment, by whomever.
    pub async fn leave_alone(&self, question: &Question<'_>, refuted: Asked) {
        let is_shared = question.presented.kind != PresentedKind::Ticket && !self.ttl.is_zero();
        let usable_until = self.clock.boottime() + self.ttl.min(TRANSIENT_TTL);
        let nothing = async { Arc::new(Entry { asked: refuted, judgement: None, usable_until }) };
        if is_shared {
            self.cache.entry(key_of(question)).or_insert_with_if(nothing, |entry| entry.asked <= refuted).await;
        }
    }

    async fn ask(&self, question: &Question<'_>) -> Entry {
        self.metrics.verdict_misses.inc();
        let asked = Asked(self.questions.fetch_add(1, Ordering::Relaxed));
        let asked_at = self.clock.boottime();
        let judgement = match self.judge.verify(on_the_wire(question)).await {
            Ok(answer) => Judgement::from_wire(answer, asked_at)
                .inspect_err(|invalid| tracing::error!(what = invalid.what, "the authority's verdict makes no sense"))
                .ok(),
            Err(no_answer) => {
                tracing::warn!(error = %no_answer, "no verdict");
                None
            }
        };
        if judgement.is_none() {
            self.metrics.no_verdict.inc();
        }
        let usable_until = self.usable_until(judgement.as_ref(), asked_at);
        Entry { asked, judgement, usable_until }
    }

    fn usable_until(&self, judgement: Option<&Judgement>, asked_at: Boottime) -> Boottime {
        match judgement {
            None => Boottime::ZERO,
            Some(Judgement::Allowed(verdict)) => {
                (asked_at + self.ttl).min(verdict.reusable_until).min(verdict.expires_at.unwrap_or(Boottime::MAX))
            }
            Some(Judgement::Denied(refused)) if refused.permanent => asked_at + self.ttl,
            Some(Judgement::Denied(_)) => asked_at + self.ttl.min(TRANSIENT_TTL),
        }
    }
}

/// Where a credential is presented is part of the key, because a denial may depend on it.
fn key_of(question: &Question<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let (origin, address) = (question.at.origin.unwrap_or_default(), question.at.address.to_string());
    let secret = question.presented.secret().expose_bytes();
    for part in [secret, question.at.audience.as_bytes(), origin.as_bytes(), address.as_bytes()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

fn on_the_wire(question: &Question<'_>) -> v1::VerifyRequest {
    use v1::verify_request::Credential;
    // Only ASCII has the form of a credential.
    let text = question.presented.secret().expose_str().unwrap_or_default().to_owned();
    let credential = match question.presented.kind {
        PresentedKind::Ticket => Credential::Ticket(v1::TicketPresentation {
            ticket: text,
            redemption_id: question.redemption.as_bytes().to_vec(),
        }),
        PresentedKind::AccessToken | PresentedKind::ApiKey => Credential::Bearer(text),
    };
    v1::VerifyRequest {
        context: Some(v1::PresentationContext {
            audience: question.at.audience.to_owned(),
            origin: question.at.origin.unwrap_or_default().to_owned(),
            remote_address: question.at.address.to_string(),
        }),
        credential: Some(credential),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::sync::Mutex;

    use base64::Engine as _;
    use portcullis_types::{
        CredentialId, IdentityId, KeyDigest, KeyKind, ManualClock, OpaqueKind, OpaqueToken, SeededEntropy, TenantId,
        Timestamp,
    };

    use super::*;
    use crate::credential::{Carrier, CredentialRules};

    /// Gives the same answer until it is told another.
    struct Oracle {
        answer: Mutex<Option<v1::VerifyResponse>>,
        asked: Mutex<Vec<v1::VerifyRequest>>,
    }

    #[async_trait::async_trait]
    impl Judge for Oracle {
        async fn verify(&self, question: v1::VerifyRequest) -> Result<v1::VerifyResponse, NoAnswer> {
            self.asked.lock().expect("no test panics inside").push(question);
            // Whoever asks at the same time gets a turn.
            tokio::task::yield_now().await;
            self.answer.lock().expect("no test panics inside").clone().ok_or(NoAnswer::Late)
        }
    }

    struct Scene {
        oracle: Arc<Oracle>,
        clock: Arc<ManualClock>,
        verifier: Verifier,
    }

    const RULES: CredentialRules = CredentialRules { most_bytes: 1_000, allow_api_keys: true };
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const FROM_ANYWHERE: Presentation<'static> = Presentation { audience: "hub", origin: None, address: HERE };

    fn scene(ttl: Duration, answer: Option<v1::VerifyResponse>) -> Scene {
        let oracle = Arc::new(Oracle { answer: Mutex::new(answer), asked: Mutex::default() });
        let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_seconds(1_000)));
        let config = CacheConfig { ttl_ms: u64::try_from(ttl.as_millis()).expect("short"), entries: 100 };
        let judge: Arc<dyn Judge> = oracle.clone();
        let verifier = Verifier::new(&config, judge, clock.clone(), Arc::new(Metrics::new()));
        Scene { oracle, clock, verifier }
    }

    impl Scene {
        async fn ask(
            &self,
            presented: &Presented,
            at: Presentation<'_>,
            refuted: Option<Asked>,
        ) -> Result<Answered, Denial> {
            let redemption = RedemptionId::from_bytes([3; 16]);
            self.verifier.verify(&Question { presented, at, redemption }, refuted).await
        }

        async fn asked_after(&self, by: Duration) -> usize {
            self.clock.advance(by);
            let _judgement = self.ask(&bearer(), FROM_ANYWHERE, None).await;
            self.times_asked()
        }

        fn times_asked(&self) -> usize {
            self.oracle.asked.lock().expect("no test panics inside").len()
        }

        fn answers(&self, answer: Option<v1::VerifyResponse>) {
            *self.oracle.answer.lock().expect("no test panics inside") = answer;
        }
    }

    fn bearer() -> Presented {
        let part = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"a":1}"#);
        Presented::read(&format!("{part}.{part}.{part}"), Carrier::Header, RULES).expect("the form of a token")
    }

    fn ticket() -> Presented {
        let token =
            OpaqueToken::generate(OpaqueKind::Ticket, CredentialId::from_bytes([7; 16]), &SeededEntropy::new(1));
        let text = token.reveal();
        Presented::read(text.expose_str().expect("ASCII"), Carrier::Query, RULES).expect("a ticket")
    }

    fn allowed(cache_ttl_ms: i64, expires_in_ms: i64) -> Option<v1::VerifyResponse> {
        let (identity, credential) = (IdentityId::from_bytes([1; 16]), CredentialId::from_bytes([2; 16]));
        let tenant = TenantId::try_from("demo").expect("a valid name");
        let keys = [
            KeyDigest::of(&tenant, KeyKind::Tenant, "demo"),
            KeyDigest::of(&tenant, KeyKind::Identity, &identity.to_string()),
            KeyDigest::of(&tenant, KeyKind::Credential, &credential.to_string()),
        ];
        let reference = v1::CredentialReference { tenant: "demo".into(), credential_id: credential.to_string() };
        Some(v1::VerifyResponse {
            outcome: v1::Outcome::Allowed.into(),
            revision: Some(v1::Revision { shard: 0, seq: 1, chain: 1 }),
            allowed: Some(v1::Allowed {
                principal: Some(v1::Principal {
                    tenant: "demo".into(),
                    identity_id: identity.to_string(),
                    credential_id: credential.to_string(),
                    ..Default::default()
                }),
                keys: keys.map(Into::into).to_vec(),
                reference: Some(reference),
                expires_in_ms,
                cache_ttl_ms,
                constraints: None,
                lease_class: 0,
                signature_keys: Vec::new(),
            }),
            ..Default::default()
        })
    }

    fn denied(outcome: v1::Outcome) -> Option<v1::VerifyResponse> {
        Some(v1::VerifyResponse {
            outcome: outcome.into(),
            deny_reason: v1::DenyReason::Unknown.into(),
            ..Default::default()
        })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_verdict_is_reused_until_its_time_on_our_clock_and_not_at_it() {
        let scene = scene(30 * SECOND, allowed(600_000, 0));
        assert_eq!(scene.asked_after(Duration::ZERO).await, 1);
        assert_eq!(scene.asked_after(30 * SECOND - Duration::from_nanos(1)).await, 1);
        assert_eq!(scene.asked_after(Duration::from_nanos(1)).await, 2);
    }

    #[tokio::test]
    async fn neither_the_authority_nor_the_credentials_expiry_is_outlived() {
        for answer in [allowed(10_000, 0), allowed(600_000, 10_000)] {
            let scene = scene(30 * SECOND, answer);
            assert_eq!(scene.asked_after(Duration::ZERO).await, 1);
            assert_eq!(scene.asked_after(9 * SECOND).await, 1);
            assert_eq!(scene.asked_after(SECOND).await, 2);
        }
    }

    #[tokio::test]
    async fn a_verdict_that_must_not_be_reused_is_asked_for_each_time() {
        let scene = scene(30 * SECOND, allowed(0, 0));
        assert_eq!(scene.asked_after(Duration::ZERO).await, 1);
        assert_eq!(scene.asked_after(Duration::ZERO).await, 2);
    }

    #[tokio::test]
    async fn no_configuration_reuses_a_verdict_beyond_five_minutes() {
        let scene = scene(3_600 * SECOND, allowed(3_600_000, 0));
        assert_eq!(scene.asked_after(Duration::ZERO).await, 1);
        assert_eq!(scene.asked_after(300 * SECOND).await, 2);
    }

    #[tokio::test]
    async fn a_denial_for_ever_is_reused_and_one_for_now_for_two_seconds() {
        let permanent = scene(30 * SECOND, denied(v1::Outcome::DeniedPermanent));
        assert_eq!(permanent.asked_after(Duration::ZERO).await, 1);
        assert_eq!(permanent.asked_after(29 * SECOND).await, 1);
        assert_eq!(permanent.asked_after(SECOND).await, 2);
        let transient = scene(30 * SECOND, denied(v1::Outcome::DeniedTransient));
        assert_eq!(transient.asked_after(Duration::ZERO).await, 1);
        assert_eq!(transient.asked_after(SECOND).await, 1);
        assert_eq!(transient.asked_after(SECOND).await, 2);
    }

    #[tokio::test]
    async fn no_answer_is_no_verdict_and_is_not_kept() {
        let scene = scene(30 * SECOND, None);
        let nothing = scene.ask(&bearer(), FROM_ANYWHERE, None).await;
        assert_eq!(nothing.err(), Some(Denial::AuthorityUnavailable));
        scene.answers(allowed(600_000, 0));
        let judgement = scene.ask(&bearer(), FROM_ANYWHERE, None).await;
        assert!(matches!(judgement, Ok(Answered { judgement: Judgement::Allowed(_), .. })));
    }

    #[tokio::test]
    async fn a_ticket_is_asked_about_each_time_with_its_redemption() {
        let scene = scene(30 * SECOND, allowed(600_000, 0));
        for times in 1..=2 {
            assert!(scene.ask(&ticket(), FROM_ANYWHERE, None).await.is_ok());
            assert_eq!(scene.times_asked(), times);
        }
        let asked = scene.oracle.asked.lock().expect("no test panics inside");
        let Some(v1::verify_request::Credential::Ticket(sent)) = &asked[0].credential else {
            panic!("a ticket is presented as one")
        };
        assert_eq!(sent.redemption_id, [3; 16]);
    }

    #[tokio::test]
    async fn those_who_ask_together_ask_once() {
        let scene = scene(30 * SECOND, allowed(600_000, 0));
        let (first, second) = (bearer(), bearer());
        let (a, b) = tokio::join!(scene.ask(&first, FROM_ANYWHERE, None), scene.ask(&second, FROM_ANYWHERE, None));
        assert!(a.is_ok() && b.is_ok());
        assert_eq!(scene.times_asked(), 1);
    }

    /// Whoever finds it refuted after it was asked for anew has found out about the old one.
    #[tokio::test]
    async fn a_refuted_verdict_is_asked_for_anew_once_by_all_who_found_it_so() {
        let scene = scene(30 * SECOND, allowed(600_000, 0));
        let bearer = bearer();
        let ask = async |refuted| scene.ask(&bearer, FROM_ANYWHERE, refuted).await.expect("an answer").asked;
        let old = ask(None).await;
        let (a, b) = tokio::join!(ask(Some(old)), ask(Some(old)));
        assert!(a == b && a > old);
        for refuted in [Some(old), None] {
            assert_eq!(ask(refuted).await, a);
        }
        assert_eq!(scene.times_asked(), 2);
        assert!(ask(Some(a)).await > a, "the new one too");
    }

    #[tokio::test]
    async fn who_says_again_what_is_refuted_is_left_alone_for_two_seconds() {
        let scene = scene(30 * SECOND, allowed(600_000, 0));
        let bearer = bearer();
        let question =
            Question { presented: &bearer, at: FROM_ANYWHERE, redemption: RedemptionId::from_bytes([3; 16]) };
        let refuted = scene.verifier.verify(&question, None).await.expect("an answer").asked;
        scene.verifier.leave_alone(&question, refuted).await;
        for refuted in [None, Some(refuted)] {
            scene.clock.advance(SECOND - Duration::from_nanos(1));
            let left = scene.verifier.verify(&question, refuted).await;
            assert_eq!(left.err(), Some(Denial::AuthorityUnavailable), "{refuted:?}");
        }
        assert_eq!(scene.times_asked(), 1);
        scene.clock.advance(2 * Duration::from_nanos(1));
        let newer = scene.verifier.verify(&question, None).await.expect("an answer").asked;
        scene.verifier.leave_alone(&question, refuted).await;
        assert!(scene.verifier.verify(&question, None).await.is_ok_and(|answered| answered.asked == newer));
        assert_eq!(scene.times_asked(), 2, "what somebody got meanwhile stays");
    }

    #[tokio::test]
    async fn a_denial_at_one_place_says_nothing_about_another() {
        let scene = scene(30 * SECOND, denied(v1::Outcome::DeniedPermanent));
        for origin in [Some("https://a.test"), Some("https://b.test"), None] {
            let at = Presentation { audience: "hub", origin, address: HERE };
            assert!(scene.ask(&bearer(), at, None).await.is_ok());
        }
        assert_eq!(scene.times_asked(), 3);
        let at = Presentation { address: IpAddr::V4(Ipv4Addr::BROADCAST), ..FROM_ANYWHERE };
        assert!(scene.ask(&bearer(), at, None).await.is_ok());
        assert_eq!(scene.times_asked(), 4);
    }
}
