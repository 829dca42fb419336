//! Which nodes may start, kept up to date as others complete: every edge is touched once in the life of a plan.

use super::Graph;

/// How many dependencies each node still waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    waiting_for: Vec<u32>,
    completed: Vec<bool>,
    work: u64,
}

impl Readiness {
    /// Nothing has completed yet.
    pub fn new(graph: &Graph) -> Self {
        let waiting_for = graph.dependencies.degrees();
        let work = waiting_for.len() as u64;
        Self { completed: vec![false; waiting_for.len()], waiting_for, work }
    }

    /// The nodes that wait for nothing, in the order of the graph.
    pub fn ready(&mut self, graph: &Graph) -> Vec<u32> {
        self.work += graph.len() as u64;
        let waits_not = |node: &u32| self.waiting_for[*node as usize] == 0 && !self.completed[*node as usize];
        graph.order().iter().copied().filter(waits_not).collect()
    }

    /// Marks `node` as completed; returns the nodes that waited for it alone. A repeat changes nothing.
    pub fn complete(&mut self, graph: &Graph, node: u32) -> Vec<u32> {
        self.work += 1;
        if std::mem::replace(&mut self.completed[node as usize], true) {
            return Vec::new();
        }
        let mut released = Vec::new();
        for dependent in graph.dependents(node) {
            self.work += 1;
            let left = &mut self.waiting_for[*dependent as usize];
            *left -= 1;
            if *left == 0 {
                released.push(*dependent);
            }
        }
        released
    }

    /// Nodes and edges touched so far.
    pub fn work(&self) -> u64 {
        self.work
    }
}
