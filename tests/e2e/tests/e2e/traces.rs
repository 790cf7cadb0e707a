//! Traces: one for a handshake and the verdict it asks for, over both programs, and nobody named in it.

use test_harness::{Collector, Site, Socket};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_handshake_and_the_verdict_it_asks_for_are_one_trace_that_names_nobody() {
    let collector = Collector::start().await;
    let site = Site::start_with(&collector.config()).await;
    let mut options = site.gateway_options("gateway-traced");
    options.more = collector.config();
    let gateway = site.start_gateway(&options).await;
    gateway.synced().await;
    let login = site.log_in("alice").await;

    let trace = "0af7651916cd43dd8448eb211c80319c";
    let (parent, bearer) = (format!("00-{trace}-b7ad6b7169203331-01"), format!("Bearer {}", login.access_token));
    let headers = [("traceparent", parent.as_str()), ("authorization", &bearer)];
    let mut socket = Socket::open(&gateway.url(), &headers).await.expect("a handshake");
    assert!(socket.connect(None).await.is_authenticated());

    let admission = collector.span("ws-gateway", "admission", |span| hex(&span.trace_id) == trace).await;
    assert_eq!(hex(&admission.parent_span_id), "b7ad6b7169203331");
    let asked = collector.span("ws-gateway", "Verify", |span| span.parent_span_id == admission.span_id).await;
    let method = "/portcullis.auth.v1.VerificationService/Verify";
    let answered = collector.span("auth-service", method, |span| span.parent_span_id == asked.span_id).await;
    assert_eq!([&asked.trace_id, &answered.trace_id], [&admission.trace_id; 2]);

    let said = format!("{admission:?} {asked:?} {answered:?}");
    for person in ["alice", "acme", &login.identity, &login.session, "127.0.0.1", "app.example"] {
        assert!(!said.contains(person), "{person} is in a trace: {said}");
    }
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_nothing_but_its_spans() {
    let nowhere = Collector::start().await.config();
    let mut site = Site::start_with(&nowhere).await;
    let login = site.log_in("alice").await;
    assert!(site.admin.verify(&login.access_token).await.allowed.is_some());
    assert!(site.authority.process.stop().await.success());
}
