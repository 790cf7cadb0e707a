//! Verdicts per second over one connection, by kind of credential, and the authority's CPU for each, on SQLite or
//! PostgreSQL. They are about several credentials of a kind in turn, because gateways keep the verdict of one for a while.
//!
//! The floors: a bare tonic server that echoes a message of the same size on the same core, and a bare ES256
//! verification in this process.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use bytes::Bytes;
use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::verify_request::Credential;
use tonic::transport::Channel;

use super::{bare_grpc, grpc, micros, per_second, present};
use crate::bare::grpc::v1::Item;
use crate::bare::grpc::v1::bare_client::BareClient;
use crate::error::{BenchError, Outcome, While as _};
use crate::figures::{Figure, Spread};
use crate::fleet::{Fleet, Kept, TENANT};
use crate::machine;
use crate::run::{Run, progress};

/// How many credentials of a kind are asked about in turn.
const DIFFERENT: usize = 64;
/// A ticket is spent by a verdict, which is a commit: of the other verdicts there are so many times more.
const TICKETS: usize = 10;
/// Calls that wait for their answer at once, over the one connection.
const AT_ONCE: [usize; 2] = [1, 16];

/// How calls went: per second, CPU microseconds of the server for each, milliseconds of each.
pub(super) struct Calls {
    pub(super) rate: f64,
    pub(super) cpu: f64,
    pub(super) took: Vec<f64>,
}

pub(super) async fn measure(run: &mut Run, kept: Kept) -> Outcome<Vec<Figure>> {
    let row = match kept {
        Kept::Sqlite => "verify",
        Kept::Postgres => "verify-postgres",
    };
    let count = run.scale.verdicts;
    let fleet = Fleet::start_on(kept, &run.folder, 0, run.cores).await?;
    let (tokens, api_keys, cookies) = credentials(&fleet).await?;
    let token = present(tokens.first(), "opening a session")?;
    let signature = signature_checks(count)?;
    let (bare, address) = bare_grpc(run).await?;
    let channel = grpc(address).await?;
    let mut figures = Vec::new();
    for at_once in AT_ONCE {
        progress(row, format_args!("{count} echoes and verdicts of each kind, {at_once} at once"));
        let echo = echoes(&channel, bare.pid()?, token, count, at_once).await?;
        let kinds =
            [("access token", &tokens, signature), ("API key", &api_keys, 0.0), ("session cookie", &cookies, 0.0)];
        for (kind, bearers, check) in kinds {
            let calls = verdicts(&fleet, bearers, count, at_once).await?;
            figures.extend(compare(row, &format!("{kind}, {at_once} at once"), &calls, &echo, check)?);
        }
        let calls = redemptions(&fleet, token, count.div_ceil(TICKETS), at_once).await?;
        figures.extend(compare(row, &format!("ticket, spent, {at_once} at once"), &calls, &echo, 0.0)?);
    }
    figures.push(Figure::single(row, "floor: one ES256 verification", "µs", signature));
    Ok(figures)
}

/// Access tokens, API keys and session cookies.
async fn credentials(fleet: &Fleet) -> Outcome<(Vec<String>, Vec<String>, Vec<String>)> {
    fleet.user("user").await;
    let tokens = fleet.logins("user", DIFFERENT).await?.into_iter().map(|login| login.bearer).collect();
    let (mut api_keys, mut cookies) = (Vec::new(), Vec::new());
    for _ in 0..DIFFERENT {
        api_keys.push(fleet.admin.create_api_key(TENANT, "backend", &["verify"]).await.1);
        cookies.push(fleet.cookie("user").await?);
    }
    Ok((tokens, api_keys, cookies))
}

fn compare(row: &'static str, what: &str, calls: &Calls, echo: &Calls, check: f64) -> Outcome<Vec<Figure>> {
    let echo_took = present(Spread::of(echo.took.iter().copied()), "calling the bare server")?.p50;
    let took = Figure::spread(row, format!("{what}: call to answer"), "ms", calls.took.iter().copied());
    let floor = if check > 0.0 { "ES256 + 2 echoes" } else { "2 echoes" };
    Ok(vec![
        Figure::single(row, what, "per second", calls.rate).beside("tonic echo", echo.rate),
        Figure::single(row, format!("{what}: authority's CPU, each"), "µs", calls.cpu)
            .beside(floor, check + 2.0 * echo.cpu),
        present(took, "verifying")?.beside("tonic echo", echo_took),
    ])
}

/// Microseconds of one verification.
fn signature_checks(count: usize) -> Outcome<f64> {
    let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
    let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).during("making a key")?;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref()).during("making a key")?;
    let message = [b'x'; 400];
    let signature = pair.sign(&random, &message).during("signing")?;
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let began = machine::nanos();
    for _ in 0..count {
        public.verify(&message, signature.as_ref()).during("verifying a signature")?;
    }
    Ok(micros(machine::nanos().saturating_sub(began)) / count as f64)
}

async fn echoes(channel: &Channel, pid: u32, payload: &str, count: usize, at_once: usize) -> Outcome<Calls> {
    let item = Item { at_us: 0, payload: Bytes::copy_from_slice(payload.as_bytes()) };
    repeat(pid, count, at_once, || {
        let (mut client, item) = (BareClient::new(channel.clone()), item.clone());
        async move { client.echo(item).await.during("calling the bare server").map(drop) }
    })
    .await
}

async fn verdicts(fleet: &Fleet, bearers: &[String], count: usize, at_once: usize) -> Outcome<Calls> {
    let asked = AtomicUsize::new(0);
    repeat(fleet.authority_pid()?, count, at_once, || async {
        let verdict = fleet.backend.verify(&bearers[asked.fetch_add(1, Ordering::Relaxed) % bearers.len()]).await;
        let allowed = verdict.allowed.is_some();
        allowed.then_some(()).ok_or_else(|| BenchError::new("verifying", format!("{verdict:?}")))
    })
    .await
}

/// Verdicts that each spend a ticket, all of them new when the first is asked for.
async fn redemptions(fleet: &Fleet, parent: &str, count: usize, at_once: usize) -> Outcome<Calls> {
    let tickets = Mutex::new(Vec::new());
    for _ in 0..calls_of(count, at_once) {
        let made = create_ticket(fleet, parent).await?;
        tickets.lock().unwrap_or_else(PoisonError::into_inner).push(made);
    }
    let redeemed = AtomicU64::new(0);
    repeat(fleet.authority_pid()?, count, at_once, || async {
        let ticket = present(tickets.lock().unwrap_or_else(PoisonError::into_inner).pop(), "finding a ticket")?;
        let redemption_id = u128::from(redeemed.fetch_add(1, Ordering::Relaxed)).to_be_bytes().to_vec();
        let credential = Credential::Ticket(v1::TicketPresentation { ticket, redemption_id });
        let request = v1::VerifyRequest { credential: Some(credential), context: None };
        let verdict = fleet.backend.verification().verify(request).await.during("redeeming a ticket")?.into_inner();
        let allowed = verdict.allowed.is_some();
        allowed.then_some(()).ok_or_else(|| BenchError::new("redeeming a ticket", format!("{verdict:?}")))
    })
    .await
}

/// A ticket of a credential.
pub(super) async fn create_ticket(fleet: &Fleet, parent: &str) -> Outcome<String> {
    let request = v1::CreateTicketRequest { parent_credential: parent.to_owned(), ..Default::default() };
    let made = fleet.backend.tickets().create_ticket(request).await.during("making a ticket")?;
    Ok(made.into_inner().ticket)
}

/// How often [`repeat`] calls.
const fn calls_of(count: usize, at_once: usize) -> usize {
    1 + count.div_ceil(at_once) * at_once
}

/// So many callers, each of which waits for its answer and calls again.
pub(super) async fn repeat<F>(pid: u32, count: usize, at_once: usize, call: impl Fn() -> F) -> Outcome<Calls>
where
    F: Future<Output = Outcome<()>>,
{
    let one_caller = || async {
        let mut took = Vec::new();
        for _ in 0..count.div_ceil(at_once) {
            let called = machine::nanos();
            call().await?;
            took.push(micros(machine::nanos().saturating_sub(called)) / 1_000.0);
        }
        Ok::<_, BenchError>(took)
    };
    // The first call opens the connection.
    call().await?;
    let (began, before) = (machine::nanos(), machine::cpu(pid)?);
    let took = futures_util::future::try_join_all((0..at_once).map(|_| one_caller())).await?.concat();
    let rate = per_second(took.len(), began);
    let cpu = (machine::cpu(pid)? - before).as_secs_f64() * 1_000_000.0 / took.len() as f64;
    Ok(Calls { rate, cpu, took })
}
