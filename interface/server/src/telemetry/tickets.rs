//! Measures the tickets: by standing before their storage, and by following their log.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::StreamExt;
use hive_application::error::{Error, ErrorKind};
use hive_application::tickets::{
    Change, Creation, HistoryEntry, LogFilter, TicketFilter, TicketPage, TicketQuery, TicketRepository,
    Tickets, TokenClaims, TokenIssuer,
};
use hive_domain::ids::TicketId;
use hive_domain::orchestration::generation::GENERATED_BY;
use hive_domain::tickets::{Applied, Ticket, TicketAction, TicketStatus};
use metrics::{Counter, Gauge, Histogram};
use tracing::Instrument as _;

use super::series::Series;
use super::traces;

/// The operations of the database, in the order of its families' label.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Insert,
    Select,
    Update,
    List,
    History,
}

impl Operation {
    const fn span_name(self) -> &'static str {
        match self {
            Operation::Insert => "postgres.insert",
            Operation::Select => "postgres.select",
            Operation::Update => "postgres.update",
            Operation::List => "postgres.list",
            Operation::History => "postgres.history",
        }
    }
}

/// Storage of tickets, measured.
pub(crate) struct Measured {
    storage: Arc<dyn TicketRepository>,
    persisted: Series<Counter>,
    errors: Series<Counter>,
    saving_seconds: Series<Histogram>,
    created: Series<Counter>,
    duplicates: Series<Counter>,
    operations: Series<Counter>,
    operation_seconds: Series<Histogram>,
}

impl Measured {
    /// Registers with the recorder of the process, if there is one.
    pub(crate) fn new(storage: Arc<dyn TicketRepository>) -> Self {
        Measured {
            storage,
            persisted: Series::of("tickets_persisted_total"),
            errors: Series::of("tickets_processing_errors_total"),
            saving_seconds: Series::of("ticket_processing_duration_seconds"),
            created: Series::of("neural_hive_execution_tickets_created_total"),
            duplicates: Series::of("ticket_service_duplicates_detected_total"),
            operations: Series::of("postgres_queries_total"),
            operation_seconds: Series::of("postgres_query_duration_seconds"),
        }
    }

    async fn timed<T>(
        &self,
        operation: Operation,
        answer: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let span = tracing::info_span!(
            target: traces::TICKETS,
            "postgres",
            otel.name = operation.span_name(),
            otel.kind = "client",
            db.collection.name = "execution_tickets",
        );
        let answer = answer.instrument(span).await;
        self.operations.at([operation as usize]).increment(1);
        self.operation_seconds.first().record(begun.elapsed().as_secs_f64());
        answer
    }

    fn blame(&self, error: &Error) {
        if matches!(
            error.kind(),
            ErrorKind::Internal | ErrorKind::Unavailable | ErrorKind::ResourceExhausted | ErrorKind::Aborted
        ) {
            self.errors.first().increment(1);
        }
    }

    fn saved(&self, ticket: &Ticket) {
        let by_plan = ticket.state().metadata.get("generated_by").is_some_and(|by| by == GENERATED_BY);
        self.created.at([usize::from(!by_plan)]).increment(1);
        self.persisted.first().increment(1);
    }
}

#[async_trait]
impl TicketRepository for Measured {
    async fn create(&self, tickets: Vec<Ticket>) -> Result<Vec<Creation>, Error> {
        let begun = Instant::now();
        let answer = self.timed(Operation::Insert, self.storage.create(tickets)).await;
        self.saving_seconds.first().record(begun.elapsed().as_secs_f64());
        match &answer {
            Ok(creations) => {
                for creation in creations {
                    match creation {
                        Creation::Created(ticket) => self.saved(ticket),
                        Creation::Existing(_) => self.duplicates.first().increment(1),
                    }
                }
            }
            Err(error) => self.blame(error),
        }
        answer
    }

    async fn find(&self, id: &TicketId) -> Result<Option<Ticket>, Error> {
        self.timed(Operation::Select, self.storage.find(id)).await
    }

    async fn list(&self, query: &TicketQuery) -> Result<TicketPage, Error> {
        self.timed(Operation::List, self.storage.list(query)).await
    }

    async fn update(&self, id: &TicketId, change: &mut Change<'_>) -> Result<(Ticket, Applied), Error> {
        let mut begins_undo = false;
        let mut change = |ticket: &mut Ticket| {
            let before = ticket.status();
            let applied = change(ticket);
            begins_undo = before != ticket.status() && ticket.status() == TicketStatus::Compensating;
            applied
        };
        let answer = self.timed(Operation::Update, self.storage.update(id, &mut change)).await;
        match &answer {
            // What begins an undo saves the ticket that does it.
            Ok(_) if begins_undo => self.persisted.first().increment(1),
            Ok(_) => {}
            Err(error) => self.blame(error),
        }
        answer
    }

    async fn history(&self, id: &TicketId) -> Result<Vec<HistoryEntry>, Error> {
        self.timed(Operation::History, self.storage.history(id)).await
    }
}

/// Issues tokens, measured.
pub(crate) struct MeasuredIssuer<I> {
    issuer: I,
    generated: Series<Counter>,
}

impl<I> MeasuredIssuer<I> {
    /// Registers with the recorder of the process, if there is one.
    pub(crate) fn new(issuer: I) -> Self {
        MeasuredIssuer { issuer, generated: Series::of("jwt_tokens_generated_total") }
    }
}

impl<I: TokenIssuer> TokenIssuer for MeasuredIssuer<I> {
    fn issue(&self, claims: &TokenClaims) -> Result<String, Error> {
        let span = tracing::info_span!(
            target: traces::TICKETS,
            "generate_jwt_token",
            neural.hive.ticket.id = claims.ticket_id,
        );
        let token = span.in_scope(|| self.issuer.issue(claims))?;
        self.generated.first().increment(1);
        Ok(token)
    }
}

/// Keeps the number of tickets in each status up to date: counted once, then followed by the log. Ends only with an error
/// of the storage.
pub(crate) async fn count_tickets(tickets: Tickets) -> Result<(), Error> {
    let gauge = Series::<Gauge>::of("tickets_by_status");
    let mut counts = [0_i64; TicketStatus::ALL.len()];
    let from = count(&tickets, &mut counts).await?;
    let show = |counts: &[i64; TicketStatus::ALL.len()]| {
        for (place, count) in counts.iter().enumerate() {
            gauge.at([place]).set(*count as f64);
        }
    };
    show(&counts);
    // What is there at once is taken in at once.
    let mut changes = tickets.watch(LogFilter::default(), from).ready_chunks(256);
    while let Some(chunk) = changes.next().await {
        for change in chunk {
            let event = &change?.event;
            if event.action == TicketAction::Annotated {
                continue;
            }
            if let Some(old) = event.old_status {
                counts[old as usize] -= 1;
            }
            counts[event.new_status as usize] += 1;
        }
        show(&counts);
    }
    Err(Error::internal("the ticket log ended"))
}

/// Counts what is stored, and tells from where in the log to go on. Tickets that change while they are counted are
/// counted again, a few times; under constant change the numbers are off by what changed meanwhile.
async fn count(tickets: &Tickets, counts: &mut [i64; TicketStatus::ALL.len()]) -> Result<u64, Error> {
    const TIMES: usize = 3;
    let mut end = tickets.log_end().await?;
    for _ in 0..TIMES {
        for status in TicketStatus::ALL {
            let filter = TicketFilter { status: Some(status), ..TicketFilter::default() };
            let page = tickets.list(&TicketQuery { filter, offset: 0, limit: 1, after: None }).await?;
            counts[status as usize] = i64::try_from(page.total).unwrap_or(i64::MAX);
        }
        let now = tickets.log_end().await?;
        if now == end {
            break;
        }
        end = now;
    }
    Ok(end)
}
