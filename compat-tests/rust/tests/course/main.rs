//! rdkafka (librdkafka) through an application's course. Each test stands alone.

mod admin;
mod groups;
mod records;
