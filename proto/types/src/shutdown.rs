//! Every task has an owner, and the owner waits for it.

use std::future::Future;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Owns the tasks of a process: soft shutdown asks them to end, hard shutdown stops waiting for them.
///
/// A task that panics takes the process down through [`Shutdown::spawn`], because a gateway without its watch or an
/// authority without its tailer must not look alive.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Owns nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves when tasks should finish what they do and end.
    pub async fn requested(&self) {
        self.soft.cancelled().await;
    }

    /// Whether tasks should end.
    pub fn is_requested(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Asks all tasks to end.
    pub fn request(&self) {
        self.soft.cancel();
    }

    /// Starts a task that the process cannot live without: if it panics, shutdown is requested and
    /// [`Shutdown::finish`] says so.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let owner = self.clone();
        self.tasks.spawn(async move {
            if let Err(failure) = tokio::spawn(task).await
                && failure.is_panic()
            {
                eprintln!("task {name} panicked; shutting down");
                owner.hard.cancel();
                owner.soft.cancel();
            }
        });
    }

    /// Starts a task of which there are many, such as one a connection: it is waited for, and a panic in it ends
    /// only it.
    pub fn track(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task);
    }

    /// How many tasks are running.
    pub fn running(&self) -> usize {
        self.tasks.len()
    }

    /// Asks all tasks to end and waits, at most for `grace`. False if a task panicked or was left running.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.soft.cancel();
        self.tasks.close();
        let ended = tokio::time::timeout(grace, self.tasks.wait()).await.is_ok();
        ended && !self.hard.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_for_tasks_that_heed_the_request() {
        let shutdown = Shutdown::new();
        let heeds = shutdown.clone();
        shutdown.spawn("heeds", async move { heeds.requested().await });
        assert!(shutdown.finish(Duration::from_secs(60)).await);
    }

    #[tokio::test]
    async fn a_panic_in_a_vital_task_requests_shutdown() {
        let shutdown = Shutdown::new();
        shutdown.spawn("fails", async { panic!("on purpose") });
        shutdown.requested().await;
        assert!(!shutdown.finish(Duration::from_secs(60)).await);
    }
}
