//! What the engine does, told as scripts; each is one rule.

mod people;
mod runs;
mod trouble;
