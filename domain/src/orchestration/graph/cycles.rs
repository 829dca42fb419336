//! Finds the cycles that keep a graph from having an order: Tarjan's components, then one path in each.

use super::adjacency::Adjacency;

/// Nodes that depend on each other in a circle: each on the next, the last on the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CyclePath(pub Vec<u32>);

/// One cycle of every component of nodes that reach each other, by ascending first node. Each begins at its lowest node.
pub(super) fn find(edges: &Adjacency) -> Vec<CyclePath> {
    let mut search = Search::new(edges);
    for root in 0..edges.nodes() {
        search.explore(root);
    }
    search.cycles.sort_unstable_by_key(|cycle| cycle.0.first().copied());
    search.cycles
}

const UNSEEN: u32 = u32::MAX;

struct Search<'a> {
    edges: &'a Adjacency,
    /// When each node was first seen.
    index: Vec<u32>,
    /// The earliest node on the stack that each node reaches.
    low: Vec<u32>,
    /// The component of each node whose component is complete.
    component: Vec<u32>,
    stack: Vec<u32>,
    seen: u32,
    components: u32,
    cycles: Vec<CyclePath>,
}

impl<'a> Search<'a> {
    fn new(edges: &'a Adjacency) -> Self {
        let unseen = vec![UNSEEN; edges.nodes() as usize];
        Self {
            edges,
            index: unseen.clone(),
            low: unseen.clone(),
            component: unseen,
            stack: Vec::new(),
            seen: 0,
            components: 0,
            cycles: Vec::new(),
        }
    }

    /// Tarjan's depth-first search with its own stack: a long chain must not end the process.
    fn explore(&mut self, root: u32) {
        if self.index[root as usize] != UNSEEN {
            return;
        }
        let mut calls = vec![self.enter(root)];
        while let Some((node, next)) = calls.last_mut() {
            let node = *node;
            if let Some(target) = self.edges.of(node).get(*next) {
                *next += 1;
                if self.index[*target as usize] == UNSEEN {
                    calls.push(self.enter(*target));
                } else if self.component[*target as usize] == UNSEEN {
                    self.lower(node, self.index[*target as usize]);
                }
                continue;
            }
            calls.pop();
            if let Some((caller, _)) = calls.last() {
                self.lower(*caller, self.low[node as usize]);
            }
            if self.low[node as usize] == self.index[node as usize] {
                self.close_component(node);
            }
        }
    }

    fn enter(&mut self, node: u32) -> (u32, usize) {
        self.index[node as usize] = self.seen;
        self.low[node as usize] = self.seen;
        self.seen += 1;
        self.stack.push(node);
        (node, 0)
    }

    fn lower(&mut self, node: u32, low: u32) {
        let own = &mut self.low[node as usize];
        *own = low.min(*own);
    }

    /// Takes the component whose first node is `root` off the stack, and a cycle out of it if it has one.
    fn close_component(&mut self, root: u32) {
        let first = self.stack.iter().rposition(|node| *node == root).unwrap_or(0);
        let members = self.stack.split_off(first);
        for member in &members {
            self.component[*member as usize] = self.components;
        }
        self.components += 1;
        if members.len() > 1 || self.edges.of(root).contains(&root) {
            let cycle = self.walk(root, members.len());
            self.cycles.push(cycle);
        }
    }

    /// Follows the first edge that stays in the component until a node comes back.
    fn walk(&self, start: u32, size: usize) -> CyclePath {
        let home = self.component[start as usize];
        let stays = |node: &&u32| self.component[**node as usize] == home;
        let mut path = Vec::new();
        let mut step = std::collections::HashMap::with_capacity(size);
        let mut node = start;
        while let std::collections::hash_map::Entry::Vacant(slot) = step.entry(node) {
            slot.insert(path.len());
            path.push(node);
            node = self.edges.of(node).iter().find(stays).copied().unwrap_or(start);
        }
        let mut cycle = path.split_off(step.get(&node).copied().unwrap_or(0));
        let lowest = cycle.iter().enumerate().min_by_key(|(_, node)| **node).map_or(0, |(at, _)| at);
        cycle.rotate_left(lowest);
        CyclePath(cycle)
    }
}
