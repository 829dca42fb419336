//! What orchestration may order a ticket to do.

use super::error::TicketError;
use super::report::Dispatch;
use super::ticket::{Applied, Ticket};
use crate::ids::AgentId;
use crate::time::Timestamp;

/// One order to one ticket.
#[derive(Debug, Clone, PartialEq)]
pub enum Order {
    /// Go to an agent.
    Dispatch(Dispatch),
    /// Back into the queue after a failure, counting the try.
    Retry,
    /// Never run; the text says why.
    Cancel(String),
    /// End without success and without another try; the text says why.
    Fail(String),
    /// Leave an agent that vanished or overran the timeout; the text says why.
    Lose(AgentId, String),
    /// Be undone; the text says why.
    Compensate(String),
    /// The undo is done.
    Compensated,
}

impl Ticket {
    /// Carries out an order. Repeating it changes nothing.
    pub fn obey(&mut self, order: Order, now: Timestamp, by: &str) -> Result<Applied, TicketError> {
        match order {
            Order::Dispatch(dispatch) => self.dispatch(dispatch, now, by),
            Order::Retry => self.retry(now, by),
            Order::Cancel(reason) => self.cancel(&reason, now, by),
            Order::Fail(reason) => self.fail_for_good(&reason, now, by),
            Order::Lose(agent, reason) => self.lose(&agent, &reason, now, by),
            Order::Compensate(reason) => self.compensate(&reason, now, by),
            Order::Compensated => self.compensated(now, by),
        }
    }
}
