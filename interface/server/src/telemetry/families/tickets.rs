//! What the tickets measure. `postgres_…` is what the database of the tickets is called by those who query it, whichever
//! engine it is.

use super::{CALLS, Family, TICKET_STATUSES};

const OPERATIONS: &[super::Label] = &[("operation", &["insert", "select", "update", "list", "history"])];
const NO_KAFKA: &str = "tickets come by gRPC and REST; no Kafka consumer is built in";
const NO_WEBHOOKS: &str = "there are no webhooks; callers watch tickets by WatchTickets";

pub(super) const FAMILIES: &[Family] = &[
    Family::counter("tickets_persisted_total", &[], "tickets saved, undos included; each once"),
    Family::counter(
        "tickets_processing_errors_total",
        &[],
        "writes of tickets that failed, not those refused by a rule",
    )
    .when("the database of the tickets fails"),
    Family::histogram("ticket_processing_duration_seconds", CALLS, &[], "seconds to save new tickets"),
    Family::gauge("tickets_by_status", &[("status", TICKET_STATUSES)], "tickets there are"),
    Family::counter(
        "neural_hive_execution_tickets_created_total",
        &[("source", &["flow_c", "api"])],
        "tickets created, by who asked for them: a plan, or a caller",
    ),
    Family::counter(
        "ticket_service_duplicates_detected_total",
        &[("component", &["ticket_api"])],
        "creates of tickets that were there already",
    )
    .when("a create is repeated"),
    Family::counter("jwt_tokens_generated_total", &[], "tokens made for work on a ticket")
        .when("a caller asks for one"),
    Family::counter("postgres_queries_total", OPERATIONS, "operations of the database of the tickets"),
    Family::histogram(
        "postgres_query_duration_seconds",
        CALLS,
        &[],
        "seconds of these operations, the wait for their commit included",
    ),
    Family::counter("tickets_consumed_total", &[], "tickets taken from Kafka").never(NO_KAFKA),
    Family::counter("kafka_messages_consumed_total", &[], "messages taken from Kafka").never(NO_KAFKA),
    Family::gauge("kafka_consumer_lag", &[], "messages not yet taken from Kafka").never(NO_KAFKA),
    Family::counter(
        "kafka_consumer_deserialization_errors_total",
        &[("component", &["execution-ticket-service"])],
        "messages from Kafka that nobody can read",
    )
    .never(NO_KAFKA),
    Family::counter("ticket_service_idempotency_cache_hits_total", &[], "repeats answered by a cache")
        .never("the database decides about repeats; there is no cache in front of it"),
    Family::counter(
        "mongodb_operations_total",
        &[("operation", &["insert", "update", "find"])],
        "operations of MongoDB",
    )
    .never("history is kept beside the tickets; there is no MongoDB"),
    Family::counter("webhooks_enqueued_total", &[], "webhooks to send").never(NO_WEBHOOKS),
    Family::counter("webhooks_sent_total", &[], "webhooks sent").never(NO_WEBHOOKS),
    Family::counter("webhooks_failed_total", &[], "webhooks not sent").never(NO_WEBHOOKS),
    Family::histogram("webhook_duration_seconds", CALLS, &[], "seconds to send a webhook").never(NO_WEBHOOKS),
    Family::gauge("webhook_queue_size", &[], "webhooks that wait").never(NO_WEBHOOKS),
];
