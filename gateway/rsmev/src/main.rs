//! The rsmev command.
fn main() {}
