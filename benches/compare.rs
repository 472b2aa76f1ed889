//! `cargo bench --bench compare`: zerohop beside libzmq, bare sockets and other libraries.
//!
//! `-- --help` tells what can be asked for; docs/performance.md tells how it is measured.

mod harness;

fn main() -> std::process::ExitCode {
    harness::main()
}
