//! The paths that code names, with groups of `use` spelled out and inline modules counted.

use crate::tokens::{Token, tokens};

/// A path such as `crate::tickets::Ticket`, as its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodePath {
    /// Its parts in order; the last may be `*` or `self`.
    pub parts: Vec<String>,
    /// Whether the path is given another name by `as`.
    pub renamed: bool,
    /// Whether it stands in a `use` that others can see: `pub use`, `pub(crate) use`.
    pub re_exported: bool,
    /// Line (from 1) of its last part.
    pub line: usize,
    /// How many inline `mod name { … }` surround it.
    pub inline_modules: usize,
}

/// Every path of at least two parts, and those of one part that are renamed or re-exported, in order.
pub fn code_paths(code: &str) -> Vec<CodePath> {
    let tokens = tokens(code);
    let mut reader =
        Reader { tokens: &tokens, at: 0, inline_modules: 0, re_exports: false, found: Vec::new() };
    let (mut depth, mut modules) = (0_usize, Vec::new());
    while let Some(token) = reader.peek(0) {
        match token.text {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if modules.last() == Some(&depth) {
                    modules.pop();
                }
            }
            "mod" if reader.peek(2).is_some_and(|after| after.text == "{") => {
                modules.push(depth);
                reader.at += 2;
                reader.inline_modules = modules.len();
                depth += 1;
            }
            "use" => {
                let before = reader.at.checked_sub(1).map_or("", |before| tokens[before].text);
                reader.re_exports = matches!(before, "pub" | ")");
            }
            ";" => reader.re_exports = false,
            _ if token.is_word() => {
                reader.inline_modules = modules.len();
                reader.path(&[]);
                continue;
            }
            _ => {}
        }
        reader.at += 1;
    }
    reader.found
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    inline_modules: usize,
    re_exports: bool,
    found: Vec<CodePath>,
}

impl<'a> Reader<'a> {
    fn peek(&self, ahead: usize) -> Option<&'a Token<'a>> {
        self.tokens.get(self.at + ahead)
    }

    fn next_is(&self, text: &str) -> bool {
        self.peek(0).is_some_and(|token| token.text == text)
    }

    /// Reads one path (and the group it may end in) from its first word.
    fn path(&mut self, prefix: &[String]) {
        let mut parts = prefix.to_vec();
        let mut line = 0;
        while let Some(token) = self.peek(0).filter(|token| token.is_word() || token.text == "*") {
            parts.push(token.text.to_owned());
            line = token.line;
            self.at += 1;
            if !self.next_is("::") {
                break;
            }
            self.at += 1;
            if self.next_is("{") {
                return self.group(&parts);
            }
        }
        let (renamed, re_exported) = (self.next_is("as"), self.re_exports);
        if parts.len() > 1 || renamed || re_exported {
            let inline_modules = self.inline_modules;
            self.found.push(CodePath { parts, renamed, re_exported, line, inline_modules });
        }
    }

    /// Reads `{ a, b::{c, d} }` after `prefix::`.
    fn group(&mut self, prefix: &[String]) {
        self.at += 1;
        while let Some(token) = self.peek(0) {
            match token.text {
                "}" => {
                    self.at += 1;
                    return;
                }
                "as" => self.at += 2,
                "*" => self.path(prefix),
                _ if token.is_word() => self.path(prefix),
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(code: &str) -> Vec<String> {
        code_paths(code).iter().map(|path| path.parts.join("::")).collect()
    }

    #[test]
    fn groups_are_spelled_out() {
        assert_eq!(
            shown("use crate::{ids, tickets::{self, Ticket as T, public::*}, registry};"),
            [
                "crate::ids",
                "crate::tickets::self",
                "crate::tickets::Ticket",
                "crate::tickets::public::*",
                "crate::registry"
            ]
        );
    }

    #[test]
    fn inline_paths_and_generic_arguments_are_found() {
        assert_eq!(
            shown("fn f(a: a::B<c::D>) { e::f::<g::H>(i::J { k: 1 }) }"),
            ["a::B", "c::D", "e::f", "g::H", "i::J"]
        );
    }

    #[test]
    fn renaming_is_seen_even_of_a_single_part() {
        let found = code_paths("use hive_domain as d; use a::b as c;");
        assert_eq!(found.iter().map(|path| path.renamed).collect::<Vec<_>>(), [true, true]);
        assert_eq!(found[0].parts, ["hive_domain"]);
    }

    #[test]
    fn re_exports_are_told_from_imports() {
        let found = code_paths("pub use a; pub(crate) use b::{c, d}; use e::f; pub fn g() { h::i }");
        assert_eq!(
            found.iter().map(|path| path.re_exported).collect::<Vec<_>>(),
            [true, true, true, false, false]
        );
    }

    #[test]
    fn inline_modules_are_counted_until_they_close() {
        let found = code_paths("mod a { mod b { x::y } x::y } fn f() { x::y }");
        assert_eq!(found.iter().map(|path| path.inline_modules).collect::<Vec<_>>(), [2, 1, 0]);
    }
}
