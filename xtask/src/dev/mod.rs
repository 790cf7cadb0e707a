//! `cargo xtask dev`: everything on this machine, and one page to open.
//!
//! Guarantees: nothing is started when a port is taken; a second start finds the data of the first; whatever ends it
//! (Ctrl-C, a process that died, an error on the way up) leaves no process behind.

mod files;
mod fleet;
mod ports;
mod ready;
mod seed;
mod settings;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_types::{Entropy, SystemEntropy};
use serde_json::json;

use self::fleet::{Fleet, FleetError};
use self::ports::{Ports, PortsError};
use self::seed::{SeedError, Seeder};
use self::settings::Layout;
use crate::workspace;

/// How to run.
#[derive(Debug, clap::Args)]
pub(crate) struct DevArgs {
    /// Where the database, the keys and the generated configuration are kept [default: .portcullis/dev].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The first port; the others follow: +1 authority HTTP, +11 and +12 gateways, +80 page.
    #[arg(
        long,
        alias = "ports-from",
        default_value_t = 7700,
        value_name = "PORT",
        value_parser = clap::value_parser!(u16).range(1024..=65_455),
        conflicts_with = "ephemeral"
    )]
    port_base: u16,
    /// Takes free ports and, unless --data-dir is given, a data directory that is removed at the end; for tests.
    #[arg(long)]
    ephemeral: bool,
    /// Writes all addresses to this file, as JSON, once everything is up.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Starts what was built before.
    #[arg(long)]
    no_build: bool,
    /// What the programs log, such as `info` or `debug`.
    #[arg(long, default_value = "info", value_name = "FILTER")]
    log: String,
}

/// Why it did not run, or ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    /// A port is taken.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// It does not build.
    #[error("the programs do not build; see above")]
    Build,
    /// A file or directory of the data directory.
    #[error("cannot write {}: {source}", path.display())]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A process did not start, or died.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// The demo tenant could not be made.
    #[error("cannot seed the demo: {0}")]
    Seed(#[from] SeedError),
    /// A program could not be called.
    #[error("cannot call {what}: {source}")]
    Call {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Runs until Ctrl-C, or until a process dies.
pub(crate) fn run(args: &DevArgs) -> Result<(), DevError> {
    let ports = if args.ephemeral { Ports::ephemeral(&SystemEntropy)? } else { Ports::from_base(args.port_base) };
    ports.check(args.port_base)?;
    if !args.no_build {
        build()?;
    }
    let data = Data::open(args)?;
    let layout = Layout::new(data.path.clone());
    let mut fleet = Fleet::new()?;
    let up = start(args, &ports, &layout, &mut fleet).and_then(|addresses| announce(args, &addresses, &layout, &data));
    let ended = match up {
        Ok(()) => fleet.follow(),
        Err(error) => Err(error),
    };
    fleet.stop();
    for file in args.ready_file.iter().chain(&layout.ready_files()) {
        files::remove(file);
    }
    match ended {
        // What fails because a person pressed Ctrl-C on the way up is no failure.
        Err(_) if fleet.was_interrupted() => Ok(()),
        ended => ended,
    }
}

fn build() -> Result<(), DevError> {
    let packages = ["auth-service", "ws-gateway", "portcullis-cli", "portcullis-demo"];
    let built = workspace::cargo()
        .args(["build", "--bins"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .status()
        .map_err(|source| DevError::Call { what: "cargo", source })?;
    if built.success() { Ok(()) } else { Err(DevError::Build) }
}

/// The data directory; one that nobody named is removed at the end.
struct Data {
    path: PathBuf,
    temporary: bool,
}

impl Data {
    fn open(args: &DevArgs) -> Result<Self, DevError> {
        let temporary = args.ephemeral && args.data_dir.is_none();
        let path = match &args.data_dir {
            Some(path) => path.clone(),
            None if temporary => {
                std::env::temp_dir().join(format!("portcullis-dev-{:016x}", <dyn Entropy>::u64(&SystemEntropy)))
            }
            None => workspace::root().join(".portcullis").join("dev"),
        };
        let failed = |source| DevError::Files { path: path.clone(), source };
        files::make_private_directory(&path).map_err(failed)?;
        // The programs are told absolute paths: they may change their directory.
        let path = path.canonicalize().map_err(failed)?;
        Ok(Self { path, temporary })
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.path)
        {
            eprintln!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Where everything listens.
#[derive(Debug)]
struct Addresses {
    grpc: String,
    http: String,
    admin_key_file: String,
    gateways: Vec<String>,
    demo: String,
}

fn start(args: &DevArgs, ports: &Ports, layout: &Layout, fleet: &mut Fleet) -> Result<Addresses, DevError> {
    let written = |path: &Path, source| DevError::Files { path: path.to_owned(), source };
    for file in layout.ready_files() {
        files::remove(&file);
    }
    let config = layout.config("auth");
    files::write_private(&config, &settings::authority(ports, layout, &args.log)).map_err(|e| written(&config, e))?;
    fleet.start("auth-service", serving("auth-service", &config)?)?;
    let authority = fleet.ready("auth-service", &layout.ready("auth"))?;
    let (grpc, http) = (authority.address("grpc")?, authority.address("http")?);
    let admin_key_file = authority.text("admin_key_file")?;

    let seeder = Seeder::new(binary("portcullis")?, &grpc, Path::new(&admin_key_file));
    seed::demo(&seeder, layout, &SystemEntropy)?;

    let mut gateways = Vec::new();
    for (name, port) in ports.gateways() {
        let config = layout.config(name);
        let content = settings::gateway(name, port, &grpc, ports.demo, layout, &args.log);
        files::write_private(&config, &content).map_err(|error| written(&config, error))?;
        fleet.start(name, serving("ws-gateway", &config)?)?;
    }
    for (name, _) in ports.gateways() {
        let address = fleet.ready(name, &layout.ready(name))?.address("http")?;
        fleet.answers(name, &address, "/ready")?;
        gateways.push(address);
    }

    fleet.start("demo", settings::demo(&binary("portcullis-demo")?, ports.demo, &grpc, &http, &gateways, layout))?;
    let demo = fleet.ready("demo", &layout.ready("demo"))?.address("http")?;
    Ok(Addresses { grpc, http, admin_key_file, gateways, demo })
}

fn serving(program: &'static str, config: &Path) -> Result<Command, DevError> {
    let mut command = workspace::without_configuration(&binary(program)?);
    command.arg("--config").arg(config);
    Ok(command)
}

fn binary(name: &'static str) -> Result<PathBuf, DevError> {
    workspace::binary(name).map_err(|source| DevError::Call { what: name, source })
}

fn announce(args: &DevArgs, addresses: &Addresses, layout: &Layout, data: &Data) -> Result<(), DevError> {
    let kept = if data.temporary { "removed at the end" } else { "kept for the next start" };
    let page = format!("http://{}", addresses.demo);
    let mut lines = vec![
        String::new(),
        "Portcullis is up.".to_owned(),
        String::new(),
        format!("  page        {page}"),
        format!("  authority   gRPC http://{}, HTTP http://{}", addresses.grpc, addresses.http),
    ];
    for (index, gateway) in addresses.gateways.iter().enumerate() {
        lines.push(format!("  gateway-{}   {}", index + 1, settings::socket_url(gateway)));
    }
    lines.extend([
        format!("  data        {} ({kept})", data.path.display()),
        format!("  admin key   {}", addresses.admin_key_file),
        String::new(),
        format!("Next: open {page} in a browser. Ctrl-C stops everything."),
        String::new(),
    ]);
    fleet::say(&lines.join("\n"));
    let Some(file) = &args.ready_file else { return Ok(()) };
    let content = json!({
        "grpc": addresses.grpc,
        "http": addresses.http,
        "gateways": addresses.gateways,
        "demo": addresses.demo,
        "data_dir": data.path,
        "admin_key_file": addresses.admin_key_file,
        "backend_key_file": layout.backend_key(),
        "gateway_key_file": layout.gateway_key(),
        "passwords_file": layout.passwords(),
    });
    files::write_private(file, &content.to_string()).map_err(|source| DevError::Files { path: file.clone(), source })
}
