//! What was found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// As it should be.
    Ok,
    /// It works; it could be better.
    Advice,
    /// A promise does not hold under some failure.
    Warning,
    /// It does not serve, or not safely.
    Error,
}

impl Severity {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Advice => "advice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// How it is.
    pub(crate) finding: String,
    /// What to do; absent where there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mend: Option<String>,
}

/// Everything that was looked at, in that order.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    findings: Vec<Finding>,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

impl Report {
    /// It is as it should be.
    pub(crate) fn good(&mut self, check: &'static str, finding: impl Into<String>) {
        self.findings.push(Finding { check, severity: Severity::Ok, finding: finding.into(), mend: None });
    }

    /// It is not, and can be mended.
    pub(crate) fn bad(
        &mut self,
        check: &'static str,
        severity: Severity,
        finding: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.findings.push(Finding { check, severity, finding: finding.into(), mend: Some(mend.into()) });
    }

    /// The worst of it.
    pub(crate) fn worst(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    /// As text.
    pub(crate) fn text(&self, output: Output) -> String {
        match output {
            Output::Table => self.table(),
            Output::Json => {
                let worst = self.worst();
                let json = serde_json::json!({ "worst": worst, "findings": self.findings });
                format!("{json:#}\n")
            }
        }
    }

    fn table(&self) -> String {
        let wide = self.findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
        let mut out = String::new();
        for Finding { check, severity, finding, mend } in &self.findings {
            let word = severity.word();
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{word:<8} {check:<wide$}  {finding}");
            if let Some(mend) = mend {
                let _ = writeln!(out, "{:<8} {:<wide$}  → {mend}", "", "");
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides_and_every_bad_one_says_what_to_do() {
        let mut report = Report::default();
        assert_eq!(report.worst(), Severity::Ok);
        report.good("disk", "40 GB are free");
        report.bad("schema", Severity::Error, "2 migrations are missing", "run `auth-service migrate`");
        report.bad("admin.key", Severity::Advice, "it is still there", "hand it over");
        assert_eq!(report.worst(), Severity::Error);
        let table = report.text(Output::Table);
        assert!(table.contains("error    schema     2 migrations are missing\n"), "{table}");
        assert!(table.contains("→ run `auth-service migrate`\n"), "{table}");
        let json: serde_json::Value = serde_json::from_str(&report.text(Output::Json)).expect("JSON");
        assert_eq!(
            (&json["worst"], &json["findings"][1]["mend"]),
            (&"error".into(), &"run `auth-service migrate`".into())
        );
    }
}
