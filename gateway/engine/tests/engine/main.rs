//! The engine from outside: scenarios as data, and properties against simulated nodes.

mod farm;
mod node;
mod probes;
mod properties;
mod scenarios;
mod script;
mod world;
