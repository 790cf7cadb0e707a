//! Hostile variants of good input, for every parser of what a peer sends.
//!
//! What kind of fuzzing this is: inputs are made from good ones by a few edits each (bits, bytes, words of the parsers'
//! own languages, pieces moved, repeated and cut), drawn and shrunk by proptest. It is not guided by coverage: the
//! compiler's instrumentation for that needs a C++ runtime and `unsafe`, which no crate here allows. Instead each target
//! says in a word what became of an input, and its report counts the words: one that never occurs is a part of the parser
//! that was not reached, and the target asserts those it must reach.
//!
//! Owns the edits ([`edit`]), the loop and the inputs that once failed: each is kept in a file below `regressions/`, and
//! replayed before anything is drawn. Brief and from a fixed seed in every run of the tests; `cargo xtask fuzz` sets
//! [`SECONDS`] and goes on from a new seed for so long.
#![forbid(unsafe_code)]

pub mod edit;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use portcullis_types::{Clock as _, Entropy, SystemClock, SystemEntropy};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

/// For how many seconds each target runs; absent or 0: as many inputs as the tests take.
pub const SECONDS: &str = "PORTCULLIS_FUZZ_SECONDS";

const BRIEF: u32 = 2_000;
const BATCH: u32 = 1_000;
/// One input may not take longer: a peer would hold a core with it.
const SLOWEST: Duration = Duration::from_secs(2);

/// A parser under test.
#[derive(Debug)]
pub struct Target {
    name: &'static str,
    regressions: PathBuf,
    seeds: Vec<Vec<u8>>,
    must_reach: &'static [&'static str],
}

impl Target {
    /// A target whose failed inputs are kept in `regressions/<name>` of the crate at `crate_folder`.
    pub fn new(name: &'static str, crate_folder: &str) -> Self {
        let regressions = Path::new(crate_folder).join("regressions").join(name);
        Self { name, regressions, seeds: Vec::new(), must_reach: &[] }
    }

    /// Good inputs to begin with.
    #[must_use]
    pub fn seeds(mut self, seeds: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        self.seeds.extend(seeds.into_iter().map(Into::into));
        self
    }

    /// Words that must occur, or the target does not reach what it is for.
    #[must_use]
    pub const fn must_reach(mut self, words: &'static [&'static str]) -> Self {
        self.must_reach = words;
        self
    }

    /// Runs `check`, which panics when something is wrong and otherwise says what became of the input.
    ///
    /// # Panics
    /// When an input fails; the message says where it is kept.
    pub fn run(&self, check: impl Fn(&[u8]) -> &'static str) {
        let seen = Mutex::new(BTreeMap::<&'static str, u64>::new());
        let judge = |input: &[u8]| {
            let began = SystemClock.boottime();
            let word = catch_unwind(AssertUnwindSafe(|| check(input))).map_err(|_| "it panicked, see above")?;
            if SystemClock.boottime().saturating_since(began) > SLOWEST {
                return Err("it took too long");
            }
            *seen.lock().expect("nothing panics under it").entry(word).or_default() += 1;
            Ok(())
        };
        self.replay(&judge);
        let inputs = self.draw(&judge);
        let seen = seen.into_inner().expect("nothing panics under it");
        println!("fuzz {}: {inputs} inputs drawn; {}", self.name, words(&seen));
        for word in self.must_reach {
            assert!(seen.contains_key(word), "{}: no input was ever {word}", self.name);
        }
    }

    fn replay(&self, judge: &impl Fn(&[u8]) -> Result<(), &'static str>) {
        let kept = std::fs::read_dir(&self.regressions).into_iter().flatten().flatten();
        let kept = kept.map(|entry| std::fs::read(entry.path()).expect("a kept input can be read"));
        for input in kept.chain(self.seeds.iter().cloned()) {
            if let Err(why) = judge(&input) {
                panic!("{}: a known input fails: {why}: {}", self.name, input.escape_ascii());
            }
        }
    }

    /// How many inputs were drawn.
    fn draw(&self, judge: &impl Fn(&[u8]) -> Result<(), &'static str>) -> u64 {
        let time =
            std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
        let (began, strategy) = (SystemClock.boottime(), edit::variants(self.seeds.clone()));
        let mut inputs = 0;
        loop {
            let (cases, rng) = if time.is_zero() {
                (BRIEF, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
            } else {
                (BATCH, fresh())
            };
            // A runner counts what it ran, and runs no more than its cases.
            let config = Config { cases, failure_persistence: None, ..Config::default() };
            let mut runner = TestRunner::new_with_rng(config, rng);
            let outcome = runner.run(&strategy, |input| judge(&input).map_err(TestCaseError::fail));
            match outcome {
                Ok(()) => inputs += u64::from(cases),
                Err(TestError::Fail(why, input)) => self.keep(&input, why.message()),
                Err(TestError::Abort(why)) => panic!("{}: {why}", self.name),
            }
            if SystemClock.boottime().saturating_since(began) >= time {
                return inputs;
            }
        }
    }

    fn keep(&self, input: &[u8], why: &str) -> ! {
        std::fs::create_dir_all(&self.regressions).expect("the folder can be made");
        let number = std::fs::read_dir(&self.regressions).map_or(0, Iterator::count);
        let file = self.regressions.join(format!("{number:03}"));
        std::fs::write(&file, input).expect("the input can be kept");
        panic!("{}: {why}: {}; kept in {}", self.name, input.escape_ascii(), file.display())
    }
}

fn words(seen: &BTreeMap<&str, u64>) -> String {
    seen.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
}

/// A generator that is not the same in two runs.
fn fresh() -> TestRng {
    let entropy: &dyn Entropy = &SystemEntropy;
    TestRng::from_seed(RngAlgorithm::ChaCha, &entropy.array::<32>())
}
