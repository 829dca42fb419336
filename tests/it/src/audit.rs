//! What the folder of a plan that succeeded must fulfil, however often its process was killed on the way.
//!
//! | invariant | what is looked for |
//! | --- | --- |
//! | nothing is lost | every task completed; the flow closed with its result; every change is in the journal |
//! | nothing is twice | one ticket a task, one completion a ticket, no dispatch on top of another, one frame |
//! | row, history and outbox agree | the same events in both, versions without a gap, the row as after the last one |
//! | order | a task was dispatched after all it depends on had completed |

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hive_application::orchestration::StoredFlow;
use hive_domain::ids::{PlanId, TaskId, TicketId};
use hive_domain::json::Json;
use hive_domain::orchestration::flow::FlowEntry;
use hive_domain::orchestration::telemetry::{INCIDENTS_TOPIC, TELEMETRY_TOPIC};
use hive_domain::tickets::{TicketAction, TicketStatus};
use serde_json::Value;

use crate::folder::{Folder, Life};
use crate::plan;

/// Everything wrong with the folder of a plan whose every task had to complete. Empty when all is well.
pub fn problems(folder: &Folder, message: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let plan_id = PlanId::parse(message["plan_id"].as_str().unwrap_or_default()).expect("a plan id");
    tickets(folder, message, &plan_id, &mut found);
    for life in &folder.tickets {
        history(life, &mut found);
        outbox(folder, life, &mut found);
    }
    log(folder, &mut found);
    order(folder, message, &plan_id, &mut found);
    match &folder.flow {
        Some(flow) => journal(folder, flow, &plan_id, &mut found),
        None => found.push("the flow is not remembered".to_owned()),
    }
    messages(folder, &plan_id, &mut found);
    found
}

/// One ticket a task, with the id derived from plan and task, and as many tries as the task asks for.
fn tickets(folder: &Folder, message: &Value, plan_id: &PlanId, found: &mut Vec<String>) {
    let ids: BTreeSet<&str> = folder.tickets.iter().map(|life| life.ticket.id().as_str()).collect();
    let tasks = plan::tasks(message);
    if ids.len() != folder.tickets.len() || ids.len() != tasks.len() {
        let (rows, tasks) = (folder.tickets.len(), tasks.len());
        found.push(format!("{tasks} tasks have {rows} tickets with {} ids", ids.len()));
    }
    for task in plan::tasks(message).iter().filter(|task| !ids.contains(ticket_of(plan_id, task.0).as_str()))
    {
        found.push(format!("task {} has no ticket", task.0));
    }
    for life in &folder.tickets {
        let content = life.ticket.content();
        let fails = content.parameters.get("simulate.fail_times").and_then(Json::as_text);
        let fails = fails.and_then(|text| text.parse().ok()).unwrap_or(0);
        let (retries, failures) = (times(life, TicketAction::Retried), times(life, TicketAction::Failed));
        let counted = life.ticket.state().retry_count;
        if (retries, failures) != (fails, fails) || usize::try_from(counted) != Ok(fails) {
            let task = &content.task_id;
            found.push(format!(
                "{task} fails {fails} times: {failures} failed, {retries} retried, {counted} counted"
            ));
        }
    }
}

/// The history is a path through the table of states, with one start at its beginning and one completion at its end.
fn history(life: &Life, found: &mut Vec<String>) {
    let task = &life.ticket.content().task_id;
    let mut say = |problem: String| found.push(format!("{task}: {problem}: {}", told(life)));
    if life.ticket.status() != TicketStatus::Completed {
        say(format!("is {}", life.ticket.status()));
    }
    for action in [TicketAction::Created, TicketAction::Completed] {
        if times(life, action) != 1 {
            say(format!("{} {} times", action.as_str(), times(life, action)));
        }
    }
    if life.ticket.version() != life.history.len() as u64 {
        say(format!("version {} after {} entries", life.ticket.version(), life.history.len()));
    }
    let event_ids: BTreeSet<&str> = life.history.iter().map(|entry| entry.event_id.as_str()).collect();
    if event_ids.len() != life.history.len() {
        say("an event id is there twice".to_owned());
    }
    let mut status = None;
    let mut dispatched = false;
    for event in life.history.iter().map(|entry| &entry.event) {
        if event.old_status != status {
            say(format!("{} began at {:?}, not {status:?}", event.action.as_str(), event.old_status));
        }
        let moves =
            event.old_status.is_none_or(|old| old == event.new_status || old.allows(event.new_status));
        if !moves {
            say(format!("{} is no move of the table", event.action.as_str()));
        }
        match event.action {
            TicketAction::Dispatched if dispatched => say("dispatched twice".to_owned()),
            TicketAction::Dispatched => dispatched = true,
            TicketAction::Released | TicketAction::Retried => dispatched = false,
            TicketAction::Started | TicketAction::Completed if !dispatched => {
                say(format!("{} without a dispatch", event.action.as_str()));
            }
            _ => {}
        }
        status = Some(event.new_status);
    }
    if status != Some(life.ticket.status()) {
        say(format!("the row says {}, history {status:?}", life.ticket.status()));
    }
}

/// The outbox tells of the ticket exactly what its history does.
fn outbox(folder: &Folder, life: &Life, found: &mut Vec<String>) {
    let task = &life.ticket.content().task_id;
    let changes: Vec<_> =
        folder.log.iter().filter(|change| change.ticket.content.ticket_id == *life.ticket.id()).collect();
    let same = changes.iter().map(|change| &change.event).eq(life.history.iter().map(|entry| &entry.event));
    if !same {
        found.push(format!("{task}: the outbox has {} records, history is {}", changes.len(), told(life)));
    }
    if !changes.iter().map(|change| change.ticket.version).eq(1..=life.history.len() as u64) {
        found.push(format!("{task}: versions in the outbox are not 1, 2, 3 …"));
    }
    if changes.last().is_none_or(|last| last.ticket != life.ticket.snapshot()) {
        found.push(format!("{task}: the row is not as the last record left it"));
    }
}

/// Offsets grow; once an agent was seen under an epoch, none of its older incarnations is heard again.
fn log(folder: &Folder, found: &mut Vec<String>) {
    let mut last = 0;
    let mut epochs: BTreeMap<String, u64> = BTreeMap::new();
    for change in &folder.log {
        if change.offset <= last {
            found.push(format!("offset {} follows {last}", change.offset));
        }
        last = change.offset;
        let state = &change.ticket.state;
        if let (Some(agent), Some(epoch)) = (&state.agent_id, state.epoch) {
            let newest = epochs.entry(agent.to_string()).or_insert(epoch);
            if epoch < *newest {
                found.push(format!("{agent} of epoch {epoch} was heard after epoch {newest}"));
            }
            *newest = epoch.max(*newest);
        }
    }
}

/// A task is dispatched after everything it depends on has completed.
fn order(folder: &Folder, message: &Value, plan_id: &PlanId, found: &mut Vec<String>) {
    let dependencies: HashMap<TicketId, Vec<TicketId>> = plan::tasks(message)
        .into_iter()
        .map(|(task, before)| {
            (ticket_of(plan_id, task), before.into_iter().map(|task| ticket_of(plan_id, task)).collect())
        })
        .collect();
    let mut completed = BTreeSet::new();
    for change in &folder.log {
        let content = &change.ticket.content;
        match change.event.action {
            TicketAction::Completed => {
                completed.insert(content.ticket_id.clone());
            }
            TicketAction::Dispatched => {
                let before = dependencies.get(&content.ticket_id).into_iter().flatten();
                if before.into_iter().any(|ticket| !completed.contains(ticket)) {
                    found.push(format!("{} was dispatched before all it waits for", content.task_id));
                }
            }
            _ => {}
        }
    }
}

/// The journal took in every change after creation, in order and once, and each step of the flow once.
fn journal(folder: &Folder, flow: &StoredFlow, plan_id: &PlanId, found: &mut Vec<String>) {
    if flow.outcome.is_none() || folder.open_flows.contains(&flow.opening.workflow_id) {
        found.push(format!("the flow has not ended; open are {:?}", folder.open_flows));
    }
    let mut journaled = Vec::new();
    let mut steps = Vec::new();
    for entry in &flow.entries {
        match FlowEntry::parse(&entry.kind, &entry.payload) {
            Some(FlowEntry::TicketChanged(record)) => journaled.push(record.offset),
            Some(FlowEntry::Parked { .. }) => {}
            Some(entry) => steps.push(entry.kind()),
            None => found.push(format!("an unreadable journal entry: {}", entry.kind)),
        }
    }
    if steps != ["tickets_generated", "execution_ended", "closed"] {
        found.push(format!("the steps in the journal are {steps:?}"));
    }
    let own = folder.log.iter().filter(|change| change.ticket.content.plan_id == *plan_id);
    let changes = own.filter(|change| change.event.old_status.is_some());
    let logged: Vec<u64> = changes.map(|change| change.offset).collect();
    if journaled != logged {
        found.push(format!("the log has changes {logged:?}, the journal {journaled:?}"));
    }
}

/// Every message once, one telemetry frame, no incident.
fn messages(folder: &Folder, plan_id: &PlanId, found: &mut Vec<String>) {
    let ids: BTreeSet<&str> =
        folder.messages.iter().map(|stored| stored.message.message_id.as_str()).collect();
    if ids.len() != folder.messages.len() {
        found.push("a message is there twice".to_owned());
    }
    if !folder.messages.is_sorted_by(|one, next| one.offset < next.offset) {
        found.push("offsets of messages do not grow".to_owned());
    }
    let frames = folder.told(TELEMETRY_TOPIC);
    let frames = frames.iter().filter(|stored| stored.message.key == plan_id.as_str()).count();
    let incidents = folder.told(INCIDENTS_TOPIC).len();
    if (frames, incidents) != (1, 0) {
        found.push(format!("{frames} telemetry frames, {incidents} incidents"));
    }
}

fn ticket_of(plan_id: &PlanId, task: &str) -> TicketId {
    TicketId::for_task(plan_id, &TaskId::parse(task).expect("a task id"))
}

fn times(life: &Life, action: TicketAction) -> usize {
    life.history.iter().filter(|entry| entry.event.action == action).count()
}

/// The actions of a history in one line.
fn told(life: &Life) -> String {
    life.history.iter().map(|entry| entry.event.action.as_str()).collect::<Vec<_>>().join(", ")
}
