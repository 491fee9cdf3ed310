//! What the targets share: the formats written down a second time, from their tables and not from hobnob's code, so
//! that the two can be compared.

pub mod client;
pub mod cutting;
pub mod framing;
pub mod records;
pub mod script;
pub mod stage;
pub mod wires;
pub mod words;
