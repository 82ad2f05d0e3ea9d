//! Whole requests, from the frame to the answer's bytes, as a broker's handlers serve them: everything but the sockets.
//!
//! Waiting for the store is left out of the counts, and so is what other threads do meanwhile.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, MetadataRequest, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};
use ottla::EmbeddedBroker;
use ottla::api::context::{Connection, Dispatch, Reply};
use ottla::api::dispatch::Dispatcher;
use ottla::protocol::record_batch::{BatchHeader, BatchMut};
use ottla::types::budget::Budget;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::inputs::{self, KIB, name};
use crate::{Path, Row, left_out};

pub const ROWS: &[Row] = &[
    Row { name: "request/produce-1x16KiB", make: || produce(1, 16 * KIB) },
    Row { name: "request/produce-16x1KiB", make: || produce(16, KIB) },
    Row { name: "request/fetch-1x16KiB", make: || fetch(1) },
    Row { name: "request/fetch-100-one-has-16KiB", make: || fetch(100) },
    Row { name: "request/metadata-100x10", make: || metadata(100) },
];

/// The versions that kafka-clients 4.3 speaks, as far as the generated messages know them.
const PRODUCE_VERSION: i16 = 13;
const FETCH_VERSION: i16 = 17;
const METADATA_VERSION: i16 = 13;
const CREATE_TOPICS_VERSION: i16 = 7;

/// After an answer, the store's thread still has to go back to where it waits for writes: the next one then always finds it there.
const STORE_REST: Duration = Duration::from_millis(2);

/// A broker, and a connection to its handlers.
struct Served {
    dispatcher: Dispatcher,
    connection: Arc<Connection>,
    budget: Budget,
    /// There until it is dropped.
    broker: Option<EmbeddedBroker>,
    runtime: Runtime,
}

/// RocksDB's threads must be gone before the process ends: what they wait for is taken down then.
impl Drop for Served {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop());
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Served {
    fn start() -> Rc<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = runtime.block_on(EmbeddedBroker::start()).unwrap();
        let address = broker.bootstrap().parse().unwrap();
        let connection = Arc::new(Connection::new(1, Arc::from("PLAINTEXT"), address, address));
        let dispatcher = broker.dispatcher();
        Rc::new(Self { dispatcher, connection, budget: Budget::new(1 << 30), broker: Some(broker), runtime })
    }

    /// Serves a frame, from its header on.
    fn serve(&self, frame: BytesMut) -> Reply {
        let _entered = self.runtime.enter();
        let memory = Arc::new(self.budget.try_reserve(frame.len()).unwrap());
        let mut outcome = self.dispatcher.begin(&self.connection, frame, memory).outcome;
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            match outcome.as_mut().poll(&mut cx) {
                Poll::Ready(outcome) => {
                    let reply = outcome.unwrap().unwrap_or_default();
                    left_out(|| assert!(reply.errors.iter().all(|(code, _)| code == 0), "{:?}", reply.errors));
                    return reply;
                }
                Poll::Pending => left_out(std::thread::park),
            }
        }
    }

    fn ask<R: Request>(&self, version: i16, request: &R) -> R::Response {
        let key = ApiKey::try_from(R::KEY).unwrap();
        let mut answer = joined(&self.serve(body_of(&inputs::frame(key, version, request))));
        // A correlation id, and tagged fields where the version has them.
        let _ = answer.split_to(if R::Response::header_version(version) >= 1 { 5 } else { 4 });
        R::Response::decode(&mut answer, version).unwrap()
    }

    fn create_topic(&self, topic: &str, partitions: i32) -> Uuid {
        let topic = CreatableTopic::default()
            .with_name(TopicName(name(topic)))
            .with_num_partitions(partitions)
            .with_replication_factor(1);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(60_000);
        let answer: CreateTopicsResponse = self.ask(CREATE_TOPICS_VERSION, &request);
        let created = answer.topics.first().unwrap();
        assert_eq!(created.error_code, 0, "{answer:?}");
        created.topic_id
    }
}

fn body_of(frame: &[u8]) -> BytesMut {
    BytesMut::from(&frame[4..])
}

fn joined(reply: &Reply) -> Bytes {
    let pieces: Vec<Bytes> = reply.pieces.iter().map(|piece| piece.clone().into_memory().unwrap()).collect();
    Bytes::from(pieces.concat())
}

/// The producer's preset: idempotent, acks=all.
fn produce(partitions: i32, batch_bytes: usize) -> Path {
    let served = Served::start();
    let topic_id = served.create_topic("letters", partitions);
    let mut batch = inputs::idempotent_batch(batch_bytes, KIB);
    let given = *BatchMut::new(&mut batch).unwrap().header();
    let mut base_sequence = 0;
    let prepare = move || {
        std::thread::sleep(STORE_REST);
        BatchMut::new(&mut batch).unwrap().set_header(BatchHeader { base_sequence, ..given });
        base_sequence += given.record_count;
        let request = inputs::produce_request(topic_id, -1, partitions, &batch);
        body_of(&inputs::frame(ApiKey::Produce, PRODUCE_VERSION, &request))
    };
    // Header and fields of the whole take 11 bytes, the topic's own 18, each partition 33.
    let bytes = 29 + 33 * partitions as u64;
    Path::new(bytes..=bytes, prepare, move |frame| served.serve(frame).len() as u64)
}

/// A consumer in a session of so many partitions, of which one has records.
fn fetch(partitions: i32) -> Path {
    let served = Served::start();
    let topic_id = served.create_topic("letters", partitions);
    let batch = inputs::batch(ottla::protocol::compression::Compression::None, 16 * KIB, KIB);
    let records = batch.len() as u64;
    served.ask(PRODUCE_VERSION, &inputs::produce_request(topic_id, -1, 1, &batch));
    let first: FetchResponse = served
        .ask(FETCH_VERSION, &inputs::fetch_request(topic_id, 0..partitions).with_session_id(0).with_session_epoch(0));
    assert_eq!((first.error_code, first.responses.len()), (0, 1));
    let session_id = first.session_id;
    let mut epoch = 0;
    let prepare = move || {
        epoch += 1;
        let request: FetchRequest =
            inputs::fetch_request(topic_id, 0..0).with_session_id(session_id).with_session_epoch(epoch);
        body_of(&inputs::frame(ApiKey::Fetch, FETCH_VERSION, &request))
    };
    Path::new(records + 20..=records + 120, prepare, move |frame| served.serve(frame).len() as u64)
}

/// A client that asks for all topics, each of ten partitions.
fn metadata(topics: i32) -> Path {
    let served = Served::start();
    for number in 0..topics {
        served.create_topic(&format!("topic-{number}"), 10);
    }
    let request = MetadataRequest::default().with_topics(None);
    let frame = inputs::frame(ApiKey::Metadata, METADATA_VERSION, &request);
    let bytes = inputs::metadata_response(topics).compute_size(METADATA_VERSION).unwrap() as u64;
    let prepare = move || body_of(&frame);
    Path::new(bytes - 100..=bytes + 100, prepare, move |frame| served.serve(frame).len() as u64)
}
