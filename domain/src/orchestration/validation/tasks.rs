//! Reads the tasks of a plan.

use super::fields::{Defaults, Fields};
use super::reader::Reader;
use crate::ids::TaskId;
use crate::json::Json;
use crate::orchestration::finding::Code;
use crate::orchestration::message::Section;
use crate::orchestration::path::Path;
use crate::orchestration::plan::Task;
use crate::tickets::public::TaskType;

/// A task as far as it can be read: what the rules about the whole plan need, even of a task that is itself broken.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) id: Option<&'a str>,
    /// Each with its place in the array.
    pub(super) dependencies: Vec<(usize, &'a str)>,
    pub(super) estimated_duration_ms: Option<i64>,
    pub(super) task: Option<Task>,
}

/// All tasks; nothing when they are no array or too many to look at.
pub(super) fn read<'a>(reader: &mut Reader<'_>, tasks: &'a Json, at: &Path<'_>) -> Option<Vec<Draft<'a>>> {
    let Json::List(tasks) = tasks else {
        reader.wrong_type("an array", tasks, at);
        return None;
    };
    let max = reader.limits.max_tasks;
    if tasks.len() > max {
        let message = format_args!("the plan has {} tasks, at most {max} are accepted", tasks.len());
        reader.findings.error(Code::TooManyTasks, at, message);
        return None;
    }
    if tasks.is_empty() {
        reader.findings.error(Code::EmptyPlan, at, "the plan has no tasks");
    }
    let mut defaults = Defaults::default();
    let drafts = tasks.iter().enumerate().map(|(index, task)| {
        let at = at.item(index);
        let section = reader.object(task, &at).map(|members| Section::plain(members, at));
        section.map(|section| read_task(section, reader, &mut defaults)).unwrap_or_default()
    });
    let drafts = drafts.collect();
    defaults.warn(reader, at, tasks.len());
    Some(drafts)
}

fn read_task<'a>(section: Section<'a, '_>, reader: &mut Reader<'_>, defaults: &mut Defaults) -> Draft<'a> {
    let mut fields = Fields { section, reader, defaults };
    let mut id = None;
    let task_id = fields.required("task_id", |r, v, at| {
        id = v.as_text();
        r.id(v, at, TaskId::parse)
    });
    let task_type = fields.required("task_type", Reader::text);
    let description = fields.required("description", Reader::text);
    let dependencies = fields.optional("dependencies", "[]", Reader::texts).unwrap_or_default();
    let estimated_duration_ms = fields.optional("estimated_duration_ms", "null", Reader::duration_ms);
    let capabilities = fields.optional("required_capabilities", "[]", Reader::texts).unwrap_or_default();
    let parameters = fields.optional("parameters", "{}", Reader::parameters).unwrap_or_default();
    let metadata = fields.optional("metadata", "{}", Reader::text_map).unwrap_or_default();
    let task = task_id.zip(task_type).zip(description).map(|((task_id, original_type), description)| Task {
        task_id,
        task_type: task_type_of(original_type),
        original_type: original_type.to_owned(),
        description: description.to_owned(),
        estimated_duration_ms,
        required_capabilities: capabilities.into_iter().map(|(_, text)| text.to_owned()).collect(),
        parameters,
        metadata,
    });
    Draft { id, dependencies, estimated_duration_ms, task }
}

/// The ticket's kind of work for the free text of a plan, in any letter case.
fn task_type_of(text: &str) -> TaskType {
    let word = text.to_ascii_uppercase();
    TaskType::parse(&word).unwrap_or(match word.as_str() {
        "VALIDATE_LEGACY" | "REVIEW" => TaskType::Validate,
        "ANALYZE" => TaskType::Query,
        // Among others GENERATE and CODE_GENERATION of older plans.
        _ => TaskType::Execute,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_task_types_map_to_the_eight_of_the_ticket() {
        for (text, kind) in [
            ("query", TaskType::Query),
            ("TRANSFORM", TaskType::Transform),
            ("Build", TaskType::Build),
            ("validate_legacy", TaskType::Validate),
            ("review", TaskType::Validate),
            ("analyze", TaskType::Query),
            ("generate", TaskType::Execute),
            ("code_generation", TaskType::Execute),
            ("testing", TaskType::Execute),
            ("", TaskType::Execute),
        ] {
            assert_eq!(task_type_of(text), kind, "{text}");
        }
    }
}
