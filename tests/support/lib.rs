//! support

pub mod fuzz;
