//! What is issued per second, by kind: a session with its tokens, a refreshed pair, a ticket. Each is a commit.
//!
//! The floor is how often a second 4 KiB can be appended to a file of the same directory and be on the disk.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use portcullis_proto::auth::v1;
use portcullis_proto::auth::v1::refresh_tokens_response::Outcome as Refreshed;

use super::verify::{Calls, create_ticket, repeat};
use super::{Place, durable_writes, present};
use crate::error::{BenchError, Outcome, While as _};
use crate::figures::Figure;
use crate::fleet::{Fleet, TENANT};
use crate::run::{Run, progress};

const ROW: &str = "issuing";
const AT_ONCE: [usize; 2] = [1, 16];
/// Blocks that are written for each floor.
const DISK_WRITES: usize = 200;

pub(super) async fn measure(run: &mut Run) -> Outcome<Vec<Figure>> {
    let count = run.scale.revocations;
    let fleet = Fleet::start(&run.folder, 0, run.cores).await?;
    fleet.user("user").await;
    let parent = present(fleet.logins("user", 1).await?.pop(), "opening a session")?.bearer;
    let pid = fleet.authority_pid()?;
    let mut figures = Vec::new();
    for at_once in AT_ONCE {
        progress(ROW, format_args!("{count} of each kind, {at_once} at once"));
        // Right before, because what the disk takes changes from one second to the next.
        let disk = durable_writes(&fleet.data(), Place::Behind, DISK_WRITES)?;
        let floor = 1_000_000.0 * disk.len() as f64 / disk.iter().sum::<f64>();
        let refresh_tokens = Mutex::new(VecDeque::new());
        let sessions = repeat(pid, count, at_once, || async {
            let pair = issue(&fleet).await?;
            refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner).push_back(pair.refresh_token);
            Ok(())
        })
        .await?;
        let refreshes = repeat(pid, count, at_once, || async {
            let token = refresh_tokens.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            refresh(&fleet, present(token, "finding a refresh token")?).await
        })
        .await?;
        let tickets = repeat(pid, count, at_once, || async { create_ticket(&fleet, &parent).await.map(drop) }).await?;
        for (kind, calls) in [("sessions", sessions), ("refreshed pairs", refreshes), ("tickets", tickets)] {
            figures.extend(tell(&format!("{kind}, {at_once} at once"), &calls, floor)?);
        }
    }
    Ok(figures)
}

fn tell(what: &str, calls: &Calls, floor: f64) -> Outcome<Vec<Figure>> {
    let took = Figure::spread(ROW, format!("{what}: call to answer"), "ms", calls.took.iter().copied());
    Ok(vec![
        Figure::single(ROW, what, "per second", calls.rate).beside("fsync of 4 KiB", floor),
        Figure::single(ROW, format!("{what}: authority's CPU, each"), "µs", calls.cpu),
        present(took, "issuing")?,
    ])
}

async fn issue(fleet: &Fleet) -> Outcome<v1::TokenPair> {
    let identity = Some(v1::identity_reference::Identity::Name("user".to_owned()));
    let identity = Some(v1::IdentityReference { tenant: TENANT.to_owned(), identity });
    let request = v1::IssueTokensRequest { identity, ..Default::default() };
    let issued = fleet.backend.credentials().issue_tokens(request).await.during("opening a session")?;
    issued.into_inner().tokens.during("reading a session's tokens")
}

async fn refresh(fleet: &Fleet, refresh_token: String) -> Outcome<()> {
    let request = v1::RefreshTokensRequest { refresh_token };
    let answer = fleet.backend.credentials().refresh_tokens(request).await.during("refreshing")?.into_inner();
    match answer.outcome {
        Some(Refreshed::Tokens(_)) => Ok(()),
        other => Err(BenchError::new("refreshing", format!("{other:?}"))),
    }
}
