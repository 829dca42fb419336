//! Splitting code into words and marks, as far as the rules need it.

/// A word, `::`, or one other mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// Its text.
    pub text: &'a str,
    /// Line, from 1.
    pub line: usize,
}

impl Token<'_> {
    /// Whether this is a word: an identifier, a keyword or a number.
    pub fn is_word(&self) -> bool {
        self.text.chars().next().is_some_and(is_word_char)
    }
}

fn is_word_char(character: char) -> bool {
    character == '_' || character.is_alphanumeric()
}

/// The tokens of a [`code`](crate::File::code).
pub fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    for (index, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if is_word_char(first) {
                rest.find(|character| !is_word_char(character)).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            let (token, after) = rest.split_at(length);
            found.push(Token { text: token, line: index + 1 });
            rest = after.trim_start();
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_paths_and_marks_are_told_apart() {
        let code = "use a::b_1;\n#[x]";
        let found = tokens(code);
        let texts: Vec<&str> = found.iter().map(|token| token.text).collect();
        assert_eq!(texts, ["use", "a", "::", "b_1", ";", "#", "[", "x", "]"]);
        assert_eq!((found[4].line, found[5].line), (1, 2));
        assert!(found[3].is_word() && !found[2].is_word());
    }
}
