//! The program: everything is in the library beside it, where tests and fuzz targets reach it too.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    rsmev::main()
}
