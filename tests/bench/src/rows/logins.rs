//! What a refused login takes, by whether the name exists, and what a flood of them does to verdicts.
//!
//! Passwords cost here what they cost by default. Every attempt comes from an address of its own, and no account is tried
//! more often than is free, so that none is refused for coming too early.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::begin_authentication_request::Method;
use portcullis_proto::auth::v1::begin_authentication_response::Outcome as Stands;

use super::{micros, present};
use crate::error::{BenchError, Outcome, While as _};
use crate::figures::{Figure, Spread};
use crate::fleet::{Fleet, TENANT};
use crate::machine;
use crate::run::{Run, progress};

const ROW: &str = "logins";
/// Attempts on one name: fewer than are free.
const OF_ONE_NAME: usize = 20;
/// How many of the flood wait for their answer at once.
const FLOOD: usize = 16;

pub(super) async fn measure(run: &mut Run) -> Outcome<Vec<Figure>> {
    let (count, verdicts) = (run.scale.logins, run.scale.verdicts / 10);
    let fleet = Fleet::start_with_dear_passwords(&run.folder, run.cores).await?;
    for user in 0..count.div_ceil(OF_ONE_NAME) {
        fleet.user(&format!("user-{user}")).await;
    }
    let token = present(fleet.logins("user-0", 1).await?.pop(), "opening a session")?.bearer;
    let addresses = AtomicU32::new(0);

    progress(ROW, format_args!("{count} refused logins of each kind, one after the other"));
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for attempt in 0..count {
        // In turn, so that whatever disturbs the machine disturbs both.
        let name = attempt / OF_ONE_NAME;
        known.push(refused(&fleet, &format!("user-{name}"), &addresses).await?);
        unknown.push(refused(&fleet, &format!("nobody-{name}"), &addresses).await?);
    }
    progress(ROW, format_args!("{verdicts} verdicts without and during a flood of refused logins"));
    let quiet = took(&fleet, &token, verdicts).await?;
    let over = AtomicBool::new(false);
    let flood = async {
        let guess = |stream: usize| {
            let (fleet, addresses, over) = (&fleet, &addresses, &over);
            async move {
                let mut guesses = 0;
                while !over.load(Ordering::Relaxed) {
                    refused(fleet, &format!("flood-{stream}-{}", guesses / OF_ONE_NAME), addresses).await?;
                    guesses += 1;
                }
                Ok::<_, BenchError>(guesses)
            }
        };
        futures_util::future::try_join_all((0..FLOOD).map(guess)).await
    };
    let during = async {
        let during = took(&fleet, &token, verdicts).await;
        over.store(true, Ordering::Relaxed);
        during
    };
    let began = machine::nanos();
    let (guesses, during) = futures_util::future::try_join(flood, during).await?;
    let rate = super::per_second(guesses.iter().sum(), began);
    compare(&known, &unknown, &quiet, &during, rate)
}

fn compare(known: &[f64], unknown: &[f64], quiet: &[f64], during: &[f64], rate: f64) -> Outcome<Vec<Figure>> {
    let spread = |samples: &[f64]| present(Spread::of(samples.iter().copied()), "measuring");
    let figure = |what: &str, samples: &[f64]| present(Figure::spread(ROW, what, "ms", samples.iter().copied()), what);
    let (of_unknown, of_quiet, of_during) = (spread(unknown)?, spread(quiet)?, spread(during)?);
    Ok(vec![
        figure("refused, a name that exists", known)?.beside("a name that does not", of_unknown.p50),
        figure("refused, a name that does not exist", unknown)?,
        Figure::single(ROW, "Verify during a flood of logins, p50", "ms", of_during.p50)
            .beside("without", of_quiet.p50),
        Figure::single(ROW, "Verify during a flood of logins, p99", "ms", of_during.p99)
            .beside("without", of_quiet.p99),
        Figure::single(ROW, "the flood: logins refused", "per second", rate),
    ])
}

/// Milliseconds that a login with a wrong password takes.
async fn refused(fleet: &Fleet, name: &str, addresses: &AtomicU32) -> Outcome<f64> {
    let address = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | addresses.fetch_add(1, Ordering::Relaxed)));
    let method = v1::PasswordMethod { name: name.to_owned(), password: "wrong horse battery".to_owned() };
    let request = v1::BeginAuthenticationRequest {
        tenant: TENANT.to_owned(),
        method: Some(Method::Password(method)),
        client_address: address.to_string(),
        ..Default::default()
    };
    let began = machine::nanos();
    let answer = fleet.backend.authentication().begin_authentication(request).await.during("logging in")?;
    let took = micros(machine::nanos().saturating_sub(began)) / 1_000.0;
    match answer.into_inner().outcome {
        Some(Stands::Denied(_)) => Ok(took),
        other => Err(BenchError::new("logging in", format!("not refused: {other:?}"))),
    }
}

/// Milliseconds that each of so many verdicts takes, one after the other.
async fn took(fleet: &Fleet, token: &str, count: usize) -> Outcome<Vec<f64>> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let began = machine::nanos();
        let verdict = fleet.backend.verify(token).await;
        verdict.allowed.during("verifying")?;
        took.push(micros(machine::nanos().saturating_sub(began)) / 1_000.0);
    }
    Ok(took)
}
