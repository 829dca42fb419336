//! Blanking out what is not code in a Rust file: comments, strings and character literals.
//!
//! This is a reader of well-formed files, not a lexer: on a file that does not compile it only promises to end.

/// The text with every byte of a comment or literal replaced by a space; line breaks stay.
pub(crate) fn without_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut masked = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = blank_end(bytes, at);
        if end == at {
            masked.push(bytes[at]);
            at += 1;
        } else {
            masked.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    // Blanked regions begin and end at ASCII delimiters, so no character is cut in two.
    String::from_utf8_lossy(&masked).into_owned()
}

/// End of the comment or literal that begins at `at`; `at` itself when code begins there.
fn blank_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let length = match rest[0] {
        b'/' if rest.starts_with(b"//") => find(rest, b"\n").unwrap_or(rest.len()),
        b'/' if rest.starts_with(b"/*") => block_comment(rest),
        b'"' => string(rest),
        b'\'' => character(rest),
        b'r' | b'b' | b'c' if !follows_word(bytes, at) => raw_string(rest),
        _ => 0,
    };
    at + length.min(rest.len())
}

fn follows_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// Length of a block comment; they nest.
fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                break;
            }
        } else {
            at += 1;
        }
    }
    at
}

/// Length of a string with escapes, from its opening quote.
fn string(rest: &[u8]) -> usize {
    quoted(rest, 1, b'"')
}

fn quoted(rest: &[u8], from: usize, quote: u8) -> usize {
    let mut at = from;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

/// Length of a character literal; 0 for a lifetime.
fn character(rest: &[u8]) -> usize {
    match rest.get(1) {
        Some(b'\\') => quoted(rest, 1, b'\''),
        Some(&first) => {
            let width = match first {
                0xF0.. => 4,
                0xE0.. => 3,
                0xC0.. => 2,
                _ => 1,
            };
            if rest.get(1 + width) == Some(&b'\'') { width + 2 } else { 0 }
        }
        None => 0,
    }
}

/// Length of a raw string from its prefix (`r`, `br`, `cr`); 0 when this is an ordinary word.
fn raw_string(rest: &[u8]) -> usize {
    let prefix = if rest[0] == b'r' { 1 } else { 2 };
    if prefix == 2 && rest.get(1) != Some(&b'r') {
        return 0;
    }
    let hashes = rest[prefix.min(rest.len())..].iter().take_while(|&&byte| byte == b'#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&b'"') {
        return 0;
    }
    let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
    find(&rest[open + 1..], &close).map_or(rest.len(), |length| open + 1 + length + close.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        without_comments_and_literals(text).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn comments_and_literals_vanish_and_code_stays() {
        assert_eq!(words("a // b\nc"), ["a", "c"]);
        assert_eq!(words("a /* b /* c */ d */ e"), ["a", "e"]);
        assert_eq!(words(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(words("a r#\"b \" c\"# d"), ["a", "d"]);
        assert_eq!(words("a br\"\\\" d"), ["a", "d"]);
        assert_eq!(words(r"a '\'' b '\u{1F600}' c '😀' d '/' e"), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn lifetimes_raw_identifiers_and_words_ending_in_r_are_code() {
        assert_eq!(words("<'a, 'b> r#type for"), ["<'a,", "'b>", "r#type", "for"]);
        assert_eq!(words(r#"concat_r "x" y"#), ["concat_r", "y"]);
    }

    #[test]
    fn lines_and_columns_are_kept() {
        let text = "let a = \"é\n\"; // x\nb";
        let masked = without_comments_and_literals(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(masked.lines().count(), 3);
    }

    #[test]
    fn text_cut_off_anywhere_is_read_to_its_end() {
        let text = "a b'x' \"s\\\"\" r##\"y\"## /* c /* d */ */ '\\n' é 'é' // e";
        for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            assert_eq!(without_comments_and_literals(&text[..cut]).len(), cut);
        }
    }
}
