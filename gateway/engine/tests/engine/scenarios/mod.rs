//! What the engine does, told as scripts; each is one rule.

mod people;
mod plans;
mod programs;
mod refill;
mod rules;
mod runs;
mod trouble;
