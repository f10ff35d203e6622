//! Keeps the process's memory near what it uses.
//!
//! The C library's allocator gives threads heaps of their own, and what one thread frees in another's heap stays there: a
//! gateway with a few dozen threads holds half as much again as it needs. The number of heaps can be set only from the
//! environment, before the process begins. So `serve` begins anew once, in the same process, with the setting in place.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// What the allocator reads.
const HEAPS: &str = "MALLOC_ARENA_MAX";

/// Begins the program anew with few heaps, unless the environment says how many already. Returns if that is so, or if
/// the program cannot begin anew: then it goes on with more memory.
pub(crate) fn few_heaps() {
    if std::env::var_os(HEAPS).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).env(HEAPS, "2").exec();
    tracing::debug!(%error, "the program goes on as it is");
}
