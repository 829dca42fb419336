//! What was found in a message, for people.

use hive_domain::orchestration::finding::Findings;

use super::words::{clean, count};

/// Warnings shown about a plan that runs all the same.
const WARNINGS: usize = 20;

/// Every error and every warning, then a line that says what follows from them. `name` is the input.
pub(crate) fn refusal(name: &str, findings: &Findings) -> String {
    let mut text = String::new();
    for error in &findings.errors {
        text.push_str(&format!("error: {}\n", clean(&error.to_string())));
    }
    for warning in &findings.warnings {
        text.push_str(&format!("warning: {}\n", clean(&warning.to_string())));
    }
    let (errors, warnings) =
        (count(findings.errors.len(), "error"), count(findings.warnings.len(), "warning"));
    text.push_str(&format!("{name}: {errors}, {warnings}; nothing was created\n"));
    text
}

/// The first warnings about a plan that runs, and how many more there are.
pub(crate) fn warnings(findings: &Findings) -> String {
    let shown = findings.warnings.iter().take(WARNINGS);
    let mut text: String =
        shown.map(|warning| format!("warning: {}\n", clean(&warning.to_string()))).collect();
    if let Some(more) = findings.warnings.len().checked_sub(WARNINGS).filter(|more| *more > 0) {
        text.push_str(&format!("warning: and {more} more\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use hive_domain::orchestration::finding::Code;

    use super::*;

    #[test]
    fn a_refusal_lists_everything() {
        let mut findings = Findings::default();
        findings.error(Code::Cycle, "tasks[0]", "a -> a");
        findings.error(Code::EmptyPlan, "tasks", "none");
        findings.warning(Code::DefaultApplied, "version", "is 1");
        assert_eq!(
            refusal("p.json", &findings),
            "error: CYCLE at tasks[0]: a -> a\nerror: EMPTY_PLAN at tasks: none\n\
             warning: DEFAULT_APPLIED at version: is 1\np.json: 2 errors, 1 warning; nothing was created\n"
        );
    }

    #[test]
    fn warnings_about_a_running_plan_are_few() {
        let mut findings = Findings::default();
        assert_eq!(warnings(&findings), "");
        for index in 0..WARNINGS + 3 {
            findings.warning(Code::DefaultApplied, index, "x");
        }
        let text = warnings(&findings);
        assert_eq!(text.lines().count(), WARNINGS + 1);
        assert!(text.ends_with("warning: and 3 more\n"));
    }
}
