//! What the engine does, told as scripts; each is one rule.

mod people;
mod programs;
mod rules;
mod runs;
mod trouble;
