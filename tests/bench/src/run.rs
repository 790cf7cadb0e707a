//! One run: which rows, how large, and what they have in common.

use std::path::PathBuf;

use clap::ValueEnum;
use portcullis_proto::auth::v1::RevokeResponse;
use serde::Serialize;
use serde_json::json;

use crate::error::{BenchError, Outcome, While as _};
use crate::figures::{self, Figure};
use crate::machine::{self, Cores};
use crate::rows;

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// One revocation, one affected socket among many.
    RevokeOne,
    /// The same, on PostgreSQL.
    RevokeOnePostgres,
    /// One revocation, many affected sockets.
    RevokeMany,
    /// Revocations committed per second.
    Revocations,
    /// The same, on PostgreSQL.
    RevocationsPostgres,
    /// One revocation to many gateways.
    FanOut,
    /// Memory of an idle socket.
    IdleMemory,
    /// Memory of a remembered revocation.
    Index,
    /// Verdicts per second.
    Verify,
    /// The same, on PostgreSQL.
    VerifyPostgres,
    /// Sessions, refreshed pairs and tickets issued per second.
    Issuing,
    /// CPU of a handshake whose verdict is cached.
    Handshake,
    /// What a refused login takes, and what a flood of them does to verdicts.
    Logins,
}

/// How a run's results are written to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table.
    Table,
    /// One JSON object.
    Json,
}

/// How to run.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Which rows; all when none is named.
    #[arg(value_enum, value_name = "ROW")]
    rows: Vec<Row>,
    /// A smoke run in less than a minute: the figures mean little.
    #[arg(long)]
    quick: bool,
    /// What is written to standard output; progress goes to standard error.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    /// Where the results are written as JSON, whatever the output.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Sockets of `revoke-one`.
    #[arg(long, value_name = "N")]
    sockets: Option<usize>,
    /// Where the authority's database is put for the run: on the file system whose commits are to be measured.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// How much of everything.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Scale {
    /// Open sockets of `revoke-one`, on two gateways.
    pub(crate) crowd: usize,
    /// Revocations of `revoke-one`.
    pub(crate) victims: usize,
    /// Sockets of the identity of `revoke-many`, on two gateways.
    pub(crate) family: usize,
    /// How often `revoke-many` is repeated.
    pub(crate) families: usize,
    /// Revocations of `revocations`, for each number of callers.
    pub(crate) revocations: usize,
    /// Watchers of `fan-out`.
    pub(crate) watchers: usize,
    /// Revocations of `fan-out`.
    pub(crate) entries: usize,
    /// Sockets of `idle-memory`.
    pub(crate) idle: usize,
    /// Events of `index`.
    pub(crate) events: usize,
    /// Verdicts of `verify`, one after the other.
    pub(crate) verdicts: usize,
    /// Handshakes of `handshake`.
    pub(crate) handshakes: usize,
    /// Refused logins of `logins`, for each kind of name.
    pub(crate) logins: usize,
}

const FULL: Scale = Scale {
    crowd: 19_000,
    victims: 500,
    family: 10_000,
    families: 5,
    revocations: 2_000,
    watchers: 300,
    entries: 500,
    idle: 15_000,
    events: 200_000,
    verdicts: 10_000,
    handshakes: 15_000,
    logins: 400,
};

const QUICK: Scale = Scale {
    crowd: 1_000,
    victims: 30,
    family: 1_000,
    families: 1,
    revocations: 60,
    watchers: 50,
    entries: 20,
    idle: 1_000,
    events: 20_000,
    verdicts: 300,
    handshakes: 600,
    logins: 40,
};

/// What every row is given.
#[derive(Debug)]
pub(crate) struct Run {
    /// Which core is whose.
    pub(crate) cores: Cores,
    /// How much of everything.
    pub(crate) scale: Scale,
    /// Where databases are put.
    pub(crate) folder: PathBuf,
    notices: Vec<String>,
}

impl Run {
    /// Says what a reader of the figures must know.
    pub(crate) fn notice(&mut self, text: String) {
        eprintln!("note: {text}");
        self.notices.push(text);
    }

    /// As many sockets as asked for, or as many as so many processes may hold.
    pub(crate) fn at_most(&mut self, asked: usize, processes: usize) -> usize {
        let most = machine::sockets_per_process().saturating_mul(processes);
        if asked > most {
            self.notice(format!(
                "{asked} sockets were asked for and {most} are opened: the limit on open files allows {processes} processes \
                 no more"
            ));
        }
        asked.min(most)
    }
}

/// Says what is being done.
pub(crate) fn progress(row: &str, what: impl std::fmt::Display) {
    eprintln!("{row}: {what}");
}

/// When a revocation was committed by its answer, microseconds since 1970.
pub(crate) fn committed_us(answer: &RevokeResponse) -> Outcome<i64> {
    let at = answer.committed_at.during("reading when a revocation was committed")?;
    Ok(at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000)
}

/// Measures and reports.
pub(crate) async fn run(args: RunArgs) -> Outcome<()> {
    let cores = Cores::find()?;
    machine::pin(cores.load)?;
    let mut scale = if args.quick { QUICK } else { FULL };
    scale.crowd = args.sockets.unwrap_or(scale.crowd).max(scale.victims);
    let folder = args.folder.unwrap_or_else(std::env::temp_dir);
    std::fs::create_dir_all(&folder).during("making the folder")?;
    let mut run = Run { cores, scale, folder, notices: Vec::new() };
    announce(&mut run, args.quick);
    let load_before = machine::load_average();
    let chosen = if args.rows.is_empty() { Row::value_variants() } else { &args.rows };
    let mut figures = Vec::new();
    let mut failed = Vec::new();
    for &row in chosen {
        match rows::measure(row, &mut run).await {
            Ok(measured) => figures.extend(measured),
            Err(error) => {
                eprintln!("{row:?} was not measured: {error}");
                failed.push(format!("{row:?}: {error}"));
            }
        }
    }
    let results = json!({
        "machine": {
            "kernel": machine::kernel(),
            "cores": cores,
            "load_average_before": load_before,
            "load_average_after": machine::load_average(),
        },
        "quick": args.quick,
        "scale": run.scale,
        "notices": run.notices,
        "failed": failed,
        "figures": figures,
    });
    report(&run, &figures, &results, args.output, args.file)?;
    if failed.is_empty() { Ok(()) } else { Err(BenchError::new("measuring every row", failed.join("; "))) }
}

fn announce(run: &mut Run, quick: bool) {
    let Cores { servers, load } = run.cores;
    if run.cores.are_apart() {
        run.notice(format!("programs that are measured run on core {servers}, the load on core {load}"));
    } else {
        run.notice(format!("there is one core ({servers}): the load disturbs what is measured"));
    }
    if quick {
        run.notice("a quick run: too few samples for figures that mean anything".to_owned());
    }
}

fn report(
    run: &Run,
    figures: &[Figure],
    results: &serde_json::Value,
    output: Output,
    file: Option<PathBuf>,
) -> Outcome<()> {
    let text = serde_json::to_string_pretty(results).during("writing the results")?;
    if let Some(file) = file {
        std::fs::write(&file, &text).during("writing the results")?;
        eprintln!("results: {}", file.display());
    }
    match output {
        Output::Json => println!("{text}"),
        Output::Table => {
            println!("{}", figures::table(figures));
            println!(
                "load average before {}, after {}",
                results["machine"]["load_average_before"],
                machine::load_average()
            );
            for notice in &run.notices {
                println!("note: {notice}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/benchmarks.md");

    #[test]
    fn the_page_says_what_each_row_measures() {
        for row in Row::value_variants() {
            let row = row.to_possible_value().expect("no row is hidden");
            let begins = format!("| `{}` |", row.get_name());
            assert!(DOCUMENT.lines().any(|line| line.starts_with(&begins)), "{begins}");
        }
    }
}
