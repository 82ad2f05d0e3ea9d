//! Test only: models of the world below the broker, run from a seed. A failure prints the seed that shows it again.

pub mod disk;
mod random;
mod store_faults;
mod store_model;

pub use random::Random;
