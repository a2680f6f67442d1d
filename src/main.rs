//! Arguments → library → exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    golive::commands::main()
}
