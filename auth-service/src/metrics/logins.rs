//! Logins, by how they were tried and how that ended.

use auth_domain::{LoginOutcome, Proof};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// What a login begins with.
pub(crate) const PASSWORD: &str = "password";

const METHODS: [&str; 4] = [PASSWORD, "totp", "recovery_code", "new_password"];
const OUTCOMES: [&str; 4] = ["granted", "challenged", "denied", "failed"];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    method: &'static str,
    outcome: &'static str,
}

/// One for each step of each login, on both transports.
#[derive(Debug, Default)]
pub(crate) struct LoginMetrics(Family<Labels, Counter>);

impl LoginMetrics {
    /// All at zero, so that the first refusal is seen as a change.
    pub(super) fn register(&self, registry: &mut Registry) {
        for method in METHODS {
            OUTCOMES.into_iter().for_each(|outcome| drop(self.0.get_or_create(&Labels { method, outcome })));
        }
        registry.register("logins", "Steps of logins by method and outcome", self.0.clone());
    }

    /// A step ended.
    pub(crate) fn ended<E>(&self, method: &'static str, outcome: &Result<LoginOutcome, E>) {
        let outcome = match outcome {
            Ok(LoginOutcome::Granted(_)) => "granted",
            // Another try is allowed, and this one was wrong.
            Ok(LoginOutcome::Challenged(challenged)) if challenged.refused_before => "denied",
            Ok(LoginOutcome::Challenged(_)) => "challenged",
            Ok(LoginOutcome::Denied(_)) => "denied",
            Err(_) => "failed",
        };
        self.0.get_or_create(&Labels { method, outcome }).inc();
    }
}

/// What goes on with a login, as it is counted.
pub(crate) const fn method_of(proof: &Proof) -> &'static str {
    match proof {
        Proof::TotpCode(_) => "totp",
        Proof::RecoveryCode(_) => "recovery_code",
        Proof::NewPassword(_) => "new_password",
    }
}
