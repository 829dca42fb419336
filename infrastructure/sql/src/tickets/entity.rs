//! The ticket tables as sea-orm sees them. JSON columns are read as their text.

pub(super) mod ticket {
    //! One ticket.

    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "execution_tickets")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub ticket_id: String,
        pub plan_id: String,
        pub intent_id: String,
        pub decision_id: String,
        pub correlation_id: Option<String>,
        pub trace_id: Option<String>,
        pub span_id: Option<String>,
        pub task_id: String,
        pub task_type: String,
        pub description: String,
        #[sea_orm(select_as = "text")]
        pub dependencies: String,
        pub priority: String,
        pub risk_band: String,
        #[sea_orm(select_as = "text")]
        pub sla: String,
        #[sea_orm(select_as = "text")]
        pub qos: String,
        #[sea_orm(select_as = "text")]
        pub parameters: String,
        #[sea_orm(select_as = "text")]
        pub required_capabilities: String,
        pub security_level: String,
        pub created_at: i64,
        pub estimated_duration_ms: Option<i64>,
        #[sea_orm(select_as = "text")]
        pub predictions: Option<String>,
        pub schema_version: i32,
        pub hash: Option<String>,
        pub status: String,
        #[sea_orm(select_as = "text")]
        pub metadata: String,
        pub assigned_worker: Option<String>,
        #[sea_orm(select_as = "text")]
        pub allocation: Option<String>,
        pub agent_id: Option<String>,
        pub epoch: Option<i64>,
        pub dispatched_at: Option<i64>,
        pub not_before: Option<i64>,
        pub started_at: Option<i64>,
        pub completed_at: Option<i64>,
        pub actual_duration_ms: Option<i64>,
        pub retry_count: i32,
        pub retryable: Option<bool>,
        pub error_message: Option<String>,
        pub compensation_ticket_id: Option<String>,
        pub version: i64,
        pub updated_at: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod history {
    //! One entry of a ticket's history.

    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "ticket_history")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        /// The ticket's row number.
        pub ticket: i64,
        pub version: i64,
        pub action: String,
        pub old_status: Option<String>,
        pub new_status: String,
        pub changed_by: String,
        pub at: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod outbox {
    //! One record of the log.

    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "ticket_outbox")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub ticket_id: String,
        pub plan_id: String,
        pub action: String,
        pub agent: Option<String>,
        pub at: i64,
        pub payload: String,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod offset {
    //! How far a reader of the log came.

    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "log_offsets")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub consumer: String,
        pub position: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(super) mod floor {
    //! How far records were taken out of the outbox: one row.

    use sea_orm::entity::prelude::*;

    #[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "outbox_floor")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i32,
        pub pruned: i64,
    }

    #[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
