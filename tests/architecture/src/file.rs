//! One text file of the workspace.

use crate::mask;

/// A file and the two ways to read it: as written, and as code only.
#[derive(Debug, Clone)]
pub struct File {
    /// Path relative to the root of the workspace, with `/` between its parts.
    pub path: String,
    /// The file as written.
    pub text: String,
    /// The file with comments and literals blanked out; every line keeps its number and its columns.
    pub code: String,
}

impl File {
    /// A file with this content; only Rust files have `code`.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code =
            if path.ends_with(".rs") { mask::without_comments_and_literals(&text) } else { String::new() };
        Self { path, text, code }
    }

    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether the file as a whole is a test: it lies under a `tests` folder.
    pub fn is_test(&self) -> bool {
        self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// Line (from 1) from which the file is test code: 1 under `tests`, else that of its first `#[cfg(test)]`, test
    /// modules being last in a file. `None` where there are no tests.
    pub fn tests_start(&self) -> Option<usize> {
        if self.is_test() {
            return Some(1);
        }
        self.code.lines().position(|line| line.contains("#[cfg(test)]")).map(|index| index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_code_is_found_under_tests_and_in_a_test_module() {
        assert_eq!(File::new("tests/it/src/lib.rs", "fn a() {}").tests_start(), Some(1));
        assert_eq!(File::new("domain/tests/a.rs", "fn a() {}").tests_start(), Some(1));
        assert_eq!(
            File::new("domain/src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {}").tests_start(),
            Some(2)
        );
        assert_eq!(File::new("domain/src/a.rs", "// #[cfg(test)]\nfn a() {}").tests_start(), None);
    }
}
