//! What waits, in transactions of bounded size.

use std::collections::VecDeque;

/// The operations in transactions of `max` rows, unless a single operation has more, each with whom to answer. Operations
/// alone say little: one may create a thousand tickets.
pub(super) fn parts<O, A>(
    operations: Vec<O>,
    answers: Vec<A>,
    weight: fn(&O) -> usize,
    max: usize,
) -> VecDeque<(Vec<O>, Vec<A>)> {
    let mut parts: VecDeque<(Vec<O>, Vec<A>)> = VecDeque::from([(Vec::new(), Vec::new())]);
    let mut total = 0;
    for (operation, answer) in operations.into_iter().zip(answers) {
        total += weight(&operation);
        if total > max && parts.back().is_some_and(|(part, _)| !part.is_empty()) {
            parts.push_back((Vec::new(), Vec::new()));
            total = weight(&operation);
        }
        if let Some((operations, answers)) = parts.back_mut() {
            operations.push(operation);
            answers.push(answer);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX: usize = 100;

    #[test]
    fn a_batch_is_bounded_in_rows() {
        let weights = [MAX, 1, MAX - 1, 1, 9 * MAX, 2, 3];
        let parts = parts(weights.to_vec(), (0..weights.len()).collect(), |weight| *weight, MAX);
        let answers: Vec<Vec<usize>> = parts.iter().map(|(_, answers)| answers.clone()).collect();
        assert_eq!(answers, [vec![0], vec![1, 2], vec![3], vec![4], vec![5, 6]]);
    }
}
