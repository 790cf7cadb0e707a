//! What the doctor says of what is encrypted.

use std::sync::Arc;

use portcullis_types::{Clock, SystemClock};

use super::world::World;
use crate::doctor::{self, Output};

#[tokio::test]
async fn authenticator_apps_that_no_key_opens_are_counted_by_the_key_that_is_missing() {
    let world = World::new().await;
    world.enrol().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let examine = async || doctor::examine(&world.config, &clock).await.text(Output::Json);
    let well: serde_json::Value = serde_json::from_str(&examine().await).expect("JSON");
    let of = |report: &serde_json::Value| {
        let findings = report["findings"].as_array().expect("a list").clone();
        findings.into_iter().find(|finding| finding["check"] == "authenticator apps").expect("it was looked at")
    };
    assert_eq!(of(&well)["severity"], "ok", "{well}");
    let (file, id) = (world.config.data_dir.join("kek"), kek_id(&world));
    crate::private_file::write(&file, &[7; 32]).expect("another key-encryption key");
    let ill: serde_json::Value = serde_json::from_str(&examine().await).expect("JSON");
    let finding = of(&ill);
    assert_eq!(finding["severity"], "error", "{ill}");
    let said = finding.to_string();
    assert!(said.contains("1 under") && said.contains(&id), "{said}");
}

/// The id of the key-encryption key that the world was made with.
fn kek_id(world: &World) -> String {
    let bytes = std::fs::read(world.config.data_dir.join("kek")).expect("the first start wrote it");
    let bytes = bytes.as_slice().try_into().expect("32 bytes");
    auth_domain::KeyEncryptionKey::new(bytes).id().to_owned()
}
