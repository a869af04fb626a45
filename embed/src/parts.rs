//! Work on many items that is divided among a few threads while the caller waits.

/// Most threads of one call; others wait for the processors, too.
const MOST_THREADS: usize = 4;

/// What `work` makes of parts of `items`, which follow one another: one part for each processor, but at most `useful`.
/// The calling thread does one of them.
pub fn in_parts<T, R>(
    items: &[T],
    useful: usize,
    name: &str,
    work: impl Fn(&[T]) -> R + Sync,
) -> Vec<R>
where
    T: Sync,
    R: Send,
{
    let useful = useful.min(MOST_THREADS).min(items.len());
    if useful < 2 {
        return vec![work(items)];
    }
    // Asked for much work alone: on Linux the answer is read from several files.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut parts = items.chunks(items.len().div_ceil(threads.min(useful)));
    let first = parts.next().unwrap_or_default();
    std::thread::scope(|scope| {
        let started: Vec<_> = parts
            .map(|part| {
                let builder = std::thread::Builder::new().name(name.to_owned());
                (part, builder.spawn_scoped(scope, || work(part)))
            })
            .collect();
        let mut done = vec![work(first)];
        for (part, thread) in started {
            // Where a thread could not be had, its part is done here.
            let result = thread.ok().and_then(|thread| thread.join().ok());
            done.push(result.unwrap_or_else(|| work(part)));
        }
        done
    })
}

/// What `aside` and `own` give, at the same time: `aside` on a thread of its own, which is worth it where both take much
/// longer than to start one, some 30 µs. Where no thread can be had, `aside` comes after `own`. `None`: it panicked.
pub fn beside<A: Send, R>(
    name: &str,
    aside: impl Fn() -> A + Sync,
    own: impl FnOnce() -> R,
) -> (Option<A>, R) {
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name(name.to_owned());
        let started = builder.spawn_scoped(scope, &aside);
        let own = own();
        match started {
            Ok(thread) => (thread.join().ok(), own),
            Err(_) => (Some(aside()), own),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_done_at_the_same_time() {
        let met = std::sync::Barrier::new(2);
        let wait = || {
            met.wait();
            7
        };
        assert_eq!(beside("test", wait, wait), (Some(7), 7));
    }

    #[test]
    fn a_panic_aside_is_left_aside() {
        let fails = || assert_eq!(1 + 1, 3, "on purpose");
        assert_eq!(beside("test", fails, || 7), (None, 7));
    }

    #[test]
    fn parts_follow_one_another_whatever_their_number() {
        for items in [0_usize, 1, 2, 3, 7, 100] {
            let all: Vec<usize> = (0..items).collect();
            for useful in [0, 1, 2, 3, 9] {
                let done = in_parts(&all, useful, "test", <[usize]>::to_vec);
                assert_eq!(done.concat(), all, "{items} items, {useful} parts");
            }
        }
    }
}
