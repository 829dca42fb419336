//! What may not stand in code: stubs, ignored tests, sleeping tests, silenced lints.

use hive_architecture::{File, Token, Tree, Violation, assert_none, tokens};

fn check(files: &[File]) -> Vec<Violation> {
    files.iter().flat_map(|file| in_code(file).into_iter().chain(in_doc_tests(file))).collect()
}

fn in_code(file: &File) -> Vec<Violation> {
    let tokens = tokens(&file.code);
    let tests_start = file.tests_start().unwrap_or(usize::MAX);
    let report = |at: usize| {
        let message = stub(&tokens, at)
            .or_else(|| attribute(&tokens, at))
            .or_else(|| (tokens[at].line >= tests_start).then(|| sleeping(&tokens, at)).flatten())?;
        Some(Violation::new(&file.path, tokens[at].line, message))
    };
    (0..tokens.len()).filter_map(report).collect()
}

fn text_at<'a>(tokens: &[Token<'a>], at: Option<usize>) -> &'a str {
    at.and_then(|at| tokens.get(at)).map_or("", |token| token.text)
}

fn stub(tokens: &[Token<'_>], at: usize) -> Option<&'static str> {
    let is_macro = text_at(tokens, Some(at + 1)) == "!" && text_at(tokens, Some(at + 2)) != "=";
    (matches!(tokens[at].text, "todo" | "unimplemented") && is_macro)
        .then_some("a stub; write the code, or leave the feature out until it is written")
}

/// `ignore` and `allow` count inside `#[…]` only, directly or behind `cfg_attr`.
fn attribute(tokens: &[Token<'_>], at: usize) -> Option<&'static str> {
    let message = match tokens[at].text {
        "ignore" => "an ignored test; repair it, or delete it",
        "allow" if text_at(tokens, Some(at + 1)) == "(" => {
            "a silenced lint; write `expect(lint, reason = \"…\")`, which ends when its reason does"
        }
        _ => return None,
    };
    in_attribute(tokens, at).then_some(message)
}

/// Whether the token stands in an attribute, as its name or as one that `cfg_attr` applies.
fn in_attribute(tokens: &[Token<'_>], at: usize) -> bool {
    let opens = |open: usize| {
        let before = text_at(tokens, open.checked_sub(1));
        text_at(tokens, Some(open)) == "[" && matches!(before, "#" | "!")
    };
    if at.checked_sub(1).is_some_and(opens) {
        return true;
    }
    let start = tokens[..at].iter().rposition(|token| matches!(token.text, "[" | "]" | ";" | "{" | "}"));
    start.is_some_and(|open| {
        opens(open)
            && text_at(tokens, Some(open + 1)) == "cfg_attr"
            && text_at(tokens, at.checked_sub(1)) == ","
    })
}

/// A call or an import of `sleep`; a method of a port, and the declaration of one, may be called so.
fn sleeping(tokens: &[Token<'_>], at: usize) -> Option<&'static str> {
    let (before, after) = (text_at(tokens, at.checked_sub(1)), text_at(tokens, Some(at + 1)));
    let named = matches!(tokens[at].text, "sleep" | "sleep_until") && !matches!(before, "." | "fn");
    (named && (before == "::" || after == "(")).then_some(
        "a test that sleeps; wait on the condition with a deadline, or use the manual clock and timer",
    )
}

fn in_doc_tests(file: &File) -> Vec<Violation> {
    let is_ignored = |line: &str| {
        let comment = line.trim_start().strip_prefix("//");
        let fence =
            comment.and_then(|rest| rest.trim_start_matches(['/', '!']).trim_start().strip_prefix("```"));
        fence.is_some_and(|info| info.split([',', ' ']).any(|word| word == "ignore"))
    };
    let lines = file.text.lines().enumerate().filter(|(_, line)| is_ignored(line));
    let message = "an ignored doc test; let it compile, or mark it `text`";
    lines.map(|(index, _)| Violation::new(&file.path, index + 1, message)).collect()
}

#[test]
fn no_stub_ignored_test_sleeping_test_or_silenced_lint() {
    assert_none(&check(&Tree::here().unwrap().rust_files().unwrap()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&[File::new(path, text)]).into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn stubs_are_reported() {
        assert_eq!(
            lines("a/src/b.rs", "//! x\nfn f() { todo!() }\nfn g() { unimplemented!(\"later\") }"),
            [2, 3]
        );
        assert_eq!(
            lines("a/src/b.rs", "// todo!()\nfn f() -> &'static str { \"todo!()\" }\nlet todo = 1;"),
            [0; 0]
        );
    }

    #[test]
    fn ignored_tests_and_silenced_lints_are_reported() {
        for bad in
            ["#[ignore]", "#[ignore = \"slow\"]", "#[cfg_attr(windows, ignore)]", "#[allow(dead_code)]"]
        {
            assert_eq!(lines("a/src/b.rs", &format!("{bad}\nfn f() {{}}")), [1], "{bad}");
        }
        assert_eq!(lines("a/src/b.rs", "#![allow(unused)]"), [1]);
        assert_eq!(lines("a/src/b.rs", "#[cfg_attr(test, allow(unused))]"), [1]);
        assert_eq!(
            lines("a/src/b.rs", "fn f(a: [u8; 2]) { limit.allow(2); let ignore = [ignore, allow(1)]; }"),
            [0; 0]
        );
        assert_eq!(lines("a/src/b.rs", "//! ```ignore\n//! x\n//! ```"), [1]);
    }

    #[test]
    fn tests_that_sleep_are_reported_and_code_that_waits_is_not() {
        for bad in ["thread::sleep(d)", "tokio::time::sleep(d).await", "sleep(d)", "sleep_until(t)"] {
            assert_eq!(lines("tests/it/src/a.rs", bad), [1], "{bad}");
            assert_eq!(lines("a/src/b.rs", &format!("#[cfg(test)]\nmod tests {{ {bad} }}")), [2], "{bad}");
            assert_eq!(lines("a/src/b.rs", bad), [0; 0], "{bad}");
        }
        assert_eq!(lines("tests/it/src/a.rs", "use tokio::time::sleep;"), [1]);
        assert_eq!(lines("tests/it/src/a.rs", "timer.sleep(d).await; fn sleep(d: D) {}"), [0; 0]);
    }
}
