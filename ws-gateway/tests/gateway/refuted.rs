//! Verdicts that something has refuted which their credential may outlive: asked for anew, once, and never used.

use portcullis_proto::auth::v1::Effect;
use portcullis_types::KeyKind;

use crate::standin::{Client, Stage, token};
use crate::{alice, closed};

const CLIENTS: usize = 8;

/// Opens a socket with alice's token and says `connect`.
async fn comes(stage: &Stage) -> Client {
    let bearer = format!("Bearer {}", token("alice"));
    let mut client = stage.open("", &[("authorization", &bearer)]).await.expect("upgraded to be told");
    client.say(r#"{"id":1,"connect":{}}"#).await;
    client
}

/// So many come while the authority is slow to answer, and are let in by its one answer.
async fn come_back_by_one_question(stage: &Stage, asked_before: usize) {
    stage.authority.holds_verdicts(true);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(comes(stage).await);
    }
    stage.authority.asked(asked_before + 1).await;
    stage.authority.holds_verdicts(false);
    for client in &mut clients {
        let reply = client.hear().await;
        assert_eq!(reply["connect"]["data"]["authenticated"], true, "{reply}");
    }
    assert_eq!(stage.authority.questions().len(), asked_before + 1, "one for all of them");
}

#[tokio::test]
async fn a_revoked_public_key_closes_what_was_set_up_with_it_and_its_token_is_asked_about_once_more() {
    let stage = alice("").await;
    stage.authority.carries(Some(9));
    let first = stage.connected(&token("alice")).await;
    stage.authority.carries(None);
    stage.authority.commits(KeyKind::Credential, 9, Effect::Kill);
    assert_eq!(first.closed().await, closed(4510, "credential revoked"));
    come_back_by_one_question(&stage, 1).await;
}

#[tokio::test]
async fn an_api_key_outlives_what_ends_sessions_and_not_its_own_end() {
    let stage = alice("").await;
    stage.authority.knows_api_keys();
    let first = stage.connected(&token("alice")).await;
    stage.authority.commits(KeyKind::Identity, 1, Effect::Kill);
    assert_eq!(first.closed().await.code, Some(4512));
    come_back_by_one_question(&stage, 1).await;
    let witness = stage.connected(&token("alice")).await;
    stage.authority.commits(KeyKind::Credential, 1, Effect::Kill);
    assert_eq!(witness.closed().await.code, Some(4510));
    for _ in 0..CLIENTS {
        let mut again = comes(&stage).await;
        assert_eq!(again.hear().await["error"]["message"], "credential_revoked");
        assert_eq!(again.closed().await.code, Some(4510));
    }
    assert_eq!(stage.authority.questions().len(), 2, "what is dead for ever is not asked about");
}

/// As by a replica that has not seen yet what this gateway has: nobody is let in on it.
#[tokio::test]
async fn an_authority_that_vouches_again_for_what_was_refuted_lets_nobody_in() {
    let stage = alice("").await;
    let (_first, witness) = (stage.connected(&token("alice")).await, stage.connected(&token("bob")).await);
    stage.authority.lags(true);
    stage.authority.commits(KeyKind::Identity, 1, Effect::Reauthorize);
    stage.authority.revokes_session_of(2);
    assert_eq!(witness.closed().await.code, Some(4511), "the gateway has applied both");
    let mut again = comes(&stage).await;
    assert_eq!(again.hear().await["error"]["message"], "not_ready");
    assert_eq!(again.closed().await, closed(1013, "not_ready"));
    assert_eq!(stage.authority.questions().len(), 4, "two before, and two by this one");
}
