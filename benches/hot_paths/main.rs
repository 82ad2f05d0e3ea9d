//! The hot paths, one by one: how long each takes, and (through `scripts/bench-paths.sh`) how many instructions that is.
//!
//! ```text
//! cargo bench                                    time per run of each path
//! cargo bench -- fetch                           of those whose names have "fetch" in them; `-- --help` has divan's other options
//! cargo bench -- --once                          each path once: does it do what it should?
//! scripts/bench-paths.sh                         instructions per run, beside those in benches/counts.json
//! ```
//!
//! A path is run on inputs that are made beforehand, and what it yields is checked. For callgrind, collecting begins with [`collected_run`] and is
//! interrupted by [`left_out`]: the script names both functions, so they keep their names and are never inlined.

// A measurement that cannot go on ends by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod inputs;
mod layers;
mod requests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::ops::RangeInclusive;
use std::process::ExitCode;

/// As in the program.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs before counting: what is loaded, grown or made at the first use is there then.
const WARM_UP_RUNS: usize = 40;

/// A path's name, and what makes it ready.
struct Row {
    name: &'static str,
    make: fn() -> Path,
}

/// All paths, in the order in which records meet them.
fn rows() -> impl Iterator<Item = &'static Row> {
    layers::ROWS.iter().chain(requests::ROWS)
}

/// A hot path, ready to be run.
struct Path {
    steps: Box<dyn Steps>,
    /// What a run may yield: bytes, records or entries that came out of it.
    yields: RangeInclusive<u64>,
}

trait Steps {
    /// Makes what the next run takes.
    fn prepare(&mut self);
    /// Takes the oldest of what was prepared.
    fn run(&mut self) -> u64;
}

struct Prepared<I, P, R> {
    inputs: VecDeque<I>,
    prepare: P,
    run: R,
}

impl<I, P: FnMut() -> I, R: FnMut(I) -> u64> Steps for Prepared<I, P, R> {
    fn prepare(&mut self) {
        self.inputs.push_back((self.prepare)());
    }

    fn run(&mut self) -> u64 {
        let input = self.inputs.pop_front().expect("each run is prepared");
        (self.run)(input)
    }
}

impl Path {
    fn new<I: 'static>(
        yields: RangeInclusive<u64>,
        prepare: impl FnMut() -> I + 'static,
        run: impl FnMut(I) -> u64 + 'static,
    ) -> Self {
        let inputs = VecDeque::with_capacity(1024);
        Self { steps: Box::new(Prepared { inputs, prepare, run }), yields }
    }

    fn check(&self, yielded: u64) -> Result<(), String> {
        if self.yields.contains(&yielded) {
            return Ok(());
        }
        Err(format!("yielded {yielded}, not {:?}", self.yields))
    }

    /// One run that is not counted, checked.
    fn run_checked(&mut self) -> Result<u64, String> {
        self.steps.prepare();
        let yielded = self.steps.run();
        self.check(yielded).map(|()| yielded)
    }
}

/// What is counted.
#[inline(never)]
fn collected_run(path: &mut Path) -> u64 {
    black_box(path.steps.run())
}

/// Does within a run what does not count: waiting for others.
#[inline(never)]
fn left_out<T>(what: impl FnOnce() -> T) -> T {
    black_box(what())
}

#[divan::bench(name = "path", args = rows().map(|row| row.name))]
fn time(bencher: divan::Bencher<'_, '_>, name: &str) {
    let mut path = made(name);
    path.run_checked().unwrap_or_else(|error| panic!("{name} {error}"));
    let steps = RefCell::new(path.steps);
    bencher.with_inputs(|| steps.borrow_mut().prepare()).bench_local_values(|()| steps.borrow_mut().run());
}

fn made(name: &str) -> Path {
    let row = rows().find(|row| row.name == name).unwrap_or_else(|| panic!("there is no path {name}"));
    (row.make)()
}

/// Every path once.
fn once() -> ExitCode {
    let mut failed = 0;
    for row in rows() {
        match (row.make)().run_checked() {
            Ok(yielded) => println!("{}: {yielded}", row.name),
            Err(error) => {
                failed += 1;
                println!("{} FAILED: {error}", row.name);
            }
        }
    }
    println!("{} passed, {failed} failed", rows().count() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs one path so many times for callgrind.
fn count(name: &str, runs: usize) {
    let mut path = made(name);
    for _ in 0..WARM_UP_RUNS {
        path.run_checked().unwrap_or_else(|error| panic!("{name} {error}"));
    }
    for _ in 0..runs {
        path.steps.prepare();
        let yielded = collected_run(&mut path);
        path.check(yielded).unwrap_or_else(|error| panic!("{name} {error}"));
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--names", ..] => rows().for_each(|row| println!("{}", row.name)),
        ["--once", ..] => return once(),
        ["--count", name, runs, ..] => count(name, runs.parse().expect("--count NAME RUNS")),
        _ => divan::main(),
    }
    ExitCode::SUCCESS
}
