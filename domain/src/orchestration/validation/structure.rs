//! The rules about the plan as a whole: task ids, execution order, dependencies, cycles. Linear in tasks and edges.

use std::collections::HashMap;
use std::fmt;

use super::reader::Reader;
use super::tasks::Draft;
use crate::orchestration::finding::{Code, Quoted, Shortened};
use crate::orchestration::graph::{CyclePath, Graph};
use crate::orchestration::path::Path;

/// Where the two lists stand.
pub(super) struct Places<'a> {
    pub(super) tasks: Path<'a>,
    pub(super) order: Path<'a>,
}

/// Checks all rules and builds the graph; nothing when there is no order to be had. The order is absent when it could
/// not be read.
pub(super) fn check(
    drafts: &[Draft<'_>],
    order: Option<&[(usize, &str)]>,
    places: &Places<'_>,
    reader: &mut Reader<'_>,
) -> Option<Graph> {
    let numbers = number_tasks(drafts, places, reader);
    let positions = match order {
        Some(order) => check_order(drafts, &numbers, order, places, reader),
        None => vec![UNPLACED; drafts.len()],
    };
    let dependencies = check_dependencies(drafts, &numbers, places, reader);
    match Graph::try_new(&dependencies, &positions) {
        Ok(graph) => {
            // Missing tasks are errors already; the warning is for an order that is complete but wrong.
            let complete = !positions.contains(&UNPLACED);
            if complete && !graph.order().is_sorted_by_key(|task| positions[*task as usize]) {
                let message = "puts a task before one it depends on; an order that holds is used instead";
                reader.findings.warning(Code::OrderNotTopological, places.order, message);
            }
            Some(graph)
        }
        Err(cycles) => {
            for cycle in cycles {
                report_cycle(&cycle, drafts, places, reader);
            }
            None
        }
    }
}

/// The position of a task that the order does not name: behind all others.
const UNPLACED: u32 = u32::MAX;

fn number_tasks<'a>(
    drafts: &[Draft<'a>],
    places: &Places<'_>,
    reader: &mut Reader<'_>,
) -> HashMap<&'a str, u32> {
    let mut numbers = HashMap::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let Some(id) = draft.id else { continue };
        let first = *numbers.entry(id).or_insert(index as u32);
        if first as usize != index {
            let message = format_args!("{} is already the id of tasks[{first}]", Quoted(id));
            reader.findings.error(Code::DuplicateTaskId, places.tasks.item(index).key("task_id"), message);
        }
    }
    numbers
}

/// The position of each task in the order.
fn check_order(
    drafts: &[Draft<'_>],
    numbers: &HashMap<&str, u32>,
    order: &[(usize, &str)],
    places: &Places<'_>,
    reader: &mut Reader<'_>,
) -> Vec<u32> {
    let mut positions = vec![UNPLACED; drafts.len()];
    let distinct = numbers.len() == drafts.len();
    for (index, id) in order {
        let at = places.order.item(*index);
        // Most orders name the tasks as the plan lists them, which spares the look-up.
        let as_listed = distinct && drafts.get(*index).is_some_and(|draft| draft.id == Some(id));
        let found = if as_listed { Some(*index as u32) } else { numbers.get(id).copied() };
        let Some(task) = found else {
            reader.findings.error(
                Code::UnknownTaskInOrder,
                at,
                format_args!("there is no task {}", Quoted(id)),
            );
            continue;
        };
        let position = &mut positions[task as usize];
        if *position == UNPLACED {
            *position = *index as u32;
        } else {
            let message = format_args!("{} is already at execution_order[{position}]", Quoted(id));
            reader.findings.error(Code::DuplicateInOrder, at, message);
        }
    }
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(id) = draft.id
            && numbers.get(id) == Some(&(index as u32))
            && positions[index] == UNPLACED
        {
            let message = format_args!("{} is missing from execution_order", Quoted(id));
            reader.findings.error(Code::TaskNotInOrder, places.tasks.item(index).key("task_id"), message);
        }
    }
    positions
}

/// For each task the numbers of those it depends on, as far as they exist. A dependency named twice counts once.
fn check_dependencies(
    drafts: &[Draft<'_>],
    numbers: &HashMap<&str, u32>,
    places: &Places<'_>,
    reader: &mut Reader<'_>,
) -> Vec<Vec<u32>> {
    let mut last_dependent = vec![u32::MAX; drafts.len()];
    let mut all = Vec::with_capacity(drafts.len());
    for (index, draft) in drafts.iter().enumerate() {
        let task_at = places.tasks.item(index);
        let list_at = task_at.key("dependencies");
        let mut known = Vec::with_capacity(draft.dependencies.len());
        for (place, id) in &draft.dependencies {
            if draft.id == Some(id) {
                let message = format_args!("{} depends on itself", Quoted(id));
                reader.findings.error(Code::SelfDependency, list_at.item(*place), message);
                continue;
            }
            let Some(number) = numbers.get(id) else {
                let message = format_args!("there is no task {}", Quoted(id));
                reader.findings.error(Code::UnknownDependency, list_at.item(*place), message);
                continue;
            };
            let last = &mut last_dependent[*number as usize];
            if *last != index as u32 {
                *last = index as u32;
                known.push(*number);
            }
        }
        all.push(known);
    }
    all
}

fn report_cycle(cycle: &CyclePath, drafts: &[Draft<'_>], places: &Places<'_>, reader: &mut Reader<'_>) {
    let Some(first) = cycle.0.first() else { return };
    let task_at = places.tasks.item(*first as usize);
    let message = format_args!("{} (each depends on the next)", Round { cycle, drafts });
    reader.findings.error(Code::Cycle, task_at.key("dependencies"), message);
}

/// A cycle as `a -> b -> a`; of a long one the beginning and the length.
struct Round<'a> {
    cycle: &'a CyclePath,
    drafts: &'a [Draft<'a>],
}

impl Round<'_> {
    const MAX_TASKS: usize = 32;
}

impl fmt::Display for Round<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |task: &u32| Shortened(self.drafts[*task as usize].id.unwrap_or("?"));
        let tasks = &self.cycle.0;
        for task in tasks.iter().take(Self::MAX_TASKS) {
            write!(f, "{} -> ", name(task))?;
        }
        if let Some(more) = tasks.len().checked_sub(Self::MAX_TASKS).filter(|more| *more > 0) {
            write!(f, "({more} more) -> ")?;
        }
        tasks.first().map_or(Ok(()), |first| write!(f, "{}", name(first)))
    }
}
