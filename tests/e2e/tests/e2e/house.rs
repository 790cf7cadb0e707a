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
        assert_eq!(reach[client], ["portcullis-proto".into(), "portcullis-types".into()].into(), "{client}");
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

#[test]
fn storage_knows_the_rules_and_not_the_transports() {
    let direct = direct("auth-storage");
    for library in ["tonic", "axum", "hyper"] {
        assert!(!direct.contains_key(library), "auth-storage depends on {library}");
    }
}
