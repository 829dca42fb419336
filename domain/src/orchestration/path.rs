//! Where a value sits in a message; a path costs nothing until a finding prints it.

use std::fmt;

use super::finding::Shortened;

/// The way from the message to a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    /// The object a section is read from: up to two keys from the top, empty ones left out.
    Base([&'static str; 2]),
    /// A member of an object.
    Key(&'a Path<'a>, &'a str),
    /// An item of an array.
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    /// The whole message.
    pub(super) const ROOT: Path<'static> = Path::Base(["", ""]);

    /// The member `key` of the object here.
    pub(super) fn key<'b>(&'b self, key: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path::Key(self, key)
    }

    /// The item `index` of the array here.
    pub(super) fn item<'b>(&'b self, index: usize) -> Path<'b>
    where
        'a: 'b,
    {
        Path::Item(self, index)
    }

    fn is_root(&self) -> bool {
        matches!(self, Path::Base(["", ""]))
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Base(["", ""]) => f.write_str("$"),
            Path::Base([outer, ""]) => f.write_str(outer),
            Path::Base(["", inner]) => f.write_str(inner),
            Path::Base([outer, inner]) => write!(f, "{outer}.{inner}"),
            Path::Key(parent, key) if parent.is_root() => write!(f, "{}", Shortened(key)),
            Path::Key(parent, key) => write!(f, "{parent}.{}", Shortened(key)),
            Path::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_from_the_top() {
        assert_eq!(Path::ROOT.to_string(), "$");
        assert_eq!(
            Path::ROOT.key("tasks").item(3).key("dependencies").item(0).to_string(),
            "tasks[3].dependencies[0]"
        );
        assert_eq!(Path::Base(["cognitive_plan", ""]).key("tasks").to_string(), "cognitive_plan.tasks");
        assert_eq!(Path::Base(["ledger", "plan_data"]).key("tasks").to_string(), "ledger.plan_data.tasks");
        assert_eq!(Path::Base(["", "plan_data"]).to_string(), "plan_data");
    }
}
