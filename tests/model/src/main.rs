//! Explores configurations by hand and prints what was found: `protocol-model [big] [PART OF A NAME]`.
//!
//! Owns only the command line; it measures how long a person waits.

use std::process::ExitCode;
use std::time::Instant;

use protocol_model::{Config, Exploration, FIXED, Fixed, LARGE, MUTANTS, explore, explore_until_broken};

const THREADS: usize = 2;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let big = arguments.first().is_some_and(|first| first == "big");
    if big {
        arguments.remove(0);
    }
    let part = arguments.join(" ");
    let mut good = true;
    if !big {
        good &= mutants(&part);
    }
    for Fixed { name, config } in if big { LARGE } else { FIXED } {
        if name.contains(&part) {
            let found = timed(name, || explore(*config, THREADS));
            good &= found.broken.is_empty() && found.unreached.is_empty();
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn mutants(part: &str) -> bool {
    let mut good = true;
    for mutant in MUTANTS {
        let name = format!("{:?}", mutant.fault);
        if !name.contains(part) {
            continue;
        }
        let found = timed(&name, || explore_until_broken(mutant.config(), mutant.breaks));
        let world = timed("  the same world, unbroken", || explore(Config { fault: None, ..mutant.world }, THREADS));
        good &= found.trace(mutant.breaks).is_some() && world.broken.is_empty();
    }
    good
}

#[expect(clippy::disallowed_methods, reason = "a program that only measures how long a person waits")]
fn timed(name: &str, run: impl FnOnce() -> Exploration) -> Exploration {
    let begun = Instant::now();
    let found = run();
    println!("{name}: {:.1} s, {} goals\n{found}", begun.elapsed().as_secs_f32(), found.goals);
    found
}
