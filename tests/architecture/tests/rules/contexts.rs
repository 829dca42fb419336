//! Contexts meet only through their `public` modules.
//!
//! Under `domain/src/X` and `application/src/X` no other context is named, except as `…::Y::public`. There are no
//! exceptions, so the ways around it are closed too: importing a whole crate or renaming it inside a context, and
//! re-exporting a context's insides from elsewhere.

use hive_architecture::{CodePath, File, Tree, Violation, assert_none, code_paths};

const CONTEXTS: &[&str] = &["tickets", "orchestration", "registry"];
/// Crates divided by context: folder, and the names its code has for itself and the others.
const CRATES: &[&str] = &["domain", "application"];
const CRATE_NAMES: &[&str] = &["hive_domain", "hive_application"];

fn check(files: &[File]) -> Vec<Violation> {
    files
        .iter()
        .filter_map(|file| Some((file, module_of(&file.path)?)))
        .flat_map(|(file, own)| check_one(file, &own))
        .collect()
}

/// Module path of a file of a divided crate: `["tickets", "sla"]`; empty for the crate root.
fn module_of(path: &str) -> Option<Vec<String>> {
    let (folder, rest) = path.split_once("/src/")?;
    let mut module: Vec<String> = rest.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod" || last == "lib") {
        module.pop();
    }
    CRATES.contains(&folder).then_some(module)
}

fn check_one(file: &File, module: &[String]) -> Vec<Violation> {
    let own = module.first().map(String::as_str).filter(|first| CONTEXTS.contains(first));
    let complaint = |path: &CodePath| match own {
        Some(own) => in_context(own, &inside_crate(path, module)?, path.renamed),
        None => re_export(path),
    };
    code_paths(&file.code)
        .iter()
        .filter_map(|path| Some(Violation::new(&file.path, path.line, complaint(path)?)))
        .collect()
}

/// The path below the root of a divided crate; `None` when it does not lead there.
fn inside_crate(path: &CodePath, module: &[String]) -> Option<Vec<String>> {
    let first = path.parts.first()?.as_str();
    if first == "crate" || CRATE_NAMES.contains(&first) {
        return Some(path.parts[1..].to_vec());
    }
    let parts = if first == "self" { &path.parts[1..] } else { &path.parts[..] };
    let supers = parts.iter().take_while(|part| *part == "super").count();
    (supers > 0 && supers == module.len() + path.inline_modules).then(|| parts[supers..].to_vec())
}

fn in_context(own: &str, inside: &[String], renamed: bool) -> Option<String> {
    let Some(first) = inside.first().map(String::as_str) else {
        return renamed
            .then(|| "a crate under another name hides whose code is used; name the crate".to_owned());
    };
    if first == "*" || first == "self" {
        return Some("importing a whole crate hides whose code is used; name the module".to_owned());
    }
    let public = inside.get(1).is_some_and(|second| second == "public");
    (CONTEXTS.contains(&first) && first != own && !public).then(|| {
        format!("`{own}` names `{first}`; use `{first}::public`, or ask for what is needed through a port of `{own}`")
    })
}

/// A re-export of a context outside its folder would give its insides a second, unwatched name.
fn re_export(path: &CodePath) -> Option<String> {
    let context = path.parts.iter().find(|part| CONTEXTS.contains(&part.as_str()))?;
    path.re_exported.then(|| format!("re-exports `{context}`; let its readers name the context"))
}

/// INV-11
#[test]
fn no_context_names_another_except_through_its_public_module() {
    assert_none(&check(&Tree::here().unwrap().rust_files().unwrap()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&[File::new(path, text)]).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn naming_another_context_is_reported_however_it_is_written() {
        for bad in [
            "use crate::tickets::Ticket;",
            "use hive_domain::tickets::status::Status;",
            "use hive_domain::{ids, tickets::{public::A, Ticket}};",
            "use hive_domain::tickets;",
            "use hive_domain::tickets::*;",
            "use super::super::tickets::Ticket;",
            "use self::super::super::registry::Agent;",
            "fn f(a: &crate::registry::Agent) {}",
            "mod tests { use super::super::super::tickets::Ticket; }",
            "use hive_domain as d;",
            "use crate::*;",
            "use hive_domain::{self};",
        ] {
            assert_eq!(lines("application/src/orchestration/flow.rs", bad), [1], "{bad}");
        }
    }

    #[test]
    fn public_modules_the_own_context_and_the_kernel_are_free() {
        for good in [
            "use hive_domain::tickets::public::TicketSnapshot;",
            "use hive_domain::registry::{public, public::Agent};",
            "use hive_domain::{ids::TicketId, orchestration::flow::Flow};",
            "use super::tickets::Gateway;",
            "mod tests { use super::super::tickets::Gateway; }",
            "// use crate::tickets::Ticket;\npub(crate) fn tickets() -> &'static str { \"crate::tickets::x\" }",
            "let tickets = self.tickets.list(); tickets::list();",
        ] {
            assert_eq!(lines("application/src/orchestration/flow.rs", good), [0; 0], "{good}");
        }
        assert_eq!(lines("infrastructure/sql/src/tickets/a.rs", "use hive_domain::registry::Agent;"), [0; 0]);
        assert_eq!(lines("application/src/lib.rs", "pub mod tickets;\nuse crate::tickets::Tickets;"), [0; 0]);
    }

    #[test]
    fn re_exports_outside_a_context_are_reported() {
        for bad in
            ["pub use tickets::Ticket;", "pub use crate::{ids, registry::Agent};", "pub(crate) use tickets;"]
        {
            assert_eq!(lines("domain/src/lib.rs", &format!("pub mod ids;\n{bad}")), [2], "{bad}");
        }
        assert_eq!(lines("domain/src/lib.rs", "pub use ids::TicketId;\nuse tickets::Ticket;"), [0; 0]);
    }
}
