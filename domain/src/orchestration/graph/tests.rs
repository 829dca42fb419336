//! Orders, cycles, paths and readiness, on small graphs by hand and on random ones.

use proptest::prelude::*;

use super::*;

/// Positions that keep the nodes in the order they are numbered.
fn as_numbered(nodes: usize) -> Vec<u32> {
    (0..nodes as u32).collect()
}

fn graph(dependencies: &[Vec<u32>]) -> Graph {
    Graph::try_new(dependencies, &as_numbered(dependencies.len())).unwrap()
}

fn cycles_of(dependencies: &[Vec<u32>]) -> Vec<Vec<u32>> {
    let found = Graph::try_new(dependencies, &as_numbered(dependencies.len())).unwrap_err();
    found.into_iter().map(|cycle| cycle.0).collect()
}

/// 0 and 1 start, 2 needs 0, 3 needs both, 4 needs 2 and 3.
fn small() -> Vec<Vec<u32>> {
    vec![vec![], vec![], vec![0], vec![0, 1], vec![2, 3]]
}

#[test]
fn neighbours_and_reach() {
    let graph = graph(&small());
    assert_eq!((graph.len(), graph.edges()), (5, 5));
    assert_eq!(graph.dependencies(3), [0, 1]);
    assert_eq!(graph.dependents(0), [2, 3]);
    assert_eq!(graph.transitive_dependents(0), [2, 3, 4]);
    assert_eq!(graph.transitive_dependencies(4), [0, 1, 2, 3]);
    assert!(graph.transitive_dependents(4).is_empty());
}

#[test]
fn a_wanted_order_that_holds_is_kept_and_another_is_mended_with_few_changes() {
    let order = |position: &[u32]| Graph::try_new(&small(), position).unwrap().order().to_vec();
    assert_eq!(order(&[1, 0, 3, 2, 4]), [1, 0, 3, 2, 4]);
    // Wanted 4, 3, 2, 1, 0: of what can come, the one wanted first comes.
    assert_eq!(order(&[4, 3, 2, 1, 0]), [1, 0, 3, 2, 4]);
}

#[test]
fn each_knot_yields_one_cycle() {
    assert_eq!(cycles_of(&[vec![1], vec![2], vec![0]]), [[0, 1, 2]]);
    assert_eq!(cycles_of(&[vec![0]]), [[0]]);
    // Two cycles, the second of which also leads into the first; 4 is only behind them.
    assert_eq!(cycles_of(&[vec![1], vec![0], vec![1, 3], vec![2], vec![3]]), [[0, 1], [2, 3]]);
    // A tail that leads into the cycle is not part of it.
    assert_eq!(cycles_of(&[vec![2], vec![0], vec![3], vec![2]]), [[2, 3]]);
}

#[test]
fn a_long_chain_and_a_long_cycle_do_not_overflow_the_stack() {
    let nodes = 100_000_u32;
    let mut chain: Vec<Vec<u32>> =
        (0..nodes).map(|node| (node > 0).then(|| node - 1).into_iter().collect()).collect();
    let backwards: Vec<u32> = (0..nodes).rev().collect();
    let graph = Graph::try_new(&chain, &backwards).unwrap();
    assert_eq!(graph.longest_path(&vec![1; nodes as usize])[nodes as usize - 1], i64::from(nodes));
    assert_eq!(graph.transitive_dependents(0).len(), nodes as usize - 1);
    chain[0].push(nodes - 1);
    assert_eq!(cycles_of(&chain)[0].len(), nodes as usize);
}

#[test]
fn the_longest_path_counts_what_comes_before() {
    assert_eq!(graph(&small()).longest_path(&[5, 1, 10, 2, 100]), [5, 1, 15, 7, 115]);
    assert_eq!(graph(&[vec![], vec![0]]).longest_path(&[i64::MAX, 1]), [i64::MAX, i64::MAX]);
}

#[test]
fn readiness_releases_each_node_when_its_last_dependency_completes() {
    let graph = graph(&small());
    let mut readiness = Readiness::new(&graph);
    assert_eq!(readiness.ready(&graph), [0, 1]);
    assert_eq!(readiness.complete(&graph, 0), [2]);
    assert!(readiness.complete(&graph, 0).is_empty(), "a repeat releases nothing");
    assert_eq!(readiness.complete(&graph, 1), [3]);
    assert!(readiness.complete(&graph, 3).is_empty());
    assert_eq!(readiness.ready(&graph), [2]);
    assert_eq!(readiness.complete(&graph, 2), [4]);
}

/// For each node the dependencies among those numbered below it.
fn random_dag() -> impl Strategy<Value = Vec<Vec<u32>>> {
    (1_usize..60).prop_flat_map(|nodes| {
        (0..nodes)
            .map(|node| {
                let below = (0..node as u32).collect::<Vec<_>>();
                let most = below.len().min(5);
                proptest::sample::subsequence(below, 0..=most)
            })
            .collect::<Vec<_>>()
    })
}

proptest! {
    #[test]
    fn any_wanted_order_ends_in_one_that_holds((dag, position) in random_dag().prop_flat_map(|dag| {
        let wanted = Just(as_numbered(dag.len())).prop_shuffle();
        (Just(dag), wanted)
    })) {
        let graph = Graph::try_new(&dag, &position).unwrap();
        let mut at = vec![0; graph.len()];
        for (index, node) in graph.order().iter().enumerate() {
            at[*node as usize] = index;
        }
        for node in 0..graph.len() as u32 {
            prop_assert!(graph.dependencies(node).iter().all(|dep| at[*dep as usize] < at[node as usize]));
        }
    }

    #[test]
    fn an_edge_back_is_always_reported_as_a_true_cycle(mut dag in random_dag(), from in 0_usize..60, to in 0_usize..60) {
        let (low, high) = (from.min(to) % dag.len(), from.max(to) % dag.len());
        let (low, high) = (low.min(high), low.max(high));
        if !dag[high].contains(&(low as u32)) && low != high {
            dag[high].push(low as u32);
        }
        dag[low].push(high as u32);
        for cycle in cycles_of(&dag) {
            for (index, node) in cycle.iter().enumerate() {
                let next = cycle[(index + 1) % cycle.len()];
                prop_assert!(dag[*node as usize].contains(&next));
            }
        }
    }

    #[test]
    fn readiness_work_is_proportional_to_nodes_and_edges(dag in random_dag()) {
        let graph = graph(&dag);
        let mut readiness = Readiness::new(&graph);
        let mut open = readiness.ready(&graph);
        let mut completed = 0;
        while let Some(node) = open.pop() {
            completed += 1;
            open.extend(readiness.complete(&graph, node));
        }
        prop_assert_eq!(completed, graph.len());
        prop_assert!(readiness.work() <= 3 * (graph.len() + graph.edges()) as u64);
    }
}
