//! Asking the authority again about connections that were admitted.
//!
//! Owns a few workers that turn the enforcer's questions into batches by reference, without any secret.
//! Guarantees that every question ends in an answer or in its failure, and that a failure is not reported before a pause,
//! because the enforcer asks again at once. Bounded: so many batches wait; what does not fit fails, and is asked again.

use std::sync::Arc;
use std::time::Duration;

use gateway_core::{ConnectionId, CredentialReference, Input, Judgement};
use portcullis_proto::auth::v1;
use portcullis_types::{Boottime, Clock, Entropy, Shutdown};
use tokio::sync::{Mutex, mpsc};

use crate::authority::{Authority, NoAnswer};

/// Questions in one batch: what the contract allows.
pub const BATCH: usize = 256;

/// Batches that wait: enough for every socket of a full process.
const WAITING: usize = 128;

/// Batches asked at one time.
const WORKERS: usize = 4;

/// Batches of answers that wait for the driver.
const ANSWERS: usize = 16;

/// The longest pause before a failure is reported.
const PAUSE: Duration = Duration::from_millis(500);

/// What is asked.
pub type Question = (ConnectionId, CredentialReference);

/// The driver's end.
#[derive(Debug)]
pub struct Reverifier {
    /// Where batches go.
    pub questions: mpsc::Sender<Vec<Question>>,
    /// Where answers come from.
    pub answers: mpsc::Receiver<Vec<Input>>,
}

struct Worker {
    authority: Arc<Authority>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    questions: Arc<Mutex<mpsc::Receiver<Vec<Question>>>>,
    answers: mpsc::Sender<Vec<Input>>,
}

/// Starts the workers; they end when the driver's end is dropped.
pub fn start(
    authority: &Arc<Authority>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
    tasks: &Shutdown,
) -> Reverifier {
    let (to_workers, questions) = mpsc::channel(WAITING);
    let (answers, from_workers) = mpsc::channel(ANSWERS);
    let questions = Arc::new(Mutex::new(questions));
    for _ in 0..WORKERS {
        let worker = Worker {
            authority: Arc::clone(authority),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            questions: Arc::clone(&questions),
            answers: answers.clone(),
        };
        tasks.spawn("reverify", worker.run());
    }
    Reverifier { questions: to_workers, answers: from_workers }
}

impl Worker {
    async fn run(self) {
        loop {
            let batch = self.questions.lock().await.recv().await;
            let Some(batch) = batch else { return };
            let inputs = self.ask(batch).await;
            if self.answers.send(inputs).await.is_err() {
                return;
            }
        }
    }

    async fn ask(&self, batch: Vec<Question>) -> Vec<Input> {
        let references = batch.iter().map(|(_, reference)| on_the_wire(reference)).collect();
        let asked_at = self.clock.boottime();
        let answer = self.authority.batch_verify(v1::BatchVerifyRequest { references }).await;
        if let Some(judgements) = judgements(answer, batch.len(), asked_at) {
            let connections = batch.into_iter().map(|(connection, _)| connection);
            let inputs = connections.zip(judgements);
            return inputs.map(|(connection, judgement)| Input::Reverified { connection, judgement }).collect();
        }
        let half = PAUSE / 2;
        let jitter = u32::try_from(self.entropy.u64() % 1_000).unwrap_or(0);
        tokio::time::sleep(half + half * jitter / 1_000).await;
        batch.into_iter().map(|(connection, _)| Input::ReverifyFailed { connection }).collect()
    }
}

fn on_the_wire(reference: &CredentialReference) -> v1::CredentialReference {
    v1::CredentialReference {
        tenant: reference.tenant.as_str().to_owned(),
        credential_id: reference.credential.to_string(),
    }
}

fn judgements(
    answer: Result<v1::BatchVerifyResponse, NoAnswer>,
    asked: usize,
    asked_at: Boottime,
) -> Option<Vec<Judgement>> {
    let verdicts = match answer {
        Ok(answer) if answer.verdicts.len() == asked => answer.verdicts,
        Ok(answer) => {
            tracing::error!(
                asked,
                answered = answer.verdicts.len(),
                "the authority answered another number of questions"
            );
            return None;
        }
        Err(no_answer) => {
            tracing::warn!(error = %no_answer, connections = asked, "no verdicts on open connections");
            return None;
        }
    };
    let judgements: Result<Vec<_>, _> =
        verdicts.into_iter().map(|verdict| Judgement::from_wire(verdict, asked_at)).collect();
    judgements.inspect_err(|invalid| tracing::error!(what = invalid.what, "a verdict makes no sense")).ok()
}
