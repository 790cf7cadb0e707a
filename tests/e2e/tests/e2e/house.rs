//! The house: which crate may know which.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// Every crate of the workspace that a crate reaches, tests aside.
fn reach() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo knows the workspace");
    let ours: BTreeSet<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let direct: BTreeMap<String, BTreeSet<String>> = metadata
        .packages
        .iter()
        .map(|package| {
            let dependencies =
                package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
            let known = dependencies.map(|dependency| dependency.name.clone()).filter(|name| ours.contains(name));
            (package.name.to_string(), known.collect())
        })
        .collect();
    let all = |start: &String| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start.clone()]);
        while let Some(name) = open.pop() {
            for next in &direct[&name] {
                if seen.insert(next.clone()) {
                    open.push(next.clone());
                }
            }
        }
        seen
    };
    direct.keys().map(|name| (name.clone(), all(name))).collect()
}

/// What a crate depends on directly, tests aside, with the features it asks for.
fn direct(name: &str) -> BTreeMap<String, Vec<String>> {
    let metadata = MetadataCommand::new().no_deps().exec().expect("cargo knows the workspace");
    let package = metadata.packages.iter().find(|package| package.name.as_str() == name).expect("a crate of ours");
    let normal = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
    normal.map(|dependency| (dependency.name.clone(), dependency.features.clone())).collect()
}

#[test]
fn the_gateway_knows_nothing_of_the_authority() {
    let reach = reach();
    for gateway in ["ws-gateway", "gateway-core"] {
        for authority in ["auth-service", "auth-domain", "auth-storage"] {
            assert!(!reach[gateway].contains(authority), "{gateway} reaches {authority}");
        }
    }
}

#[test]
fn the_authority_knows_nothing_of_the_gateway() {
    let reach = reach();
    for authority in ["auth-service", "auth-domain", "auth-storage"] {
        assert!(reach[authority].is_disjoint(&["ws-gateway".into(), "gateway-core".into()].into()), "{authority}");
    }
}

#[test]
fn clients_know_only_the_contract() {
    let reach = reach();
    for client in ["portcullis-cli", "portcullis-demo", "test-harness"] {
        let mut known = reach[client].clone();
        // A server to test against is no part of the product.
        known.remove("test-postgres");
        assert_eq!(known, ["portcullis-proto".into(), "portcullis-types".into()].into(), "{client}");
    }
}

#[test]
fn the_rules_know_no_transport_no_store_and_no_runtime() {
    let io = ["tonic", "axum", "hyper", "sqlx", "tokio", "tokio-util", "tokio-tungstenite", "async-nats", "rustix"];
    for rules in ["auth-domain", "gateway-core"] {
        let direct = direct(rules);
        for library in io {
            assert!(!direct.contains_key(library), "{rules} depends on {library}");
        }
        assert!(direct["portcullis-proto"].is_empty(), "{rules} asks for features of the contract");
        assert!(direct["portcullis-types"].is_empty(), "{rules} asks for features of the types");
    }
}

/// The cores, and where they keep which rule is broken, with the features that they are built with for this package.
fn cores_of(package: &str, more: &[&str]) -> Vec<String> {
    let mut tree = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    tree.args(["tree", "--offline", "--edges", "normal,build", "--prefix", "none", "--format", "{p} [{f}]"]);
    let tree = tree.args(["--package", package]).args(more).output().expect("cargo runs");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout).expect("text");
    let can_break = ["gateway-core ", "auth-domain ", "portcullis-types "];
    let cores = lines.lines().filter(|line| can_break.iter().any(|package| line.starts_with(package)));
    cores.map(str::to_owned).collect()
}

#[test]
fn no_program_is_built_with_rules_that_can_be_broken() {
    let can_break = |cores: &[String]| cores.iter().any(|core| core.contains("faults"));
    assert!(can_break(&cores_of("protocol-cores", &["--features", "faults"])), "it would be seen");
    for (program, core) in [("auth-service", "auth-domain"), ("ws-gateway", "gateway-core")] {
        let cores = cores_of(program, &[]);
        assert!(cores.iter().any(|line| line.starts_with(core)), "{program} has its core: {cores:?}");
        assert!(!can_break(&cores), "{cores:?}");
    }
    let workspace = cores_of("protocol-cores", &["--workspace"]);
    assert!(!can_break(&workspace), "a build of the workspace: {workspace:?}");
}

#[test]
fn storage_knows_the_rules_and_not_the_transports() {
    let direct = direct("auth-storage");
    for library in ["tonic", "axum", "hyper"] {
        assert!(!direct.contains_key(library), "auth-storage depends on {library}");
    }
}

#[test]
fn every_attack_of_the_list_has_its_test() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let list = std::fs::read_to_string(root.join("docs/attacks.md")).expect("the list is there");
    let tests = list.lines().filter_map(|line| line.strip_suffix("` |")?.rsplit_once("| `"));
    let named: BTreeSet<_> = tests.flat_map(|(_, names)| names.split("`, `")).collect();
    assert!(named.len() > 10, "the list cannot be read");
    let mut sources = String::new();
    for folder in ["auth-service", "proto", "tests", "ws-gateway"] {
        read_into(&mut sources, &root.join(folder));
    }
    for test in named {
        assert!(sources.contains(&format!("fn {test}(")), "there is no test {test}");
    }
}

/// Every Rust file below, the client packages aside.
fn read_into(text: &mut String, folder: &std::path::Path) {
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() && !path.ends_with("node_modules") {
            read_into(text, &path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("it is text"));
        }
    }
}
