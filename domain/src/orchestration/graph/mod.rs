//! The dependency graph of a plan: acyclic by construction, walked without recursion.
//!
//! Nodes are numbers from 0, the positions of the tasks in the plan. Everything here is linear in nodes and edges, save
//! the order of a plan whose own order does not hold, which costs a heap.

mod adjacency;
mod cycles;
mod readiness;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use adjacency::Adjacency;
pub use cycles::CyclePath;
pub use readiness::Readiness;

/// Who depends on whom, and an order in which nobody comes before what it depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    dependencies: Adjacency,
    dependents: Adjacency,
    order: Vec<u32>,
}

impl Graph {
    /// A graph from the dependencies of each node, ordered by Kahn's algorithm: of the nodes that could come next, the
    /// one with the lowest `position` does, so a wanted order that holds is kept as it is. Otherwise one cycle of
    /// each knot of nodes that reach each other. Every dependency is below the number of nodes, and every node has a position.
    pub fn try_new(dependencies: &[Vec<u32>], position: &[u32]) -> Result<Self, Vec<CyclePath>> {
        let dependencies = Adjacency::from_lists(dependencies);
        let dependents = dependencies.reversed();
        let order = if keeps(&dependencies, position) {
            let mut nodes: Vec<u32> = (0..dependencies.nodes()).collect();
            nodes.sort_by_key(|node| position[*node as usize]);
            nodes
        } else {
            let order = kahn(&dependencies, &dependents, position);
            if order.len() < dependencies.nodes() as usize {
                return Err(cycles::find(&dependencies));
            }
            order
        };
        Ok(Self { dependencies, dependents, order })
    }

    /// Nodes of the graph.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no nodes.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Edges of the graph.
    pub fn edges(&self) -> usize {
        self.dependencies.edges()
    }

    /// All nodes, each after everything it depends on.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// What `node` depends on directly.
    pub fn dependencies(&self, node: u32) -> &[u32] {
        self.dependencies.of(node)
    }

    /// What depends on `node` directly.
    pub fn dependents(&self, node: u32) -> &[u32] {
        self.dependents.of(node)
    }

    /// For each node the sum of weights along its heaviest path, itself and everything before it included: with
    /// timeouts as weights, how long after the start the node must be done.
    pub fn longest_path(&self, weights: &[i64]) -> Vec<i64> {
        let mut longest = vec![0_i64; self.len()];
        for node in &self.order {
            let before =
                self.dependencies(*node).iter().map(|dependency| longest[*dependency as usize]).max();
            let own = weights.get(*node as usize).copied().unwrap_or(0);
            longest[*node as usize] = before.unwrap_or(0).saturating_add(own);
        }
        longest
    }

    /// Everything that cannot happen without `node`, ascending.
    pub fn transitive_dependents(&self, node: u32) -> Vec<u32> {
        reach(&self.dependents, node)
    }

    /// Everything that must happen before `node`, ascending.
    pub fn transitive_dependencies(&self, node: u32) -> Vec<u32> {
        reach(&self.dependencies, node)
    }
}

fn keeps(dependencies: &Adjacency, position: &[u32]) -> bool {
    (0..dependencies.nodes()).all(|node| {
        let own = position[node as usize];
        dependencies.of(node).iter().all(|dependency| position[*dependency as usize] < own)
    })
}

/// An order of all nodes that are neither on a cycle nor behind one.
fn kahn(dependencies: &Adjacency, dependents: &Adjacency, position: &[u32]) -> Vec<u32> {
    let mut waiting_for = dependencies.degrees();
    let key = |node: u32| Reverse((position[node as usize], node));
    let mut ready: BinaryHeap<_> =
        (0..dependencies.nodes()).filter(|node| waiting_for[*node as usize] == 0).map(key).collect();
    let mut order = Vec::with_capacity(waiting_for.len());
    while let Some(Reverse((_, node))) = ready.pop() {
        order.push(node);
        for dependent in dependents.of(node) {
            let left = &mut waiting_for[*dependent as usize];
            *left -= 1;
            if *left == 0 {
                ready.push(key(*dependent));
            }
        }
    }
    order
}

fn reach(edges: &Adjacency, start: u32) -> Vec<u32> {
    let mut seen = HashSet::new();
    let mut open = vec![start];
    while let Some(node) = open.pop() {
        open.extend(edges.of(node).iter().copied().filter(|next| seen.insert(*next)));
    }
    let mut reached: Vec<u32> = seen.into_iter().collect();
    reached.sort_unstable();
    reached
}

#[cfg(test)]
mod tests;
