use super::*;
use kafka_protocol::messages::{ApiVersionsRequest, CreateTopicsRequest};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

fn client(bootstrap: &str, more: &[(&str, &str)]) -> Client {
    let mut properties = ClientProperties::default();
    properties.set("bootstrap.servers", bootstrap);
    more.iter().for_each(|(key, value)| properties.set(key, *value));
    Client::new(&properties).unwrap()
}

/// A port that answers every connection with these bytes, after it has read something.
async fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut some = [0; 1024];
            let _ = socket.read(&mut some).await;
            let _ = socket.write_all(bytes).await;
            // Closed with something unread, it would reset the connection and take the answer with it.
            while socket.read(&mut some).await.is_ok_and(|bytes| bytes > 0) {}
        }
    });
    address
}

#[tokio::test]
async fn a_broker_answers_and_its_connection_is_used_again() {
    let broker = crate::EmbeddedBroker::start().await.unwrap();
    let client = client(broker.bootstrap(), &[("client.id", "tester")]);
    let view = client.view().await.unwrap();
    assert_eq!((view.nodes.len(), view.controller), (1, view.nodes.keys().next().copied()));
    let request = MetadataRequest::default().with_topics(None);
    let answer = client.send(&To::Any, &request).await.unwrap();
    assert!(answer.topics.is_empty());
    client.send(&To::Controller, &CreateTopicsRequest::default()).await.unwrap();
    let (one, two) = (client.connection(&To::Any).await.unwrap(), client.connection(&To::Controller).await.unwrap());
    assert!(Arc::ptr_eq(&one, &two), "the advertised address is the bootstrap's");
    assert_eq!(client.coordinator("a-group").await.unwrap(), view.controller.unwrap());
    broker.stop().await;
}

#[tokio::test]
async fn requests_of_one_connection_may_overlap() {
    let broker = crate::EmbeddedBroker::start().await.unwrap();
    let client = client(broker.bootstrap(), &[]);
    let request = ApiVersionsRequest::default();
    let calls = (0..50).map(|_| client.send_at_most(&To::Any, &request, 2));
    let mut versions = Vec::new();
    for call in calls.map(Box::pin) {
        versions.push(call.await.unwrap().1);
    }
    assert_eq!(versions, [2; 50]);
    broker.stop().await;
}

#[tokio::test]
async fn other_protocols_are_recognised_at_once() {
    for (bytes, word) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH"),
        (b"\xff\xff\xff\xff", "does not speak Kafka"),
    ] {
        let address = answering(bytes).await;
        let error = client(&address, &[]).view().await.unwrap_err();
        assert!(matches!(error, ClientError::NotKafka { .. }) && error.to_string().contains(word), "{error}");
        assert!(error.to_string().contains(&address), "{error}");
    }
}

#[tokio::test]
async fn an_answer_to_something_else_ends_the_connection() {
    let address = answering(&[0, 0, 0, 10, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0]).await;
    let error = client(&address, &[]).view().await.unwrap_err();
    assert!(matches!(error, ClientError::Disconnected { .. }) && error.to_string().contains("2313"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_tried_again_told_once_and_explained() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let told = Arc::new(AtomicUsize::new(0));
    let count = told.clone();
    let client = client(&address, &[("default.api.timeout.ms", "400"), ("reconnect.backoff.ms", "10")]).on_notice(
        Arc::new(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        }),
    );
    let error = client.send(&To::Any, &MetadataRequest::default()).await.unwrap_err();
    let ClientError::Expired { last, .. } = &error else { panic!("{error}") };
    assert!(matches!(**last, ClientError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&address) && error.to_string().contains("refused"), "{error}");
    assert_eq!(told.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_advertised_address_that_cannot_be_reached_is_explained() {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let advertised = format!("PLAINTEXT://127.0.0.1:{}", unused.port());
    let broker = crate::EmbeddedBroker::start_with(&[("advertised.listeners", advertised.as_str())]).await.unwrap();
    let client = client(broker.bootstrap(), &[("default.api.timeout.ms", "300")]);
    let error = client.send(&To::Controller, &CreateTopicsRequest::default()).await.unwrap_err().to_string();
    for part in [broker.bootstrap(), unused.to_string().as_str(), "advertised.listeners", "Broker 1"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_silent_peer_is_given_up_after_the_request_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let client = client(&address, &[("request.timeout.ms", "100"), ("default.api.timeout.ms", "300")]);
    let error = client.send(&To::Any, &MetadataRequest::default()).await.unwrap_err().to_string();
    assert!(error.contains("ApiVersions") && error.contains("100 ms"), "{error}");
    drop(listener);
}
