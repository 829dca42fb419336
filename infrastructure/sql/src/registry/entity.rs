//! The agents table, as sea-orm reads it.

use sea_orm::entity::prelude::*;

/// One agent, retired or not.
#[derive(Debug, Clone, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "agents")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub agent_id: String,
    pub agent_type: String,
    #[sea_orm(select_as = "text")]
    pub capabilities: String,
    #[sea_orm(select_as = "text")]
    pub metadata: String,
    pub success_rate: f64,
    pub avg_duration_ms: i64,
    pub total_executions: i64,
    pub failed_executions: i64,
    pub last_execution_at: i64,
    pub status: String,
    pub registered_at: i64,
    pub last_seen: i64,
    pub namespace: String,
    pub cluster: String,
    pub version: String,
    pub schema_version: i32,
    pub epoch: i64,
    pub token_hash: Vec<u8>,
    pub expired_at: Option<i64>,
    pub retired_at: Option<i64>,
    pub revision: i64,
}

#[derive(Debug, Clone, Copy, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
