//! The consumer's view of its topics: which there are, how many partitions they have, and who leads them.

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Client, ClientError, ServerError, To};
use super::{ConsumeError, Leaders, Shared, Subscription};

/// Topics that belong to the cluster itself.
pub(super) const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];
/// How soon a topic that is not there is looked for again.
const MISSING: Duration = Duration::from_millis(500);

/// Asks whenever something is stale, and every `metadata.max.age.ms`.
pub(super) async fn follow(shared: Arc<Shared>, client: Arc<Client>) {
    loop {
        let outcome = ask(&shared, &client).await;
        let complete = matches!(outcome, Ok(true));
        {
            let mut state = shared.state.lock();
            match outcome {
                Ok(_) => state.trouble = None,
                Err(error) => {
                    client.forget_view();
                    client.tell_trouble(&error);
                    state.trouble = Some(error);
                }
            }
            state.stale = !complete;
        }
        shared.news.notify_all();
        shared.polls.notify_one();
        shared.look();
        let pause = if complete { shared.config.metadata_max_age } else { MISSING };
        let _ = tokio::time::timeout(pause, shared.metadata.notified()).await;
        // Who notices a stale leader notices it many times.
        tokio::time::sleep(shared.config.retry_backoff.min(Duration::from_millis(100))).await;
    }
}

/// Whether every topic that is read has all its leaders.
async fn ask(shared: &Shared, client: &Client) -> Result<bool, ClientError> {
    let connection = client.connection(&To::Any).await?;
    let version = connection.version_of::<MetadataRequest>(i16::MAX)?;
    let named = shared.named_topics();
    let topics = named.as_ref().map(|names| {
        let topic = |name: &String| {
            MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(name.clone()))))
        };
        names.iter().map(topic).collect::<Vec<_>>()
    });
    let create = shared.config.create_topics && named.is_some();
    let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(create);
    let answer = connection.send(&request, version).await?;
    client.forget_view();
    let mut found: BTreeMap<String, Leaders> = BTreeMap::new();
    let mut complete = true;
    for topic in answer.topics {
        let Some(name) = topic.name.map(|name| name.to_string()) else { continue };
        if !is_read(shared, &name, topic.is_internal) {
            continue;
        }
        match ServerError::from_code(topic.error_code, None) {
            None => {}
            // INVALID_TOPIC_EXCEPTION, TOPIC_AUTHORIZATION_FAILED: another try does not change them.
            Some(error) if [17, 29].contains(&error.code) => {
                let message = match error.code {
                    17 => format!("Invalid topics: [{name}]"),
                    _ => format!("Not authorized to access topics: [{name}]"),
                };
                shared.fail(ConsumeError::Server(ServerError { code: error.code, message }));
                continue;
            }
            Some(_) => {
                complete = false;
                continue;
            }
        }
        let leaders: Leaders = topic
            .partitions
            .iter()
            .map(|partition| (partition.partition_index, (partition.leader_id.0, partition.leader_epoch)))
            .collect();
        complete &= leaders.values().all(|(leader, _)| *leader >= 0);
        found.insert(name, leaders);
    }
    shared.state.lock().topics = found;
    Ok(complete)
}

fn is_read(shared: &Shared, topic: &str, is_internal: bool) -> bool {
    match &shared.subscription {
        Subscription::Pattern(pattern) => {
            let hidden = shared.config.exclude_internal && (is_internal || INTERNAL.contains(&topic));
            !hidden && pattern.find(topic).is_some_and(|found| found.len() == topic.len())
        }
        _ => true,
    }
}
