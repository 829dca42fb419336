//! Flows driven to their end against real tickets, in every order and with every kind of failure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hive_domain::ids::{TicketId, WorkflowId};
use hive_domain::orchestration::flow::{
    Flow, FlowConfig, FlowEntry, Phase, PlanStatus, Ready, Step, TicketRecord,
};
use hive_domain::tickets::public::{Order, TicketStatus};
use hive_domain::time::Timestamp;
use proptest::prelude::*;

use crate::plans::{TaskWithDependencies, plan_with, task};
use hive_domain::ids::AgentId;
use hive_domain::json::Json;
use hive_domain::orchestration::consolidation::{Consolidation, consolidate};
use hive_domain::tickets::public::{Dispatch, Report, TicketChange};
use hive_domain::tickets::{Ticket, TicketEvent};

/// The ticket context in memory, with its log, and a clock that only moves when nothing else does.
struct World {
    flow: Flow,
    tickets: BTreeMap<TicketId, Ticket>,
    log: Vec<TicketChange>,
    journal: Vec<FlowEntry>,
    fed: usize,
    now: Timestamp,
    running: Vec<TicketId>,
    epoch: u64,
}

const AGENT: &str = "agent-1";

impl World {
    fn new(band: &str, tasks: Vec<TaskWithDependencies>) -> Self {
        let approved = Arc::new(plan_with("plan", band, tasks));
        let workflow_id = WorkflowId::for_plan(&approved.plan.plan_id);
        let now = Timestamp::from_millis(1_000_000);
        World {
            flow: Flow::new(workflow_id, approved, now, FlowConfig::default()),
            tickets: BTreeMap::new(),
            log: Vec::new(),
            journal: Vec::new(),
            fed: 0,
            now,
            running: Vec::new(),
            epoch: 1,
        }
    }

    fn save(&mut self, mut ticket: Ticket) {
        let events: Vec<TicketEvent> = ticket.take_events();
        let spawned = ticket.take_spawned();
        let version = ticket.version() + 1;
        let ticket = ticket.saved(version);
        for event in events {
            let offset = self.log.len() as u64 + 1;
            self.log.push(TicketChange { offset, event, ticket: ticket.snapshot() });
        }
        self.tickets.insert(ticket.id().clone(), ticket);
        for ticket in spawned {
            self.save(ticket);
        }
    }

    fn order(&mut self, id: &TicketId, order: Order) {
        let mut ticket = self.tickets[id].clone();
        ticket.obey(order, self.now, "flow").unwrap();
        self.save(ticket);
    }

    fn report(&mut self, id: &TicketId, status: TicketStatus, retryable: bool) {
        let mut ticket = self.tickets[id].clone();
        let agent = AgentId::parse(AGENT).unwrap();
        let report = Report { retryable: Some(retryable), ..Report::by(agent, self.epoch) };
        ticket.report(status, &report, self.now, AGENT).unwrap();
        self.save(ticket);
    }

    fn enter(&mut self, entry: FlowEntry) {
        self.flow.apply(&entry);
        self.journal.push(entry);
    }

    /// The process dies: everything but the tickets and the journal is gone, and of the journal the last `unsaved`
    /// changes, which the flow had acted upon. The agent comes back under a new epoch and fences the old one.
    fn restart(&mut self, unsaved: usize) {
        for _ in 0..unsaved {
            if let Some(FlowEntry::TicketChanged(_)) = self.journal.last() {
                self.journal.pop();
            }
        }
        self.flow = self.fold();
        self.fed = usize::try_from(self.flow.read_to()).unwrap();
        self.epoch += 1;
        for id in std::mem::take(&mut self.running) {
            let mut ticket = self.tickets[&id].clone();
            ticket.release(&AgentId::parse(AGENT).unwrap(), self.epoch, self.now, "fence").unwrap();
            self.save(ticket);
        }
    }

    fn fold(&self) -> Flow {
        let flow = &self.flow;
        let (id, approved) = (flow.workflow_id().clone(), Arc::clone(flow.approved()));
        let mut folded = Flow::new(id, approved, flow.opened_at(), FlowConfig::default());
        self.journal.iter().for_each(|entry| folded.apply(entry));
        folded
    }

    /// Tells the flow what the log holds, and does what it asks for. Says whether there was anything.
    fn advance(&mut self) -> bool {
        let before = (self.fed, self.log.len(), self.journal.len());
        while self.fed < self.log.len() {
            let record = TicketRecord::from(&self.log[self.fed]);
            self.fed += 1;
            self.enter(FlowEntry::TicketChanged(record));
        }
        for step in self.flow.steps(self.now) {
            match step {
                Step::GenerateTickets => {
                    for planned in self.flow.planned().to_vec() {
                        if !self.tickets.contains_key(&planned.content.ticket_id) {
                            self.save(Ticket::create(planned.content, planned.metadata, "flow").unwrap());
                        }
                    }
                    self.enter(FlowEntry::TicketsGenerated { at: self.now });
                }
                Step::Order(id, order) => self.order(&id, order),
                Step::Enter(entry) => self.enter(entry),
                Step::Consolidate => self.enter(FlowEntry::Closed { at: self.now }),
            }
        }
        while let Some(ready) = self.flow.next_ready(&BTreeSet::new()) {
            self.check_released(&ready);
            let agent = AgentId::parse(AGENT).unwrap();
            let not_before = ready.not_before;
            let dispatch = Dispatch { agent, epoch: self.epoch, allocation: Json::Null, not_before };
            let before = self.tickets[&ready.ticket_id].status();
            self.order(&ready.ticket_id, Order::Dispatch(dispatch));
            if before == TicketStatus::Pending {
                self.report(&ready.ticket_id, TicketStatus::Running, true);
                self.running.push(ready.ticket_id);
            }
        }
        before != (self.fed, self.log.len(), self.journal.len())
    }

    /// INV-7: what waits for others is not handed out before they completed.
    fn check_released(&self, ready: &Ready) {
        if self.tickets[&ready.ticket_id].content().task_type != hive_domain::tickets::TaskType::Compensate {
            for dependency in &ready.content.dependencies {
                assert_eq!(self.tickets[dependency].status(), TicketStatus::Completed);
            }
        }
    }

    fn finish(&mut self, at: usize, outcome: Outcome) {
        let id = self.running.swap_remove(at);
        match outcome {
            Outcome::Complete => self.report(&id, TicketStatus::Completed, true),
            Outcome::Fail => self.report(&id, TicketStatus::Failed, true),
            Outcome::Fatal => self.report(&id, TicketStatus::Failed, false),
        }
    }

    fn run(&mut self, mut choose: impl FnMut(usize) -> (usize, Outcome, Option<usize>)) {
        for _ in 0..100_000 {
            let moved = self.advance();
            if self.flow.phase() == Phase::Ended {
                return;
            }
            if moved {
                continue;
            }
            if !self.running.is_empty() {
                let (at, outcome, restart) = choose(self.running.len());
                self.finish(at, outcome);
                if let Some(unsaved) = restart {
                    self.restart(unsaved);
                }
            } else if let Some(at) = self.flow.wake_at() {
                self.now = self.now.max(at);
            }
        }
        panic!("INV-10: the flow did not end: {:?}", self.flow.phase());
    }

    fn result(&self) -> Consolidation {
        let snapshots: Vec<_> = self.tickets.values().map(Ticket::snapshot).collect();
        consolidate(&self.flow, &snapshots, self.now)
    }

    fn status_of(&self, task: &str) -> TicketStatus {
        let node =
            self.flow.nodes().iter().find(|n| n.undoes.is_none() && n.content.task_id.as_str() == task);
        self.tickets[&node.unwrap().ticket_id].status()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Complete,
    Fail,
    Fatal,
}

fn diamond() -> Vec<TaskWithDependencies> {
    vec![task("a", &[], None), task("b", &["a"], None), task("c", &["a"], None), task("d", &["b", "c"], None)]
}

#[test]
fn a_diamond_completes() {
    let mut world = World::new("medium", diamond());
    world.run(|_| (0, Outcome::Complete, None));
    let result = world.result();
    assert_eq!(result.status, PlanStatus::Success);
    assert!(result.is_consistent(), "{:?}", result.errors);
    assert_eq!((result.metrics.successful, result.compensations.len()), (4, 0));
}

#[test]
fn a_fatal_failure_cancels_what_waits_and_undoes_what_was_done() {
    let mut world = World::new("medium", diamond());
    let mut turn = 0;
    world.run(|_| {
        turn += 1;
        (0, if turn == 2 { Outcome::Fatal } else { Outcome::Complete }, None)
    });
    let result = world.result();
    assert_eq!(result.status, PlanStatus::Partial);
    assert_eq!(world.status_of("a"), TicketStatus::Compensated);
    assert_eq!(world.status_of("b"), TicketStatus::Compensated);
    assert_eq!(world.status_of("c"), TicketStatus::Completed, "not before the failure, so left alone");
    assert_eq!(world.status_of("d"), TicketStatus::Cancelled);
    // Dependents are undone before what they depend on.
    let undone: Vec<&str> = result.compensations.iter().map(|c| c.original_ticket_id.as_str()).collect();
    let ids: Vec<&str> = world.flow.nodes()[..2].iter().map(|node| node.ticket_id.as_str()).collect();
    assert_eq!(undone, [ids[1], ids[0]]);
    assert!(result.is_consistent(), "{:?}", result.errors);
}

#[test]
fn retries_wait_longer_each_time_and_then_give_up() {
    let mut world = World::new("medium", vec![task("a", &[], None)]);
    let started = world.now;
    let mut turn = 0;
    world.run(|_| {
        turn += 1;
        (0, if turn <= 3 { Outcome::Fail } else { Outcome::Complete }, None)
    });
    // Medium allows two retries: after 1 s and after 2 s more; the fourth report is the undo's.
    assert_eq!(world.now.since(started), 3_000);
    assert_eq!(world.tickets[&world.flow.nodes()[0].ticket_id].state().retry_count, 2);
    assert_eq!(world.result().status, PlanStatus::Failed);
}

#[test]
fn nobody_to_do_it_fails_at_the_deadline_with_the_reason() {
    let mut world = World::new("low", vec![task("a", &[], Some(1)), task("b", &["a"], Some(1))]);
    world.flow.apply(&FlowEntry::TicketsGenerated { at: world.now });
    let ready = world.flow.next_ready(&BTreeSet::new()).unwrap();
    let entry = world.flow.park(&ready, "nobody can".to_owned(), world.now);
    assert!(matches!(entry, Some(FlowEntry::Parked { .. })));
    let deadline = world.flow.wake_at().unwrap();
    assert_eq!(deadline, ready.content.sla.deadline);
    assert!(world.flow.steps(world.now).is_empty());
    let orders = world.flow.steps(deadline);
    let expected = Order::Fail("no_agent: nobody can".to_owned());
    assert!(orders.contains(&Step::Order(ready.ticket_id.clone(), expected)), "{orders:?}");
}

#[test]
fn a_running_ticket_is_taken_away_at_its_timeout() {
    let mut world = World::new("low", vec![task("a", &[], Some(1))]);
    world.advance();
    world.advance();
    let running = world.running[0].clone();
    world.advance();
    let timeout = world.flow.wake_at().unwrap();
    assert_eq!(timeout, world.now.plus_ms(60_000));
    let steps = world.flow.steps(timeout);
    assert!(matches!(&steps[..], [Step::Order(id, Order::Lose(..))] if *id == running), "{steps:?}");
}

#[test]
fn readiness_work_is_proportional_to_nodes_and_edges() {
    // INV-12
    let layers = 40;
    let width = 25;
    let mut tasks = Vec::new();
    let mut edges = 0;
    for layer in 0..layers {
        for column in 0..width {
            let before: Vec<String> = match layer {
                0 => Vec::new(),
                _ => (0..width).map(|c| format!("t{}-{c}", layer - 1)).collect(),
            };
            edges += before.len();
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            tasks.push(task(&format!("t{layer}-{column}"), &before, None));
        }
    }
    let nodes = tasks.len();
    let mut world = World::new("medium", tasks);
    world.run(|_| (0, Outcome::Complete, None));
    let work = world.flow.readiness_work();
    assert!(work <= 4 * (nodes + edges) as u64, "{work} for {nodes} nodes and {edges} edges");
}

fn any_plan() -> impl Strategy<Value = Vec<TaskWithDependencies>> {
    (1_usize..12).prop_flat_map(|size| {
        prop::collection::vec(prop::collection::vec(any::<bool>(), size), size).prop_map(move |edges| {
            (0..size)
                .map(|node| {
                    let before: Vec<String> =
                        (0..node).filter(|b| edges[node][*b]).map(|b| format!("t{b}")).collect();
                    task(&format!("t{node}"), &before.iter().map(String::as_str).collect::<Vec<_>>(), None)
                })
                .collect()
        })
    })
}

proptest! {
    /// INV-7, INV-10: whatever the plan, the order of events, the failures and the restarts, the flow ends, every
    /// ticket has ended, and the tickets agree with each other.
    #[test]
    fn every_flow_ends(
        tasks in any_plan(),
        choices in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..10, 0_u8..24), 1..200),
    ) {
        let mut world = World::new("medium", tasks);
        let mut turn = 0;
        world.run(|running| {
            let (at, luck, restart) = &choices[turn % choices.len()];
            turn += 1;
            let outcome = match luck {
                0 => Outcome::Fatal,
                1 | 2 => Outcome::Fail,
                _ => Outcome::Complete,
            };
            (at.index(running), outcome, (*restart < 4).then_some(usize::from(*restart) * 3))
        });
        let result = world.result();
        prop_assert!(result.is_consistent(), "{:?}", result.errors);
        for ticket in world.tickets.values() {
            prop_assert!(ticket.status().is_terminal());
        }
        let all_completed = world.flow.planned().iter().all(|planned| {
            world.tickets[&planned.content.ticket_id].status() == TicketStatus::Completed
        });
        prop_assert_eq!(result.status == PlanStatus::Success, all_completed);
        // The journal alone tells the same story.
        let told = world.fold();
        prop_assert_eq!(told.nodes(), world.flow.nodes());
    }
}
