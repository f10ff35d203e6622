//! Keeps the process's memory near what it uses.
//!
//! The C library's allocator gives threads heaps of their own, and what one thread frees in another's heap stays there.
//! Large buffers (a body, a write buffer of the index) lie in those heaps as soon as one of their size was freed before,
//! and hold what is around them. So a gateway of a few dozen threads would hold twice or three times of what it needs.
//! Few heaps, and large buffers beside them that go back to the system at once, end that. The allocator reads this from
//! the environment alone, before the process begins. So `serve` begins anew once, in the same process, with it in place.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What the allocator reads, and what it is told: number of heaps; octets from which on a buffer lies beside them (told,
/// it no longer grows by itself); octets that may stay unused at a heap's end.
const ALLOCATOR: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// Begins the program anew with the allocator's settings, those of the environment before ours. Returns if all are in
/// place, or if the program cannot begin anew: then it goes on with more memory.
pub(crate) fn keep_small() {
    let mut missing = ALLOCATOR
        .into_iter()
        .filter(|(name, _)| std::env::var_os(name).is_none())
        .peekable();
    if missing.peek().is_none() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).envs(missing).exec();
    tracing::debug!(%error, "the program goes on as it is");
}
