//! `ottla`: arguments in, a node or a tool out.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    ottla::cli::run(ottla::node::run, ottla::node::NodeError::is_refusal)
}
