//! Memory of a remembered revocation.
//!
//! A process of its own drives the gateway's enforcer with entries, each of which kills one session, and looks at its
//! own memory before and after: through the API it would take minutes to commit as many, and the rest of the gateway
//! would be in the figure. Beside it: a map from 16 bytes to a number, filled in the same way.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use gateway_core::{Enforcer, Input, Settings, Welcome};
use portcullis_proto::auth::v1;
use portcullis_types::{
    Chain, Clock as _, KeyDigest, KeyKind, LeaseLengths, LeaseTerms, Revision, SystemClock, TenantId,
};
use prost::Message as _;

use crate::child::Part;
use crate::error::{BenchError, Outcome, While as _};
use crate::figures::Figure;
use crate::machine;
use crate::run::{Run, progress};

const ROW: &str = "index";

pub(super) async fn measure(run: &mut Run) -> Outcome<Vec<Figure>> {
    let events = run.scale.events;
    progress(ROW, format_args!("filling an index with {events} events"));
    let ours = bytes_each(&["fill-index", &events.to_string()], run).await?;
    let bare = bytes_each(&["fill-index", &events.to_string(), "--bare"], run).await?;
    let what = format!("{events} killed sessions: RSS, each");
    Ok(vec![Figure::single(ROW, what, "bytes", ours).beside("HashMap<[u8; 16], u64>", bare)])
}

async fn bytes_each(arguments: &[&str], run: &Run) -> Outcome<f64> {
    Part::server(arguments, run.cores)?.hear().await
}

/// The process: fills and says how many bytes each event took.
pub(crate) fn fill(events: usize, bare: bool) -> Outcome<()> {
    let tenant: TenantId = "acme".try_into().during("naming a tenant")?;
    let key = |number: usize| KeyDigest::of(&tenant, KeyKind::Session, &number.to_string());
    let before = machine::memory(std::process::id())?.rss;
    let after = if bare { fill_map(events, key)? } else { fill_enforcer(events, key)? };
    println!("{}", after.saturating_sub(before) as f64 / events as f64);
    Ok(())
}

fn fill_map(events: usize, key: impl Fn(usize) -> KeyDigest) -> Outcome<u64> {
    let map: HashMap<[u8; 16], u64> = (0..events).map(|number| (key(number).id, number as u64)).collect();
    let after = machine::memory(std::process::id())?.rss;
    // The map lives until its memory has been looked at.
    drop(map);
    Ok(after)
}

fn fill_enforcer(events: usize, key: impl Fn(usize) -> KeyDigest) -> Outcome<u64> {
    let now = SystemClock.boottime();
    let mut enforcer = Enforcer::new(Settings::default());
    let mut chain = Chain::from_bytes([0; 16]);
    let mut seq = 0;
    enforcer.step(Input::StreamOpened, now);
    enforcer.step(Input::Welcome(welcome(Revision { seq, chain: chain.short() })?), now);
    for number in 0..events {
        let payload = entry(key(number));
        let previous_chain = chain.short();
        (chain, seq) = (chain.extended_by(&payload), seq + 1);
        let revision = Revision { seq, chain: chain.short() };
        enforcer.step(Input::Entry { revision, previous_chain, payload }, now);
    }
    let after = machine::memory(std::process::id())?.rss;
    let held = enforcer.counts().index_keys;
    if held == events { Ok(after) } else { Err(BenchError::new("filling an index", format!("it holds {held}"))) }
}

fn welcome(position: Revision) -> Outcome<Welcome> {
    let lease = Duration::from_secs(15);
    let lengths =
        LeaseLengths { strict: lease, standard: lease, tolerant: lease, hold_max: Duration::ZERO, bound: lease };
    let terms = LeaseTerms::new(lengths).during("setting the terms of leases")?;
    Ok(Welcome { resumed: false, position, terms, probe_interval: Duration::from_millis(500), bound: lease })
}

fn entry(key: KeyDigest) -> Bytes {
    let revocation = v1::Revocation {
        keys: vec![key.into()],
        effect: v1::Effect::Kill as i32,
        reason: v1::RevocationReason::Administrative as i32,
        close_code: 4511,
        closes_per_second: 0,
    };
    v1::RevocationBatch { revocations: vec![revocation] }.encode_to_vec().into()
}
