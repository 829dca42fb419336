//! Reads the fields of one object, required ones and ones with a default, and keeps count of the defaults taken.

use std::fmt::Write;

use super::reader::Reader;
use crate::json::Json;
use crate::orchestration::finding::Code;
use crate::orchestration::message::Section;
use crate::orchestration::path::Path;

/// The fields of a section. Keys it is not asked for are ignored.
pub(super) struct Fields<'r, 'f, 'v, 'p> {
    pub(super) section: Section<'v, 'p>,
    pub(super) reader: &'r mut Reader<'f>,
    pub(super) defaults: &'r mut Defaults,
}

impl<'f, 'v> Fields<'_, 'f, 'v, '_> {
    /// A field that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Reader<'f>, &'v Json, &Path<'_>) -> Option<T>,
    ) -> Option<T> {
        let Some((value, at)) = self.section.find(key) else {
            self.reader.findings.error(
                Code::MissingField,
                self.section.at().key(key),
                "required, but absent",
            );
            return None;
        };
        read(self.reader, value, &at.key(key))
    }

    /// A field that may be absent or null; `default` is what it then counts as, for people to read.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        default: &'static str,
        read: impl FnOnce(&mut Reader<'f>, &'v Json, &Path<'_>) -> Option<T>,
    ) -> Option<T> {
        match self.section.find(key) {
            None => {
                self.defaults.note(key, default);
                None
            }
            Some((Json::Null, _)) => {
                if default != "null" {
                    self.defaults.note(key, default);
                }
                None
            }
            Some((value, at)) => read(self.reader, value, &at.key(key)),
        }
    }

    /// The three ids by which a request is followed: correlation, trace and span, as wide as tickets store them.
    pub(super) fn tracing_ids(&mut self) -> [Option<String>; 3] {
        [("correlation_id", 36), ("trace_id", 64), ("span_id", 32)].map(|(key, max)| {
            self.optional(key, "null", |reader, value, at| reader.foreign_id(value, at, max))
        })
    }

    /// The schema version, of which only one is understood.
    pub(super) fn schema_version(&mut self, supported: i64) {
        self.optional("schema_version", "1", |reader, value, at| {
            let version = reader.integer(value, at)?;
            if version != supported {
                let message = format_args!("version {version} is not supported, only {supported} is");
                reader.findings.error(Code::UnsupportedSchemaVersion, at, message);
            }
            Some(())
        });
    }
}

/// The defaults taken for the fields of one object, or of many of the same kind.
#[derive(Default)]
pub(super) struct Defaults {
    taken: Vec<(&'static str, &'static str, usize)>,
}

impl Defaults {
    fn note(&mut self, key: &'static str, default: &'static str) {
        match self.taken.iter_mut().find(|(taken, ..)| *taken == key) {
            Some((_, _, count)) => *count += 1,
            None => self.taken.push((key, default, 1)),
        }
    }

    /// One warning for all: `objects` is how many objects at `at` were read.
    pub(super) fn warn(self, reader: &mut Reader<'_>, at: &Path<'_>, objects: usize) {
        if self.taken.is_empty() {
            return;
        }
        let mut message = "absent, taken as default:".to_owned();
        for (index, (key, default, count)) in self.taken.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(message, "{comma} {key} = {default}");
            if objects > 1 {
                let _ = write!(message, " ({count} of {objects})");
            }
        }
        reader.findings.warning(Code::DefaultApplied, at, message);
    }
}
