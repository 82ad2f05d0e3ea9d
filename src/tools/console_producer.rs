//! `kafka-console-producer`: lines of standard input to records of a topic.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::connect::{self, BOOTSTRAP_SERVER, BROKER_LIST, COMMAND_CONFIG};
use super::console_consumer::{key_values, tell_send};
use super::interrupt::Interrupt;
use super::line_reader::{LineReader, LineRecord};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::progress::Progress;
use super::{Fault, Terminal, Tool};
use crate::client::ClientProperties;
use crate::client::producer::{NewRecord, OnDone, Producer, SendError};

const TOPIC: Opt = Opt::value("topic", "topic", Kind::Text, "REQUIRED: the topic to write to.");
const SYNC: Opt = Opt::flag("sync", "Wait for each record's answer before the next one is sent.");
const COMPRESSION: Opt = Opt::optional(
    "compression-codec",
    "compression-codec",
    Kind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]),
    "How batches are compressed; gzip when no codec is named.",
);
const BATCH_SIZE: Opt = Opt::value(
    "batch-size",
    "size",
    Kind::Integer,
    "Bytes of records of one partition that are sent together (batch.size).",
)
.preset("16384");
const RETRIES: Opt = Opt::value(
    "message-send-max-retries",
    "Integer",
    Kind::Integer,
    "How often a batch is sent again before it is given up (retries).",
)
.preset("3");
const RETRY_BACKOFF: Opt = Opt::value(
    "retry-backoff-ms",
    "Long",
    Kind::Long,
    "How long to wait before a batch is sent again (retry.backoff.ms).",
)
.preset("100");
const TIMEOUT: Opt =
    Opt::value("timeout", "timeout_ms", Kind::Long, "How long records wait for others to be sent with (linger.ms).")
        .preset("1000");
const ACKS: Opt = Opt::value(
    "request-required-acks",
    "request required acks",
    Kind::Text,
    "Whose answer counts (acks): 0, 1, -1 or all.",
)
.preset("-1");
const REQUEST_TIMEOUT: Opt = Opt::value(
    "request-timeout-ms",
    "request timeout ms",
    Kind::Integer,
    "How long to wait for an answer (request.timeout.ms).",
)
.preset("1500");
const METADATA_EXPIRY: Opt = Opt::value(
    "metadata-expiry-ms",
    "metadata expiration interval",
    Kind::Long,
    "How often the topic's leaders are asked for anew (metadata.max.age.ms).",
)
.preset("300000");
const MAX_BLOCK: Opt = Opt::value(
    "max-block-ms",
    "max block on send",
    Kind::Long,
    "How long a record may wait for memory or for the topic (max.block.ms).",
)
.preset("60000");
const MAX_MEMORY: Opt = Opt::value(
    "max-memory-bytes",
    "total memory in bytes",
    Kind::Long,
    "Bytes of records that wait to be sent, at most (buffer.memory).",
)
.preset("33554432");
const MAX_PARTITION_MEMORY: Opt = Opt::value(
    "max-partition-memory-bytes",
    "memory in bytes per partition",
    Kind::Integer,
    "(DEPRECATED) The same as --batch-size.",
)
.preset("16384");
const LINE_READER: Opt = Opt::value(
    "line-reader",
    "reader_class",
    Kind::Text,
    "How lines become records: the class name of Kafka's reader.",
)
.preset("org.apache.kafka.tools.LineMessageReader");
const SOCKET_BUFFER: Opt = Opt::value(
    "socket-buffer-size",
    "size",
    Kind::Integer,
    "Taken and ignored: the system chooses well (send.buffer.bytes).",
)
.preset("102400");
const PROPERTY: Opt = Opt::value("property", "prop", Kind::Text, "(DEPRECATED) The same as --reader-property.");
const READER_PROPERTY: Opt = Opt::value(
    "reader-property",
    "prop",
    Kind::Text,
    "How lines are read, key=value; may be given many times: parse.key=false, parse.headers=false, ignore.error=false, key.separator=TAB, \
     headers.delimiter=TAB, headers.separator=',', headers.key.separator=':', null.marker (unset). A line is \"h1:v1,h2:v2 TAB key TAB value\" with all of it on.",
);
const READER_CONFIG: Opt = Opt::value(
    "reader-config",
    "config file",
    Kind::File,
    "A properties file of the same; --reader-property is stronger.",
);
const PRODUCER_PROPERTY: Opt =
    Opt::value("producer-property", "producer_prop", Kind::Text, "(DEPRECATED) The same as --command-property.");
const COMMAND_PROPERTY: Opt = Opt::value(
    "command-property",
    "producer_prop",
    Kind::Text,
    "A producer property, key=value; may be given many times.",
);
const PRODUCER_CONFIG: Opt =
    Opt::value("producer.config", "config file", Kind::File, "(DEPRECATED) The same as --command-config.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-producer",
    about: "This tool helps to read data from standard input and publish it to Kafka.",
    grammar: Grammar::Jopt(&[
        TOPIC,
        BOOTSTRAP_SERVER,
        BROKER_LIST,
        SYNC,
        COMPRESSION,
        BATCH_SIZE,
        RETRIES,
        RETRY_BACKOFF,
        TIMEOUT,
        ACKS,
        REQUEST_TIMEOUT,
        METADATA_EXPIRY,
        MAX_BLOCK,
        MAX_MEMORY,
        MAX_PARTITION_MEMORY,
        LINE_READER,
        SOCKET_BUFFER,
        PROPERTY,
        READER_PROPERTY,
        READER_CONFIG,
        PRODUCER_PROPERTY,
        COMMAND_PROPERTY,
        PRODUCER_CONFIG,
        COMMAND_CONFIG,
    ]),
    run,
};

/// Options that set a property when they are given, or when nothing else sets it.
const MERGED: [(&str, Opt); 11] = [
    ("linger.ms", TIMEOUT),
    ("acks", ACKS),
    ("request.timeout.ms", REQUEST_TIMEOUT),
    ("retries", RETRIES),
    ("retry.backoff.ms", RETRY_BACKOFF),
    ("send.buffer.bytes", SOCKET_BUFFER),
    ("buffer.memory", MAX_MEMORY),
    ("batch.size", BATCH_SIZE),
    ("batch.size", MAX_PARTITION_MEMORY),
    ("metadata.max.age.ms", METADATA_EXPIRY),
    ("max.block.ms", MAX_BLOCK),
];

/// The options in use where a deprecated one may stand for a new one.
struct Names {
    property: Opt,
    config: Opt,
    reader_property: Opt,
}

fn check(parsed: &Parsed, terminal: &mut Terminal) -> Result<Names, Fault> {
    parsed.check_required(&[TOPIC])?;
    for (one, other) in
        [(COMMAND_CONFIG, PRODUCER_CONFIG), (COMMAND_PROPERTY, PRODUCER_PROPERTY), (READER_PROPERTY, PROPERTY)]
    {
        if parsed.has(one) && parsed.has(other) {
            return Err(Fault::usage(format!(
                "Options --{} and --{} cannot be specified together.",
                one.name, other.name
            )));
        }
    }
    let mut chosen = |old: Opt, new: Opt| match parsed.has(old) {
        true => {
            terminal.line(format_args!(
                "Warning: --{} is deprecated and will be removed in a future version. Use --{} instead.",
                old.name, new.name
            ));
            old
        }
        false => new,
    };
    let names = Names {
        property: chosen(PRODUCER_PROPERTY, COMMAND_PROPERTY),
        config: chosen(PRODUCER_CONFIG, COMMAND_CONFIG),
        reader_property: chosen(PROPERTY, READER_PROPERTY),
    };
    if parsed.has(MAX_PARTITION_MEMORY) {
        terminal.line(
            "Warning: --max-partition-memory-bytes is deprecated and will be removed in Apache Kafka 5.0. Use --batch-size instead.",
        );
    }
    check_servers(connect::servers(parsed)?)?;
    Ok(names)
}

/// As `ToolsUtils.validateBootstrapServer`.
fn check_servers(servers: Option<&str>) -> Result<(), Fault> {
    let Some(servers) = servers.filter(|servers| !servers.trim().is_empty()) else {
        return Err(Fault::usage("Error while validating the bootstrap address\n"));
    };
    match servers.split(',').all(|server| crate::client::address::parse_list("bootstrap.servers", server).is_ok()) {
        true => Ok(()),
        false => Err(Fault::usage("Please provide valid host:port like host1:9091,host2:9092\n")),
    }
}

fn properties(parsed: &Parsed, names: &Names) -> Result<ClientProperties, Fault> {
    let mut properties = connect::properties(parsed, names.config)?;
    for (key, value) in key_values(&parsed.all(names.property)) {
        properties.set(&key, value);
    }
    if let Some(servers) = connect::servers(parsed)? {
        properties.set("bootstrap.servers", servers);
    }
    let codec = match (parsed.has(COMPRESSION), parsed.value(COMPRESSION)?) {
        (true, Some(codec)) if !codec.is_empty() => codec,
        (true, _) => "gzip",
        (false, _) => "none",
    };
    properties.set("compression.type", codec);
    properties.set_default("client.id", "console-producer");
    for (key, option) in MERGED {
        if parsed.has(option) || !properties.contains(key) {
            properties.set(key, parsed.value(option)?.unwrap_or_default());
        }
    }
    Ok(properties)
}

fn reader(parsed: &Parsed, names: &Names) -> Result<LineReader, Fault> {
    let class = parsed.value(LINE_READER)?.unwrap_or_default();
    if class != "org.apache.kafka.tools.LineMessageReader" {
        return Err(Fault::thrown(format!("java.lang.ClassNotFoundException: {class}")));
    }
    let mut properties: BTreeMap<String, String> = match parsed.value(READER_CONFIG)? {
        Some(path) => {
            let loaded = ClientProperties::load(Path::new(path))?;
            loaded.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        }
        None => BTreeMap::new(),
    };
    properties.extend(key_values(&parsed.all(names.reader_property)));
    LineReader::new(&properties).map_err(|why| Fault::thrown(format!("org.apache.kafka.common.KafkaException: {why}")))
}

/// Sizes of key and value, for what is said of a record that was not sent.
type Sizes = (Option<usize>, Option<usize>);

fn not_sent(topic: &str, sizes: Sizes, error: &SendError) -> String {
    let size = |bytes: Option<usize>| bytes.map_or_else(|| "null".to_owned(), |bytes| format!("{bytes} bytes"));
    let (key, value) = (size(sizes.0), size(sizes.1));
    format!(
        "ERROR Error when sending message to topic {topic} with key: {key}, value: {value} with error: {}",
        tell_send(error)
    )
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let names = check(parsed, terminal)?;
    let topic = parsed.value(TOPIC)?.unwrap_or_default().to_owned();
    let reader = reader(parsed, &names)?;
    let properties = properties(parsed, &names)?;
    let sync = parsed.has(SYNC);
    let of_topic = topic.clone();
    // With --sync only one record is under way, and its error ends the tool.
    let failed = Arc::new(parking_lot::Mutex::new(None));
    let of_producer = failed.clone();
    let on_done: OnDone<Sizes> = Box::new(move |sizes, outcome| {
        if let Err(error) = outcome {
            match sync {
                true => *of_producer.lock() = Some(tell_send(error)),
                false => eprintln!("{}", not_sent(&of_topic, sizes, error)),
            }
        }
    });
    let producer = Arc::new(Producer::start(&properties, on_done, Some(connect::notice()))?);
    let of_signals = producer.clone();
    let _interrupt = Interrupt::listen_and_end(move || of_signals.flush())?;
    let mut lines = Lines { topic: &topic, reader: &reader, producer: &producer, sync, number: 0 };
    let outcome = lines.run(terminal, &failed);
    producer.flush();
    outcome?;
    Ok(0)
}

struct Lines<'a> {
    topic: &'a str,
    reader: &'a LineReader,
    producer: &'a Producer<Sizes>,
    sync: bool,
    number: u64,
}

impl Lines<'_> {
    fn run(&mut self, terminal: &mut Terminal, failed: &parking_lot::Mutex<Option<String>>) -> Result<(), Fault> {
        let stdin = std::io::stdin();
        let prompt = stdin.is_terminal() && std::io::stdout().is_terminal();
        let mut progress = Progress::new(stdin.is_terminal());
        let mut input = stdin.lock();
        let mut line = Vec::new();
        loop {
            progress.tell(|| format!("{} records", self.number));
            self.number += 1;
            if prompt {
                terminal.print(">");
                let _ = terminal.out().flush();
            }
            if !read_line(&mut input, &mut line)
                .map_err(|error| Fault::thrown(format!("standard input cannot be read: {error}")))?
            {
                return Ok(());
            }
            let text = String::from_utf8_lossy(&line);
            let record = self
                .reader
                .read(&text, self.number)
                .map_err(|why| Fault::thrown(format!("org.apache.kafka.common.KafkaException: {why}")))?;
            self.send(&record, terminal)?;
            if self.sync {
                self.producer.flush();
                if let Some(error) = failed.lock().take() {
                    return Err(Fault::thrown(format!("java.util.concurrent.ExecutionException: {error}")));
                }
            }
        }
    }

    fn send(&self, record: &LineRecord, terminal: &mut Terminal) -> Result<(), Fault> {
        let headers: Vec<(&[u8], Option<&[u8]>)> =
            record.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
        let new = NewRecord {
            timestamp_ms: now_ms(),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        let sizes = (record.key.as_ref().map(Vec::len), record.value.as_ref().map(Vec::len));
        match self.producer.send(self.topic, None, &new, sizes) {
            Ok(()) => Ok(()),
            Err(error) if self.sync || matches!(error, SendError::Closed) => Err(Fault::thrown(tell_send(&error))),
            Err(error) => {
                terminal.error(not_sent(self.topic, sizes, &error));
                Ok(())
            }
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The next line without its end, which is `\n`, `\r` or `\r\n` as for Java's `readLine`. False at the end of the input.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Ok(any);
        }
        any = true;
        match available.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            None => {
                let taken = available.len();
                line.extend_from_slice(available);
                input.consume(taken);
            }
            Some(at) => {
                line.extend(available.iter().take(at));
                let is_return = available.get(at) == Some(&b'\r');
                input.consume(at + 1);
                // On a terminal a lone \r does not come; in a file what follows is there.
                if is_return && input.fill_buf()?.first() == Some(&b'\n') {
                    input.consume(1);
                }
                return Ok(true);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_as_java_ends_them() {
        let mut input = std::io::BufReader::with_capacity(3, &b"abcdef\r\ng\rh\n\nlast"[..]);
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while read_line(&mut input, &mut line).unwrap() {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        assert_eq!(lines, ["abcdef", "g", "h", "", "last"]);
    }

    #[test]
    fn bootstrap_addresses_are_checked_as_kafka_checks_them() {
        assert!(check_servers(Some("a:1,b:2")).is_ok());
        assert_eq!(check_servers(None).unwrap_err().message(""), "Error while validating the bootstrap address\n");
        assert!(check_servers(Some("a:1,b")).unwrap_err().message("").starts_with("Please provide valid host:port"));
    }
}
