//! Groups of several members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ottla_compat_rdkafka::{CALL, config, eventually, fill, read, topic, unique};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

/// What a member's callbacks saw.
#[derive(Default)]
struct Diary {
    share: Mutex<BTreeSet<i32>>,
    taken: Mutex<Vec<i32>>,
    /// Messages handled since the last commit.
    uncommitted: AtomicUsize,
    /// Messages whose commit was refused.
    refused: AtomicUsize,
}

#[derive(Clone, Default)]
struct Context(Arc<Diary>);

impl ClientContext for Context {}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Revoke(partitions) = rebalance {
            commit(consumer);
            for partition in partitions.elements() {
                self.0.share.lock().unwrap().remove(&partition.partition());
                self.0.taken.lock().unwrap().push(partition.partition());
            }
        }
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(partitions) = rebalance {
            self.0.share.lock().unwrap().extend(partitions.elements().iter().map(|partition| partition.partition()));
        }
    }
}

/// Commits what was handled.
fn commit(consumer: &BaseConsumer<Context>) {
    let diary = &consumer.context().0;
    match consumer.commit_consumer_state(CommitMode::Sync) {
        Ok(()) => diary.uncommitted.store(0, Ordering::Relaxed),
        Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
        // It met a rebalance, so what it stood for comes again.
        Err(_) => _ = diary.refused.fetch_add(diary.uncommitted.swap(0, Ordering::Relaxed), Ordering::Relaxed),
    }
}

/// One member on a thread of its own; commits what it has handled when nothing else waits, before partitions are taken
/// away, and before it leaves.
struct Member {
    diary: Arc<Diary>,
    handled: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Member {
    fn join(group: &str, topic: &str, settings: &[(&str, &str)]) -> Member {
        let mut all = vec![
            ("group.id", group),
            ("enable.auto.commit", "false"),
            // Closing polls, too, and commits in the end: only what was handled may count.
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "earliest"),
            ("heartbeat.interval.ms", "300"),
            ("session.timeout.ms", "10000"),
        ];
        all.extend_from_slice(settings);
        let is_static = settings.iter().any(|(key, _)| *key == "group.instance.id");
        let context = Context::default();
        let diary = context.0.clone();
        let consumer: BaseConsumer<Context> = config(&all).create_with_context(context).unwrap();
        consumer.subscribe(&[topic]).unwrap();
        let (stop, handled) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stop_here, handled_here) = (stop.clone(), handled.clone());
        let thread = std::thread::spawn(move || {
            let turn = || match consumer.poll(Duration::from_millis(100)) {
                Some(polled) => {
                    let message = polled.expect("a member failed");
                    let value = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
                    handled_here.lock().unwrap().push(value);
                    consumer.context().0.uncommitted.fetch_add(1, Ordering::Relaxed);
                    consumer.store_offset_from_message(&message).expect("a member's own partition");
                }
                None => commit(&consumer),
            };
            while !stop_here.load(Ordering::Relaxed) {
                turn();
            }
            commit(&consumer);
            if !is_static {
                // Gives its share up before it is closed, if it can: this client may wait for itself for ever when a rebalance meets its closing.
                consumer.unsubscribe();
                let until = Instant::now() + Duration::from_secs(3);
                while Instant::now() < until && !consumer.context().0.share.lock().unwrap().is_empty() {
                    turn();
                }
            }
        });
        Member { diary, handled, stop, thread: Some(thread) }
    }

    fn share(&self) -> BTreeSet<i32> {
        self.diary.share.lock().unwrap().clone()
    }

    /// Stops polling and closes the consumer, which leaves the group unless it is a static member.
    fn leave(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a member failed");
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn await_shares(members: &[&Member], sizes: &[usize]) {
    let shares = || members.iter().map(|member| member.share()).collect::<Vec<_>>();
    let settled = eventually(Duration::from_secs(25), || {
        let shares = shares();
        let mut now: Vec<usize> = shares.iter().map(BTreeSet::len).collect();
        now.sort_unstable();
        now == sizes && shares.iter().flatten().collect::<BTreeSet<_>>().len() == sizes.iter().sum::<usize>()
    });
    assert!(settled, "wanted shares of {sizes:?}, have {:?}", shares());
}

async fn grow_and_shrink(strategy: &str) {
    let (topic, group) = (topic(&format!("grow-{strategy}"), 6, &[]).await, unique("grow"));
    let settings = [("partition.assignment.strategy", strategy)];
    let handled =
        |members: &[&Member]| members.iter().map(|member| member.handled.lock().unwrap().len()).sum::<usize>();
    // Something is committed of each partition before it changes hands: while this client still looks for the beginning of one that it is given again, it may
    // forget that it was told another place.
    for partition in 0..6 {
        fill(&topic, partition, 0..10).await;
    }
    let mut first = Member::join(&group, &topic, &settings);
    await_shares(&[&first], &[6]);
    assert!(eventually(CALL, || handled(&[&first]) >= 60 && first.diary.uncommitted.load(Ordering::Relaxed) == 0));
    let second = Member::join(&group, &topic, &settings);
    await_shares(&[&first, &second], &[3, 3]);
    let taken = first.diary.taken.lock().unwrap().len();
    assert_eq!(taken, if strategy == "cooperative-sticky" { 3 } else { 6 }, "taken from the first member");
    let third = Member::join(&group, &topic, &settings);
    await_shares(&[&first, &second, &third], &[2, 2, 2]);
    for partition in 0..6 {
        fill(&topic, partition, 10..20).await;
    }
    assert!(eventually(CALL, || handled(&[&first, &second, &third]) >= 120));
    first.leave();
    await_shares(&[&second, &third], &[3, 3]);
    for partition in 0..6 {
        fill(&topic, partition, 20..30).await;
    }
    assert!(eventually(CALL, || handled(&[&first, &second, &third]) >= 180));
    assert_eq!(handled(&[&first, &second, &third]), 180, "a committed message came again");
}

#[tokio::test]
async fn eager_groups_grow_and_shrink() {
    grow_and_shrink("range").await;
}

#[tokio::test]
async fn cooperative_groups_grow_and_shrink() {
    grow_and_shrink("cooperative-sticky").await;
}

#[tokio::test]
async fn nothing_is_lost_while_members_come_and_go() {
    let (topic, group) = (topic("work", 4, &[]).await, unique("work"));
    let settings = [("partition.assignment.strategy", "cooperative-sticky")];
    let source = {
        let topic = topic.clone();
        tokio::spawn(async move {
            for round in 0..60_usize {
                fill(&topic, (round % 4) as i32, round * 20..(round + 1) * 20).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
    };
    let mut members = Vec::new();
    for _ in 0..3 {
        members.push(Member::join(&group, &topic, &settings));
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
    members[0].leave();
    source.await.unwrap();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    let settled = eventually(CALL, || {
        times.clear();
        for member in &members {
            for value in member.handled.lock().unwrap().iter() {
                *times.entry(value.clone()).or_default() += 1;
            }
        }
        times.len() == 1200
    });
    assert!(settled, "{} of 1200 messages were handled", times.len());
    let again = times.values().sum::<usize>() - times.len();
    let refused = members.iter().map(|member| member.diary.refused.load(Ordering::Relaxed)).sum::<usize>();
    assert!(again <= refused, "{again} messages came again, for commits of {refused} that were refused");
    // A refusal passes: in the end everything is committed.
    let reader: BaseConsumer = config(&[("group.id", group.as_str())]).create().unwrap();
    let committed = || {
        let mut asked = TopicPartitionList::new();
        (0..4).for_each(|partition| _ = asked.add_partition(&topic, partition));
        let told = reader.committed_offsets(asked, CALL).unwrap();
        told.elements().iter().filter_map(|element| element.offset().to_raw()).sum::<i64>()
    };
    assert!(eventually(CALL, || committed() == 1200), "{} of 1200 messages are committed", committed());
}

#[tokio::test]
async fn static_members_keep_their_share_through_a_restart() {
    let (topic, group) = (topic("static", 4, &[]).await, unique("static"));
    let strategy = ("partition.assignment.strategy", "range");
    let stays = Member::join(&group, &topic, &[strategy, ("group.instance.id", "a")]);
    let mut leaves = Member::join(&group, &topic, &[strategy, ("group.instance.id", "b")]);
    await_shares(&[&stays, &leaves], &[2, 2]);
    let share = leaves.share();
    let taken = stays.diary.taken.lock().unwrap().len();
    leaves.leave();
    let back = Member::join(&group, &topic, &[strategy, ("group.instance.id", "b")]);
    await_shares(&[&stays, &back], &[2, 2]);
    assert_eq!(back.share(), share);
    assert_eq!(stays.diary.taken.lock().unwrap().len(), taken, "the member that stayed was rebalanced");
}

#[tokio::test]
async fn commits_are_found_again() {
    let (topic, group) = (topic("commits", 2, &[]).await, unique("commits"));
    fill(&topic, 0, 0..20).await;
    let settings = [("group.id", group.as_str()), ("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")];
    let consumer: BaseConsumer = config(&settings).create().unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let messages = read(&consumer, 20);
    let at = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(offset)).unwrap();
        list
    };
    consumer.commit(&at(7), CommitMode::Async).unwrap();
    assert!(
        eventually(CALL, || {
            assert!(consumer.poll(Duration::from_millis(50)).is_none());
            let committed = consumer.committed_offsets(at(0), CALL).unwrap();
            committed.find_partition(&topic, 0).unwrap().offset() == Offset::Offset(7)
        }),
        "the asynchronous commit is not found"
    );
    consumer.commit(&at(messages[9].offset() + 1), CommitMode::Sync).unwrap();
    drop(consumer);

    let next: BaseConsumer = config(&settings).create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic, 0);
    asked.add_partition(&topic, 1);
    let committed = next.committed_offsets(asked, CALL).unwrap();
    assert_eq!(committed.find_partition(&topic, 0).unwrap().offset(), Offset::Offset(10));
    assert_eq!(committed.find_partition(&topic, 1).unwrap().offset(), Offset::Invalid);
    next.subscribe(&[&topic]).unwrap();
    assert_eq!(read(&next, 10)[0].offset(), 10);
}

#[tokio::test]
async fn automatic_commits_of_stored_offsets_are_found_again() {
    let (topic, group) = (topic("stored", 1, &[]).await, unique("stored"));
    fill(&topic, 0, 0..20).await;
    let settings = [
        ("group.id", group.as_str()),
        ("enable.auto.commit", "true"),
        ("auto.commit.interval.ms", "100"),
        ("enable.auto.offset.store", "false"),
        ("auto.offset.reset", "earliest"),
    ];
    let consumer: BaseConsumer = config(&settings).create().unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    read(&consumer, 20);
    consumer.store_offset(&topic, 0, 11).unwrap();
    drop(consumer);
    let next: BaseConsumer = config(&settings).create().unwrap();
    next.subscribe(&[&topic]).unwrap();
    assert_eq!(read(&next, 8)[0].offset(), 12);
}

#[tokio::test]
async fn a_group_is_listed_with_its_members() {
    let (topic, group) = (topic("listed", 2, &[]).await, unique("listed"));
    let member = Member::join(&group, &topic, &[("client.id", "listed-client")]);
    await_shares(&[&member], &[2]);
    let observer: BaseConsumer = config(&[]).create().unwrap();
    let list = observer.fetch_group_list(Some(&group), CALL).unwrap();
    let found = &list.groups()[0];
    assert_eq!(
        (found.name(), found.state(), found.protocol(), found.protocol_type()),
        (group.as_str(), "Stable", "range", "consumer")
    );
    assert_eq!(found.members().len(), 1);
    assert_eq!(found.members()[0].client_id(), "listed-client");
    assert!(found.members()[0].assignment().is_some_and(|bytes| !bytes.is_empty()));
    assert!(observer.fetch_group_list(None, CALL).unwrap().groups().iter().any(|listed| listed.name() == group));
}
