//! Plans of any size, shaped like real ones: layers of tasks, each depending on two of the layer before.

use serde_json::{Value, json};

const WIDTH: usize = 20;

/// A direct plan of `tasks` tasks that say nothing but what they depend on.
pub(crate) fn graph(plan_id: &str, tasks: usize) -> Value {
    let mut plan = layered(plan_id, tasks);
    for task in plan["tasks"].as_array_mut().unwrap() {
        let task = task.as_object_mut().unwrap();
        task.retain(|key, _| ["task_id", "task_type", "description", "dependencies"].contains(&key.as_str()));
    }
    plan
}

/// A direct plan of `tasks` tasks.
pub(crate) fn layered(plan_id: &str, tasks: usize) -> Value {
    let name = |index: usize| format!("task-{index:06}");
    let all: Vec<Value> = (0..tasks)
        .map(|index| {
            let above = index.checked_sub(WIDTH);
            let dependencies: Vec<String> = above
                .into_iter()
                .flat_map(|above| {
                    let row = above / WIDTH * WIDTH;
                    [above, row + (above + 1 - row) % WIDTH]
                })
                .map(name)
                .collect();
            json!({
                "task_id": name(index),
                "task_type": "transform",
                "description": format!("Aggregate the readings of district {index} and store them"),
                "dependencies": dependencies,
                "estimated_duration_ms": 800,
                "required_capabilities": ["read", "compute"],
                "parameters": {"source": format!("district-{index}"), "format": "parquet"},
                "metadata": {"domain": "TECHNICAL"},
            })
        })
        .collect();
    let order: Vec<String> = (0..tasks).map(name).collect();
    json!({
        "plan_id": plan_id,
        "intent_id": "intent-bench",
        "tasks": all,
        "execution_order": order,
        "risk_score": 0.4,
        "risk_band": "medium",
        "original_priority": "normal",
        "original_security_level": "internal",
        "schema_version": 1,
    })
}
