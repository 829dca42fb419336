//! A flow that can be told step by step.

use std::fmt::Write;
use std::sync::Arc;

use hive_application::messages::decode;
use hive_application::orchestration::Progress;
use hive_domain::ids::{AgentId, PlanId, TaskId, TicketId, WorkflowId};
use hive_domain::orchestration::flow::{Flow, FlowConfig, FlowEntry, PlanStatus, TicketRecord};
use hive_domain::orchestration::plan::ApprovedPlan;
use hive_domain::tickets::TicketAction;
use hive_domain::tickets::TicketStatus::{self, Cancelled, Completed, Failed, Pending, Running};
use hive_domain::time::Timestamp;

use super::board::Board;
use super::lines::Lines;

pub(super) const START: Timestamp = Timestamp::from_millis(1_000);

/// Tasks `t-0`, `t-1`, … that wait for nothing and need the capability `gpu`; low risk, so one retry each.
pub(super) fn flow(tasks: usize) -> Flow {
    let mut text = String::new();
    for n in 0..tasks {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"task_id":"t-{n}","task_type":"query","description":"d","required_capabilities":["gpu"]}}"#
        );
    }
    let order: Vec<String> = (0..tasks).map(|n| format!("\"t-{n}\"")).collect();
    let plan = format!(
        r#"{{"plan_id":"plan-1","intent_id":"i","tasks":[{text}],"execution_order":[{}],"risk_score":0.1,
        "risk_band":"low"}}"#,
        order.join(",")
    );
    let plan = ApprovedPlan::restore(decode(plan.as_bytes(), usize::MAX, 64).unwrap()).unwrap();
    let id = WorkflowId::for_plan(&plan.plan.plan_id);
    Flow::new(id, Arc::new(plan), START, FlowConfig::default())
}

/// A change of the ticket of `t-<task>`; one that failed may be tried again.
pub(super) fn record(task: usize, offset: u64, action: TicketAction, status: TicketStatus) -> TicketRecord {
    let plan = PlanId::parse("plan-1").unwrap();
    let ran = matches!(status, Completed | Failed);
    TicketRecord {
        offset,
        ticket_id: TicketId::for_task(&plan, &TaskId::parse(&format!("t-{task}")).unwrap()),
        action,
        status,
        agent: (status != Pending && status != Cancelled).then(|| AgentId::parse("agent-2").unwrap()),
        retry_count: 0,
        retryable: true,
        started_at: ran.then_some(START),
        completed_at: ran.then_some(START.plus_ms(12)),
        error_message: matches!(status, Failed | Cancelled).then(|| "boom\u{7}".to_owned()),
        at: START,
    }
}

/// A flow with what shows it.
pub(super) struct Shown {
    pub(super) flow: Flow,
    pub(super) board: Board,
    lines: Lines,
    pub(super) said: Vec<String>,
    pub(super) offset: u64,
}

impl Shown {
    pub(super) fn new(flow: Flow) -> Self {
        let mut shown =
            Shown { flow, board: Board::default(), lines: Lines::default(), said: Vec::new(), offset: 0 };
        shown.tell(Progress::TakenUp);
        shown
    }

    pub(super) fn tell(&mut self, progress: Progress<'_>) {
        let told = self.board.take_in(&self.flow, progress);
        let told = told.expect("it is of this flow");
        self.said.extend(self.lines.about(&self.board, &self.flow, told));
    }

    pub(super) fn enter(&mut self, entry: &FlowEntry) {
        self.flow.apply(entry);
        self.tell(Progress::Entered(self.flow.phase()));
    }

    pub(super) fn change(&mut self, task: usize, action: TicketAction, status: TicketStatus) {
        self.offset += 1;
        self.record(&record(task, self.offset, action, status));
    }

    pub(super) fn record(&mut self, record: &TicketRecord) {
        self.flow.apply(&FlowEntry::TicketChanged(record.clone()));
        self.tell(Progress::Ticket(record));
    }

    pub(super) fn generated(&mut self) {
        self.enter(&FlowEntry::TicketsGenerated { at: START });
    }

    pub(super) fn complete(&mut self, task: usize) {
        self.change(task, TicketAction::Dispatched, Running);
        self.change(task, TicketAction::Started, Running);
        self.change(task, TicketAction::Completed, Completed);
    }

    pub(super) fn end(&mut self, status: PlanStatus) {
        self.enter(&FlowEntry::ExecutionEnded { status, undo: Vec::new(), at: START });
        self.enter(&FlowEntry::Closed { at: START });
    }

    pub(super) fn counts(&self) -> [usize; 5] {
        let Board { created, allocated, ended, completed, failed, .. } = self.board;
        [created, allocated, ended, completed, failed]
    }
}
