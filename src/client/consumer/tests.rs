use super::*;
use crate::EmbeddedBroker;
use crate::client::To;
use crate::client::producer::{NewRecord, Producer};
use kafka_protocol::protocol::StrBytes;
use std::ops::ControlFlow;

fn properties(bootstrap: &str, more: &[(&str, &str)]) -> ClientProperties {
    let mut properties = ClientProperties::default();
    properties.set("bootstrap.servers", bootstrap);
    properties.set("auto.offset.reset", "earliest");
    more.iter().for_each(|(key, value)| properties.set(key, *value));
    properties
}

fn fill(bootstrap: &str, topic: &str, numbers: std::ops::Range<u32>) {
    let producer = Producer::<()>::start(
        &properties(bootstrap, &[]),
        Box::new(|(), outcome| assert!(outcome.is_ok(), "{outcome:?}")),
        None,
    )
    .unwrap();
    for number in numbers {
        let value = number.to_string();
        let record = NewRecord { timestamp_ms: 5, key: None, value: Some(value.as_bytes()), headers: &[] };
        producer.send(topic, Some((number % 4) as i32), &record, ()).unwrap();
    }
    producer.close();
}

/// What a consumer polled until `enough` says so.
#[derive(Default, Debug)]
struct Seen {
    values: Vec<u32>,
    assigned: Vec<Vec<Partition>>,
    revoked: Vec<Vec<Partition>>,
}

fn read(consumer: &Consumer, enough: impl Fn(&Seen) -> bool) -> Seen {
    let mut seen = Seen::default();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !enough(&seen) {
        assert!(Instant::now() < deadline, "{seen:?}");
        match consumer.poll(Duration::from_millis(100)).unwrap() {
            Some(Polled::Records(chunk)) => {
                let (progress, _) = chunk
                    .walk(|_, record| {
                        seen.values.push(std::str::from_utf8(record.value.unwrap()).unwrap().parse().unwrap());
                        ControlFlow::<()>::Continue(())
                    })
                    .unwrap();
                let position = Position { offset: progress.next_offset, leader_epoch: progress.leader_epoch };
                consumer.consumed(&chunk.topic, chunk.partition, position);
            }
            Some(Polled::Assigned(partitions)) => seen.assigned.push(partitions),
            Some(Polled::Revoked(partitions)) => seen.revoked.push(partitions),
            Some(Polled::Woken) | None => {}
        }
    }
    seen.values.sort_unstable();
    seen
}

fn member(bootstrap: &str, more: &[(&str, &str)]) -> Consumer {
    let mut properties = properties(bootstrap, &[("group.id", "g"), ("heartbeat.interval.ms", "100")]);
    more.iter().for_each(|(key, value)| properties.set(key, *value));
    Consumer::start(&properties, Subscription::Topics(vec!["t".into()]), None).unwrap()
}

async fn with_broker(work: impl FnOnce(String) + Send + 'static) {
    let broker = EmbeddedBroker::start_with(&[("num.partitions", "4"), ("group.initial.rebalance.delay.ms", "0")])
        .await
        .unwrap();
    let bootstrap = broker.bootstrap().to_string();
    tokio::task::spawn_blocking(move || work(bootstrap)).await.unwrap();
    broker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_reads_all_commits_and_its_successor_goes_on() {
    with_broker(|bootstrap| {
        fill(&bootstrap, "t", 0..1000);
        let first = member(&bootstrap, &[]);
        let seen = read(&first, |seen| seen.values.len() >= 1000);
        assert_eq!(seen.values, (0..1000).collect::<Vec<_>>());
        assert_eq!(seen.assigned[0].len(), 4);
        first.close();
        fill(&bootstrap, "t", 1000..1100);
        let second = member(&bootstrap, &[]);
        let seen = read(&second, |seen| seen.values.len() >= 100);
        assert_eq!(seen.values, (1000..1100).collect::<Vec<_>>());
        second.close();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_and_take_over() {
    with_broker(|bootstrap| {
        fill(&bootstrap, "t", 0..400);
        let one = member(&bootstrap, &[]);
        let mut values = read(&one, |seen| seen.values.len() >= 400).values;
        let other_bootstrap = bootstrap.clone();
        let other = std::thread::spawn(move || {
            let two = member(&other_bootstrap, &[]);
            let seen = read(&two, |seen| seen.assigned.last().is_some_and(|last| last.len() == 2));
            (two, seen)
        });
        let seen = read(&one, |seen| seen.assigned.last().is_some_and(|last| last.len() == 2));
        assert_eq!(seen.revoked, [(0..4).map(|partition| ("t".to_owned(), partition)).collect::<Vec<_>>()]);
        let (two, seen_by_two) = other.join().unwrap();
        values.extend(seen_by_two.values);
        assert_eq!(values.len(), 400, "nothing is read twice after an orderly rebalance");
        two.close();
        let seen = read(&one, |seen| seen.assigned.last().is_some_and(|last| last.len() == 4));
        assert!(seen.values.is_empty());
        one.close();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_stops_polling_loses_its_partitions_and_gets_them_back() {
    with_broker(|bootstrap| {
        fill(&bootstrap, "t", 0..40);
        let slow = member(&bootstrap, &[("max.poll.interval.ms", "700"), ("session.timeout.ms", "6000")]);
        read(&slow, |seen| seen.values.len() >= 40);
        // The last poll gave records: the caller seems to work on them.
        while !matches!(slow.poll(Duration::ZERO), Ok(None)) {}
        fill(&bootstrap, "t", 40..44);
        loop {
            if let Some(Polled::Records(_)) = slow.poll(Duration::from_secs(5)).unwrap() {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(1500));
        let seen = read(&slow, |seen| !seen.assigned.is_empty());
        assert_eq!(seen.revoked.len(), 1);
        slow.close();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_by_policy_and_patterns_match_whole_names() {
    with_broker(|bootstrap| {
        fill(&bootstrap, "t", 0..40);
        fill(&bootstrap, "tt", 40..44);
        let properties = properties(&bootstrap, &[("group.id", "p"), ("auto.offset.reset", "none")]);
        let strict = Consumer::start(&properties, Subscription::Topics(vec!["t".into()]), None).unwrap();
        let error = loop {
            if let Err(error) = strict.poll(Duration::from_secs(10)) {
                break error;
            }
        };
        assert!(error.to_string().starts_with("Undefined offset with no reset policy"), "{error}");
        strict.close();
        let mut properties = properties.clone();
        properties.set("auto.offset.reset", "earliest");
        let all = Consumer::start(&properties, Subscription::Pattern(Regex::new("t+").unwrap()), None).unwrap();
        assert_eq!(read(&all, |seen| seen.values.len() >= 44).values, (0..44).collect::<Vec<_>>());
        all.close();
        let given = (0..4).map(|partition| (("t".to_owned(), partition), StartAt::Latest)).collect();
        let latest = Consumer::start(&properties, Subscription::Partitions(given), None).unwrap();
        latest.wait_for_positions(Duration::from_secs(10)).unwrap();
        fill(&bootstrap, "t", 44..48);
        assert_eq!(read(&latest, |seen| seen.values.len() >= 4).values, [44, 45, 46, 47]);
        let committed = BTreeMap::from([(("t".to_owned(), 1), Position { offset: 3, leader_epoch: 0 })]);
        latest.commit(committed).unwrap();
        latest.close();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_consumer_that_never_reached_anybody_takes_no_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    tokio::task::spawn_blocking(move || {
        let consumer = member(&address, &[]);
        while let Some(polled) = consumer.poll(Duration::from_millis(300)).unwrap() {
            assert!(!matches!(polled, Polled::Records(_)));
        }
        let begun_at = Instant::now();
        consumer.close();
        assert!(begun_at.elapsed() < Duration::from_secs(3));
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_consumer_that_still_joins_takes_no_time_and_leaves_nobody_behind() {
    let broker = EmbeddedBroker::start_with(&[("group.initial.rebalance.delay.ms", "6000")]).await.unwrap();
    let bootstrap = broker.bootstrap().to_owned();
    tokio::task::spawn_blocking(move || {
        fill(&bootstrap, "t", 0..1);
        let consumer = member(&bootstrap, &[]);
        // Past the answer that has the member's id, into the one that waits for others.
        while consumer.poll(Duration::from_millis(700)).unwrap().is_some() {}
        let begun_at = Instant::now();
        consumer.close();
        assert!(begun_at.elapsed() < Duration::from_secs(1), "{:?}", begun_at.elapsed());
        let mut client = properties(&bootstrap, &[]);
        client.set("client.id", "looks");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let described = runtime.block_on(async {
            let client = Client::new(&client).unwrap();
            let name = kafka_protocol::messages::GroupId(StrBytes::from_static_str("g"));
            let request = kafka_protocol::messages::DescribeGroupsRequest::default().with_groups(vec![name]);
            client.send(&To::Group("g".into()), &request).await.unwrap()
        });
        assert_eq!(described.groups[0].members.len(), 0, "{described:?}");
    })
    .await
    .unwrap();
    broker.stop().await;
}
