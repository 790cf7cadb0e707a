//! A gateway before an authority of several replicas: one leaves, one dies, one does not answer.

use crate::standin::{Stage, StandIn, token};

async fn two_replicas() -> (Stage, StandIn) {
    let first = StandIn::start().await;
    let second = first.beside().await;
    first.knows(&token("alice"), 1);
    first.knows(&token("bob"), 2);
    let stage = Stage::with_replicas(first, &[&second], "").await.live().await;
    stage.authority.watched(1).await;
    (stage, second)
}

async fn metric(stage: &Stage, name: &str) -> f64 {
    let (_, _, text) = stage.get("/metrics", &[]).await;
    let value = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' '));
    value.filter_map(|(_, value)| value.parse::<f64>().ok()).sum()
}

#[tokio::test]
async fn a_watch_moves_to_another_replica_before_it_leaves_the_one_that_is_leaving() {
    let (stage, second) = two_replicas().await;
    let alice = stage.connected(&token("alice")).await;
    let mut bob = stage.connected(&token("bob")).await;
    // It says that it is leaving and stays: only the gateway can end the old watch, when the new one stands.
    stage.authority.leaves();
    second.watched(1).await;
    stage.authority.watched(0).await;
    assert_eq!(metric(&stage, "portcullis_gateway_watch_moves_total").await, 1.0);
    assert_eq!(metric(&stage, "portcullis_gateway_resyncs_total").await, 0.0);
    stage.authority.revokes_session_of(1);
    assert_eq!(alice.closed().await.code, Some(4511));
    assert_eq!(metric(&stage, "portcullis_gateway_entries_applied_total").await, 1.0);
    bob.say(r#"{"id":2,"ping":{}}"#).await;
    assert_eq!(bob.hear().await["id"], 2, "nothing froze");
}

#[tokio::test]
async fn entries_that_come_on_both_watches_are_applied_once() {
    let (stage, second) = two_replicas().await;
    let bob = stage.connected(&token("bob")).await;
    stage.authority.leaves();
    for _ in 0..20 {
        stage.authority.revokes_session_of(1);
        tokio::task::yield_now().await;
    }
    second.watched(1).await;
    stage.authority.watched(0).await;
    stage.authority.revokes_session_of(2);
    assert_eq!(bob.closed().await.code, Some(4511));
    assert_eq!(metric(&stage, "portcullis_gateway_applied_seq").await, 21.0);
    assert_eq!(metric(&stage, "portcullis_gateway_entries_applied_total").await, 21.0);
    assert_eq!(metric(&stage, "portcullis_gateway_fence_seconds_count").await, 21.0);
    assert_eq!(metric(&stage, "portcullis_gateway_resyncs_total").await, 0.0);
    assert_eq!(metric(&stage, "portcullis_gateway_watches_total").await, 2.0, "it did not have to begin again");
}

#[tokio::test]
async fn when_a_replica_dies_the_watch_and_the_look_ups_go_to_another() {
    let (stage, second) = two_replicas().await;
    let alice = stage.connected(&token("alice")).await;
    stage.authority.dies();
    second.watched(1).await;
    let stage = stage.live().await;
    // Nobody was asked about bob before: the living replica answers.
    let bob = stage.connected(&token("bob")).await;
    second.revokes_session_of(1);
    second.revokes_session_of(2);
    assert_eq!(alice.closed().await.code, Some(4511));
    assert_eq!(bob.closed().await.code, Some(4511));
}

#[tokio::test]
async fn a_replica_that_welcomes_a_watch_and_answers_no_probe_is_left_for_another() {
    let first = StandIn::start().await;
    let second = first.beside().await;
    first.knows(&token("alice"), 1);
    first.is_mute();
    // Live is whoever holds a lease, which the first never gives.
    let stage = Stage::with_replicas(first, &[&second], "").await.live().await;
    second.watched(1).await;
    let alice = stage.connected(&token("alice")).await;
    second.revokes_session_of(1);
    assert_eq!(alice.closed().await.code, Some(4511));
}

#[tokio::test]
async fn with_one_endpoint_a_watch_is_opened_again_when_its_replica_leaves() {
    let stage = Stage::set("").await.live().await;
    stage.authority.knows(&token("alice"), 1);
    let alice = stage.connected(&token("alice")).await;
    stage.authority.leaves();
    while metric(&stage, "portcullis_gateway_watches_total").await < 2.0 {
        tokio::task::yield_now().await;
    }
    stage.authority.watched(1).await;
    assert_eq!(metric(&stage, "portcullis_gateway_watch_moves_total").await, 0.0);
    stage.authority.revokes_session_of(1);
    assert_eq!(alice.closed().await.code, Some(4511));
}
