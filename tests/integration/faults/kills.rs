//! `kill -9` under load: what was acknowledged is there, once and in order, and so are a group's offsets.

use bytes::Bytes;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::{GroupId, OffsetCommitRequest, OffsetFetchRequest};

use crate::broker::Process;
use crate::client::{Client, PRODUCE, batch, produce_request, text, topic_name};
use crate::eventually;

const ROUNDS: usize = 5;
/// Acknowledged batches after which a round is killed, with others on their way.
const BATCHES_PER_ROUND: usize = 150;
const RECORDS_PER_BATCH: i32 = 3;
/// As many as Java's producer keeps.
const IN_FLIGHT: i32 = 5;

fn commit_once(client: &mut Client, group: &str, topic: &str, partition: i32, offset: i64) -> std::io::Result<i16> {
    let partition =
        OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    Ok(client.try_call(8, &request)?.topics[0].partitions[0].error_code)
}

/// COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR: what clients repeat.
const NOT_YET: [i16; 3] = [14, 15, 16];

pub fn commit(client: &mut Client, group: &str, topic: &str, partition: i32, offset: i64) {
    use kafka_protocol::messages::FindCoordinatorRequest;
    // As any client does first; this makes the offsets topic.
    eventually("a coordinator", || {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![text(group)]);
        (client.call(4, &request).coordinators[0].error_code == 0).then_some(())
    });
    let code = eventually("the commit", || {
        let code = commit_once(client, group, topic, partition, offset).unwrap();
        (!NOT_YET.contains(&code)).then_some(code)
    });
    assert_eq!(code, 0);
}

/// -1 when there is none.
pub fn committed(client: &mut Client, group: &str, topic: &str, partition: i32) -> i64 {
    let topic = OffsetFetchRequestTopic::default().with_name(topic_name(topic)).with_partition_indexes(vec![partition]);
    let request = OffsetFetchRequest::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![topic]));
    let response = eventually("the committed offset", || {
        let response = client.call(7, &request);
        (!NOT_YET.contains(&response.error_code)).then_some(response)
    });
    assert_eq!(response.error_code, 0);
    response.topics[0].partitions[0].committed_offset
}

fn value(sequence: i32) -> String {
    format!("record {sequence}")
}

fn batch_from(producer: (i64, i16), sequence: i32) -> Bytes {
    let values: Vec<String> = (sequence..sequence + RECORDS_PER_BATCH).map(value).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    batch((producer.0, producer.1, sequence), &values)
}

/// An idempotent producer with several requests in flight. After a broken connection it repeats what was not acknowledged, as clients do.
struct Producer {
    id: (i64, i16),
    /// The first sequence that is not acknowledged.
    acknowledged: i32,
}

impl Producer {
    /// Until so many batches were acknowledged or the connection breaks; then so many.
    fn run(&mut self, address: &str, batches: usize) -> usize {
        let Ok(mut client) = Client::try_connect(address) else { return 0 };
        let mut waiting = std::collections::VecDeque::new();
        let mut next = self.acknowledged;
        let mut done = 0;
        while done < batches {
            while next < self.acknowledged + IN_FLIGHT * RECORDS_PER_BATCH {
                let Ok(id) = client.send(PRODUCE, &produce_request("load", 0, batch_from(self.id, next))) else {
                    return done;
                };
                waiting.push_back((id, next));
                next += RECORDS_PER_BATCH;
            }
            let Some((id, sequence)) = waiting.pop_front() else { return done };
            let Ok(response) = client.receive::<kafka_protocol::messages::ProduceRequest>(PRODUCE, id) else {
                return done;
            };
            let told = &response.responses[0].partition_responses[0];
            assert_eq!((told.error_code, told.base_offset), (0, i64::from(sequence)), "at sequence {sequence}");
            self.acknowledged = sequence + RECORDS_PER_BATCH;
            done += 1;
        }
        done
    }
}

#[test]
fn kills_under_load_lose_nothing_double_nothing_and_keep_the_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Process::start(folder.path(), &[]);
    let mut client = broker.client();
    client.create_topic("load", 1, &[]);
    let mut producer = Producer { id: client.init_producer_id(), acknowledged: 0 };
    commit(&mut client, "group", "load", 0, 0);
    for round in 0..ROUNDS {
        let address = broker.address().to_owned();
        let first_commit = committed(&mut client, "group", "load", 0);
        let before = producer.acknowledged;
        let (send, progress) = std::sync::mpsc::channel();
        let mut committing = broker.client();
        let last_commit = std::thread::scope(|scope| {
            let producing = scope.spawn(|| {
                producer.run(&address, BATCHES_PER_ROUND);
                send.send(()).unwrap();
                // Goes on until the kill breaks the connection.
                producer.run(&address, usize::MAX)
            });
            let commits = scope.spawn(|| {
                let mut offset = first_commit;
                while matches!(commit_once(&mut committing, "group", "load", 0, offset + 1), Ok(0)) {
                    offset += 1;
                }
                offset
            });
            progress.recv().unwrap();
            broker.kill();
            producing.join().unwrap();
            commits.join().unwrap()
        });
        assert!(producer.acknowledged >= before + RECORDS_PER_BATCH * 100, "round {round} did nothing");
        broker = Process::start(folder.path(), &[]);
        client = broker.client();
        assert!(last_commit > first_commit, "round {round} committed nothing");
        // The last may have been taken without the answer having arrived.
        let found = committed(&mut client, "group", "load", 0);
        assert!(
            found == last_commit || found == last_commit + 1,
            "round {round}: {last_commit} committed, {found} found"
        );
        let read = client.read_all("load", 0, 0);
        assert!(
            read.len() >= usize::try_from(producer.acknowledged).unwrap(),
            "round {round} lost acknowledged records"
        );
        for (sequence, (offset, found)) in (0..).zip(&read) {
            assert_eq!((*offset, found), (i64::from(sequence), &Bytes::from(value(sequence))), "round {round}");
        }
        // Whole batches only.
        assert_eq!(read.len() % usize::try_from(RECORDS_PER_BATCH).unwrap(), 0, "round {round}");
    }
    // What was on its way is repeated without being doubled.
    assert_eq!(producer.run(broker.address(), 10), 10);
    let read = client.read_all("load", 0, 0);
    let expected: Vec<_> = (0..).take(read.len()).map(|n| (i64::from(n), Bytes::from(value(n)))).collect();
    assert_eq!(read, expected);
}
