//! Doing the same for several machines at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Acts on each item, on at most `at_once` at a time; the results are in the items' order.
pub fn each<I: Sync, T: Send>(
    items: &[I],
    at_once: usize,
    act: impl Fn(&I) -> T + Sync,
) -> Vec<(&I, T)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let work = || {
        while let Some((number, item)) = take(items, &next) {
            let result = act(item);
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.push((number, item, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_once.min(items.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(number, ..)| *number);
    let plain = results.into_iter().map(|(_, item, result)| (item, result));
    plain.collect()
}

fn take<'a, I>(items: &'a [I], next: &AtomicUsize) -> Option<(usize, &'a I)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    Some((number, items.get(number)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_acted_on_once_and_results_are_in_order() {
        for (count, at_once) in [(0, 4), (1, 4), (100, 7), (5, 1), (3, 0)] {
            let items: Vec<usize> = (0..count).collect();
            let acted = AtomicUsize::new(0);
            let results = each(&items, at_once, |item| {
                acted.fetch_add(1, Ordering::Relaxed);
                item * 2
            });
            let wanted: Vec<(&usize, usize)> = items.iter().map(|item| (item, item * 2)).collect();
            assert_eq!(results, wanted);
            assert_eq!(acted.into_inner(), count);
        }
    }
}
