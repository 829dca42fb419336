//! A port stays small enough to be implemented: at most seven methods.

use hive_architecture::{File, Token, Tree, Violation, assert_none, tokens};

const MOST_METHODS: usize = 7;

fn check(files: &[File]) -> Vec<Violation> {
    files.iter().filter(|file| file.path.starts_with("application/src/")).flat_map(check_one).collect()
}

fn check_one(file: &File) -> Vec<Violation> {
    let all_are_ports = file.name() == "ports.rs" || file.path.contains("/ports/");
    let tokens = tokens(&file.code);
    let traits = (0..tokens.len())
        .filter(|&at| tokens[at].text == "trait" && tokens.get(at + 1).is_some_and(Token::is_word));
    traits
        .filter(|&at| all_are_ports || is_async(&tokens[..at]))
        .filter_map(|at| {
            let methods = methods(&tokens[at..]);
            let message = format!(
                "port `{}` has {methods} methods, at most {MOST_METHODS}; split it by who needs what",
                tokens[at + 1].text
            );
            (methods > MOST_METHODS).then(|| Violation::new(&file.path, tokens[at].line, message))
        })
        .collect()
}

/// Whether the attributes before a `trait` name `async_trait`: those since the last item ended.
fn is_async(before: &[Token<'_>]) -> bool {
    before
        .iter()
        .rev()
        .take_while(|token| !matches!(token.text, ";" | "{" | "}"))
        .any(|token| token.text == "async_trait")
}

/// Functions declared directly in the body that follows.
fn methods(from_trait: &[Token<'_>]) -> usize {
    let (mut depth, mut count) = (0_usize, 0);
    for token in from_trait {
        match token.text {
            "{" => depth += 1,
            "}" if depth <= 1 => break,
            "}" => depth -= 1,
            ";" if depth == 0 => break,
            "fn" if depth == 1 => count += 1,
            _ => {}
        }
    }
    count
}

#[test]
fn every_port_has_at_most_seven_methods() {
    assert_none(&check(&Tree::here().unwrap().rust_files().unwrap()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(methods: usize) -> String {
        let body =
            "    /// Doc of fn.\n    async fn f(&self, g: impl Fn(u8)) -> u8 { fn inner() {} inner() }\n"
                .repeat(methods);
        format!("use a::b;\n\n#[async_trait]\npub trait Port: Send {{\n{body}}}\n\npub trait Other {{}}\n")
    }

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&[File::new(path, text)]).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn the_eighth_method_is_reported() {
        assert_eq!(found("application/src/tickets/ports.rs", &port(7)), [""; 0]);
        let eight = found("application/src/tickets/ports.rs", &port(8));
        assert!(
            eight[0].starts_with("application/src/tickets/ports.rs:4: port `Port` has 8 methods"),
            "{eight:?}"
        );
        assert_eq!(found("application/src/clock.rs", &port(8)).len(), 1);
        assert_eq!(found("application/src/ports/clock.rs", &port(8).replace("#[async_trait]", "")).len(), 1);
    }

    #[test]
    fn a_trait_that_is_no_port_may_be_larger() {
        assert_eq!(found("application/src/tickets/view.rs", &port(8).replace("#[async_trait]", "")), [""; 0]);
        assert_eq!(found("infrastructure/sql/src/a.rs", &port(8)), [""; 0]);
    }
}
