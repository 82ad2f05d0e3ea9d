//! Ottla: a broker for Apache Kafka's clients.
//!
//! Kafka in two sentences: clients append **records** to **partitions** of **topics**, each record gets the next **offset**, and consumers read on from an
//! offset that they choose, or that their **group** has committed. One broker **leads** a partition and answers for it, others may follow it, and what every
//! follower in sync has is below the **high watermark**, which is as far as consumers may read.
//!
//! Two things flow through this program. A record goes down, and its answer comes up once the record is kept:
//!
//! ```text
//! socket
//!   -> net          cuts the bytes into requests, and begins them in the order in which they came
//!   -> api          finds the handler by the request's key, checks the batch of records          } the first stage: runs at once,
//!   -> replica      do we lead this partition? are enough replicas in sync?                       } so a producer's order is kept
//!   -> log          gives the records their offsets, refuses what a producer sends twice          }
//!   -> store        queues the write; its one writer thread takes many writes at a time, writes them
//!                   to a record file, syncs if one of them needs it, and notes in the index where they are
//!   <- log, replica the end of the log and the high watermark move; whoever waits for that is woken
//!   <- api, net     the second stage: the answer, in the order of the connection's requests
//! ```
//!
//! A change of the metadata (a topic is created, a configuration altered) is agreed on first, then followed by everybody:
//!
//! ```text
//! api -> cluster    decides what is to change, on the newest image of the metadata, and writes nothing yet
//!     -> cluster    the quorum (Raft) puts the decided records in its log, on disk
//!     -> cluster    applies them: a new image for readers, and a delta that says what changed
//!     -> node       hands image and delta on: replica opens, leads and deletes partitions, coordinator takes up groups
//! api <-            answers when they have followed
//! ```
//!
//! A room may use the rooms below its own line, never those above or beside it (a test, `tidy`, sees to that):
//!
//! | room | what happens in it |
//! |---|---|
//! | [`embedded`] | a whole broker for a program's own tests |
//! | [`node`] | a broker starts and stops; whoever must hear of something is told who to listen to |
//! | [`cli`], [`net`] | the command line · the sockets |
//! | [`tools`], [`bench`] | Kafka's command line tools, one file each · load for a broker, and what it came to |
//! | [`api`] | what each request means, one file for each API; `api::table` is the list of them |
//! | [`coordinator`] | groups of consumers: who is in, who reads what, how far they have come |
//! | [`replica`] | this broker's partitions: led or not, how far they may be read, who waits for them |
//! | [`cluster`], [`log`], [`client`] | the metadata and the quorum that agrees on it · one partition's offsets, producers and reads · a Kafka client |
//! | [`store`], [`protocol`] | records and state on disk, found again after any crash · bytes to meaning and back |
//! | [`config`], [`metrics`] | every configuration key, every metric: tables that all else follows from |
//! | [`types`] | ids, limits, the clock |
//!
//! To run a broker inside a program's tests, see [`EmbeddedBroker`]. `ARCHITECTURE.md` tells the rest: why things are as they are, and where to add what.

pub mod api;
pub mod bench;
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod coordinator;
pub mod embedded;
pub mod log;
pub mod metrics;
pub mod net;
pub mod node;
pub mod protocol;
pub mod replica;
#[cfg(test)]
mod sim;
pub mod store;
pub mod tools;
pub mod types;

#[cfg(test)]
mod tidy;

pub use embedded::EmbeddedBroker;
