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

/// Calls for one batch at most: enough to find a few members that cannot be answered.
const MOST_CALLS: usize = 64;

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

    /// A batch that fails whole may hold one member that the rest must not suffer for: it is halved until it is found.
    async fn ask(&self, batch: Vec<Question>) -> Vec<Input> {
        let (mut inputs, mut open, mut calls) = (Vec::with_capacity(batch.len()), vec![batch], 0);
        while let Some(mut part) = open.pop() {
            calls += 1;
            match self.ask_at_once(&part).await {
                Ok(answers) => inputs.extend(answers),
                Err(Unanswered::Batch) if part.len() > 1 && calls < MOST_CALLS => {
                    let half = part.split_off(part.len() / 2);
                    open.extend([half, part]);
                }
                Err(Unanswered::Batch | Unanswered::All) => inputs.extend(self.failed(part).await),
            }
        }
        inputs
    }

    async fn ask_at_once(&self, batch: &[Question]) -> Result<Vec<Input>, Unanswered> {
        let references = batch.iter().map(|(_, reference)| on_the_wire(reference)).collect();
        let asked_at = self.clock.boottime();
        let answer = self.authority.batch_verify(v1::BatchVerifyRequest { references }).await;
        let verdicts = verdicts(answer, batch.len())?;
        Ok(batch.iter().cloned().zip(verdicts).map(|(question, verdict)| input(question, verdict, asked_at)).collect())
    }

    async fn failed(&self, batch: Vec<Question>) -> Vec<Input> {
        let half = PAUSE / 2;
        let jitter = u32::try_from(self.entropy.u64() % 1_000).unwrap_or(0);
        tokio::time::sleep(half + half * jitter / 1_000).await;
        batch.into_iter().map(|(connection, _)| Input::ReverifyFailed { connection }).collect()
    }
}

/// Why a batch has no answers.
enum Unanswered {
    /// Nobody answers: smaller questions would not be answered either.
    All,
    /// This batch cannot be answered.
    Batch,
}

fn input((connection, reference): Question, verdict: v1::VerifyResponse, asked_at: Boottime) -> Input {
    match Judgement::from_wire(verdict, asked_at) {
        Ok(judgement) => Input::Reverified { connection, reference, judgement },
        Err(invalid) => {
            tracing::error!(what = invalid.what, "a verdict makes no sense");
            Input::ReverifyFailed { connection }
        }
    }
}

fn on_the_wire(reference: &CredentialReference) -> v1::CredentialReference {
    v1::CredentialReference {
        tenant: reference.tenant.as_str().to_owned(),
        credential_id: reference.credential.to_string(),
    }
}

fn verdicts(
    answer: Result<v1::BatchVerifyResponse, NoAnswer>,
    asked: usize,
) -> Result<Vec<v1::VerifyResponse>, Unanswered> {
    match answer {
        Ok(answer) if answer.verdicts.len() == asked => Ok(answer.verdicts),
        Ok(answer) => {
            let answered = answer.verdicts.len();
            tracing::error!(asked, answered, "the authority answered another number of questions");
            Err(Unanswered::Batch)
        }
        Err(no_answer) => {
            tracing::warn!(error = %no_answer, connections = asked, "no verdicts on open connections");
            Err(if no_answer.is_about_the_call() { Unanswered::Batch } else { Unanswered::All })
        }
    }
}
