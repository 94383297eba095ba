//! Partitions on a few threads.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

/// Works on partitions, each on one of at most so many threads; answers in their order.
pub fn side_by_side<T: Send>(partitions: &[u32], threads: usize, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    let waiting = Mutex::new(partitions.iter().copied().enumerate());
    let done = Mutex::new(Vec::with_capacity(partitions.len()));
    thread::scope(|scope| {
        for _ in 0..threads.clamp(1, partitions.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((at, partition)) = next else { return };
                    let result = work(partition);
                    done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_in_order_whatever_the_threads() {
        for threads in [0, 1, 3, 100] {
            let squares = side_by_side(&[5, 1, 7, 7], threads, |partition| partition * partition);
            assert_eq!(squares, [25, 1, 49, 49], "{threads} threads");
        }
        assert!(side_by_side(&[], 2, |partition| partition).is_empty());
    }
}
