//! "Did you mean": the known name closest to a misspelt one.

/// The closest candidate, if it is close enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    candidates
        .filter(|candidate| *candidate != name)
        .map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= allowed(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn allowed(name: &str) -> usize {
    match name.chars().count() {
        0..=2 => 0,
        3..=5 => 1,
        6..=11 => 2,
        _ => 3,
    }
}

/// Edits between two names, where swapping two neighbours is one edit.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.chars().collect();
    let right: Vec<char> = right.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (row, &from) in left.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, &to) in right.iter().enumerate() {
            let at = |rows_back: usize, column: usize| {
                rows.len()
                    .checked_sub(rows_back)
                    .and_then(|row| rows.get(row)?.get(column))
                    .copied()
                    .unwrap_or(usize::MAX / 2)
            };
            let replaced = at(1, column) + usize::from(from != to);
            let mut best = replaced.min(at(1, column + 1) + 1).min(next.last().copied().unwrap_or(0) + 1);
            let swapped =
                row > 0 && column > 0 && left.get(row - 1) == Some(&to) && right.get(column - 1) == Some(&from);
            if swapped {
                best = best.min(at(2, column - 1) + 1);
            }
            next.push(best);
        }
        rows.push(next);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}
