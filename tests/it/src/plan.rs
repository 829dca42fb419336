//! Plans that take time.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::random::Random;

/// A plan of `layers` × `width` tasks that take 20–60 ms each. A task waits for two of the layer before; every seventh
/// fails once.
pub fn layered(plan_id: &str, layers: u64, width: u64, random: &mut Random) -> Value {
    of_tasks(plan_id, &layers_of_tasks(layers, width, random))
}

/// The same and one more task that takes three seconds: to be stopped on the way, however late the one comes who stops it.
pub fn lengthy(plan_id: &str, layers: u64, width: u64, random: &mut Random) -> Value {
    let mut tasks = layers_of_tasks(layers, width, random);
    let mut last = single(plan_id, "Takes long", 3_000)["tasks"][0].take();
    last["dependencies"] = json!([name(layers - 1, 0)]);
    tasks.push(last);
    of_tasks(plan_id, &tasks)
}

fn layers_of_tasks(layers: u64, width: u64, random: &mut Random) -> Vec<Value> {
    let mut tasks = Vec::new();
    for layer in 0..layers {
        for place in 0..width {
            let before = |place: u64| (layer > 0).then(|| name(layer - 1, place % width));
            let mut dependencies: Vec<String> =
                [before(place), before(place + 1)].into_iter().flatten().collect();
            dependencies.dedup();
            let fails = if (layer * width + place) % 7 == 3 { "1" } else { "0" };
            tasks.push(json!({
                "task_id": name(layer, place),
                "task_type": "execute",
                "description": "Takes its time",
                "dependencies": dependencies,
                "estimated_duration_ms": 100,
                "required_capabilities": ["compute"],
                "parameters": {
                    "simulate.duration_ms": random.pick(20..61).to_string(),
                    "simulate.fail_times": fails,
                },
            }));
        }
    }
    tasks
}

/// A plan of one task that takes `ms`.
pub fn single(plan_id: &str, description: &str, ms: u64) -> Value {
    let task = json!({
        "task_id": "only",
        "task_type": "execute",
        "description": description,
        "parameters": {"simulate.duration_ms": ms.to_string()},
    });
    of_tasks(plan_id, &[task])
}

/// A plan of these tasks, in this order.
pub fn of_tasks(plan_id: &str, tasks: &[Value]) -> Value {
    let order: Vec<Value> = tasks.iter().map(|task| task["task_id"].clone()).collect();
    json!({
        "plan_id": plan_id,
        "intent_id": format!("intent-{plan_id}"),
        "tasks": tasks,
        "execution_order": order,
        "risk_score": 0.3,
        "risk_band": "medium",
    })
}

/// The tasks and their dependencies.
pub fn tasks(plan: &Value) -> Vec<(&str, Vec<&str>)> {
    let tasks = plan["tasks"].as_array().into_iter().flatten();
    tasks.map(|task| (task["task_id"].as_str().unwrap_or_default(), texts(&task["dependencies"]))).collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Writes a message into a folder.
pub fn write(folder: &Path, name: &str, message: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, message).expect("a file in a temporary folder");
    path
}

fn name(layer: u64, place: u64) -> String {
    format!("layer-{layer}-task-{place}")
}
