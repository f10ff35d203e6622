//! The bus and a participant's client against each other. What real messages say is tested beside the code that reads
//! them; what the gateway makes of both is tested with the gateway.

mod common;
mod exchange;
mod knobs;
mod strictness;
