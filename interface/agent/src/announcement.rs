//! What a built-in agent says about itself.

use std::collections::BTreeMap;

use hive_domain::registry::{AgentType, AnnouncementDraft};

/// Capabilities of the platform's workers, and those seen in real plans.
pub const BUILT_IN_CAPABILITIES: [&str; 24] = [
    "python",
    "terraform",
    "kubernetes",
    "read",
    "write",
    "compute",
    "analyze",
    "analysis",
    "transform",
    "test",
    "testing",
    "code",
    "code_generation",
    "security",
    "scan",
    "compliance",
    "deploy",
    "deployment",
    "build",
    "query",
    "validate",
    "validation",
    "optimization",
    "documentation",
];

/// The registration of the built-in agent `agent_id`. It may see work of every security level.
pub fn announcement(agent_id: &str, max_concurrent_tasks: usize) -> AnnouncementDraft {
    let metadata = [
        ("agent_id", agent_id.to_owned()),
        ("max_concurrent_tasks", max_concurrent_tasks.to_string()),
        ("security_level", "RESTRICTED".to_owned()),
    ];
    AnnouncementDraft {
        agent_type: AgentType::Worker,
        capabilities: BUILT_IN_CAPABILITIES.map(str::to_owned).to_vec(),
        metadata: BTreeMap::from(metadata.map(|(key, value)| (key.to_owned(), value))),
        namespace: String::new(),
        cluster: String::new(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        telemetry: None,
    }
}
