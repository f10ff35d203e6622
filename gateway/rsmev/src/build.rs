//! What this program is.

/// The version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, if the build knows it (`RSMEV_COMMIT` in its environment).
pub(crate) const COMMIT: &str = match option_env!("RSMEV_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
