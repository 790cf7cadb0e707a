//! What is done to a store while nothing serves it.

use std::sync::Arc;

use auth_domain::{SealMark, VouchError};
use portcullis_types::{AuditAnchor, Shutdown, SystemClock, SystemEntropy};

use super::world::config_in;
use crate::metrics::Metrics;
use crate::startup::{self, Surroundings};
use crate::store;
use crate::upkeep::{self, UpkeepError};

#[tokio::test]
async fn seals_without_a_mark_are_vouched_for_on_the_machine_while_nothing_serves_the_store() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let config = config_in(folder.path().to_owned());
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let around = Surroundings { clock, entropy, shutdown: Shutdown::new() };
    upkeep::bootstrap(&config, &around).await.expect("the first start");
    let store = store::open(&config, None, &SystemEntropy).await.expect("it opens");
    let metrics = Arc::new(Metrics::new());
    let authority = startup::open_authority(&config, &around, Arc::clone(&store), metrics).await.expect("it opens");
    let noted = authority.seal_audit().await.expect("seals").expect("there are rows").anchor();
    let mark = store.read().await.expect("reads").seal_marks(0, 1).await.expect("reads").remove(0);
    let mut tx = store.write().await.expect("begins");
    let unmarked = SealMark { mark: Vec::new(), ..mark.clone() };
    assert!(tx.mark_seal(&mark, &unmarked).await.expect("writes"));
    tx.commit().await.expect("commits");
    let refused = upkeep::vouch(&config, noted, &around).await.expect_err("it is open elsewhere");
    assert!(matches!(refused, UpkeepError::Served(_)), "{refused:?}");
    drop(authority);
    store.close().await;
    drop(store);

    let other = AuditAnchor { hash: [7; 32], ..noted };
    let refused = upkeep::vouch(&config, other, &around).await.expect_err("it is another one");
    assert!(matches!(refused, UpkeepError::Vouch(VouchError::OtherSeal(1))), "{refused:?}");
    let said = upkeep::vouch(&config, noted, &around).await.expect("it is the noted one");
    assert!(said.ends_with(": 1"), "{said}");
    let again = upkeep::vouch(&config, noted, &around).await.expect("it is the noted one");
    assert!(again.ends_with(": 0"), "{again}");
}
