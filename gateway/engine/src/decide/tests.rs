//! The rules of DESIGN §6 and §7, one test a rule.

mod accepting;
mod answering;
mod delivering;
mod forwarding;
mod receiving;
mod restored;
mod rules;
mod time;
