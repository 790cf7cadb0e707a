//! Requests that the authority makes itself, by HTTP/1.1: one connection for one answer.

/// Waits for an answer while its connection moves, and no longer.
pub(crate) async fn answer_over<T>(connection: impl Future, answer: impl Future<Output = T>) -> T {
    // What the connection ends with is told by the answer.
    let moving = async {
        let _ = connection.await;
        std::future::pending().await
    };
    tokio::select! {
        answer = answer => answer,
        never = moving => never,
    }
}
