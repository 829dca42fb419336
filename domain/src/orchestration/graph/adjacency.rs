//! Edges as two flat arrays (compressed sparse rows): no allocation per node.

/// For each node, the nodes it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Adjacency {
    /// Where the targets of node `i` begin; one entry more than there are nodes.
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Adjacency {
    pub(super) fn from_lists(lists: &[Vec<u32>]) -> Self {
        let mut starts = Vec::with_capacity(lists.len() + 1);
        let mut targets = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        starts.push(0);
        for list in lists {
            targets.extend_from_slice(list);
            starts.push(targets.len() as u32);
        }
        Self { starts, targets }
    }

    /// The same edges seen from their other end; each node's targets ascend.
    pub(super) fn reversed(&self) -> Self {
        let nodes = self.nodes();
        let mut starts = vec![0_u32; nodes as usize + 1];
        for target in &self.targets {
            starts[*target as usize + 1] += 1;
        }
        for node in 0..nodes as usize {
            starts[node + 1] += starts[node];
        }
        let mut next = starts.clone();
        let mut targets = vec![0_u32; self.targets.len()];
        for node in 0..nodes {
            for target in self.of(node) {
                let slot = &mut next[*target as usize];
                targets[*slot as usize] = node;
                *slot += 1;
            }
        }
        Self { starts, targets }
    }

    pub(super) fn nodes(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    pub(super) fn edges(&self) -> usize {
        self.targets.len()
    }

    pub(super) fn of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.targets[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    /// How many nodes each node points to.
    pub(super) fn degrees(&self) -> Vec<u32> {
        self.starts.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}
