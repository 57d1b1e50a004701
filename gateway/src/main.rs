//! The program `giot`: parses the command line, runs the command, turns its end into an exit code. No rule lives here.

use giot_gateway::cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
