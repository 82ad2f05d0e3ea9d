//! `kafka-console-consumer`: records of a topic to standard output.

use kafka_protocol::messages::ApiKey;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use super::connect::{self, BOOTSTRAP_SERVER, COMMAND_CONFIG};
use super::group_records;
use super::interrupt::Interrupt;
use super::message_formatter::{DefaultFormatter, FormatError, Place, write_group_record};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::progress::Progress;
use super::{Fault, Terminal, Tool};
use crate::client::consumer::{ConsumeError, Consumer, Polled, Position, StartAt, Subscription};
use crate::client::{ClientProperties, producer};

const TOPIC: Opt = Opt::value("topic", "topic", Kind::Text, "The topic to read.");
const INCLUDE: Opt =
    Opt::value("include", "Java regex (String)", Kind::Text, "Read all topics whose whole name matches this.");
const PARTITION: Opt = Opt::value(
    "partition",
    "partition",
    Kind::Integer,
    "Read this partition only, from its end unless --offset says otherwise.",
);
const OFFSET: Opt =
    Opt::value("offset", "consume offset", Kind::Text, "Where to begin in --partition: a number, earliest, or latest.")
        .preset("latest");
const CONSUMER_PROPERTY: Opt =
    Opt::value("consumer-property", "consumer_prop", Kind::Text, "(DEPRECATED) The same as --command-property.");
const COMMAND_PROPERTY: Opt = Opt::value(
    "command-property",
    "consumer_prop",
    Kind::Text,
    "A consumer property, key=value; may be given many times.",
);
const CONSUMER_CONFIG: Opt =
    Opt::value("consumer.config", "config file", Kind::File, "(DEPRECATED) The same as --command-config.");
const FORMATTER: Opt =
    Opt::value("formatter", "class", Kind::Text, "How records are shown: the class name of one of Kafka's formatters.")
        .preset("org.apache.kafka.tools.consumer.DefaultMessageFormatter");
const PROPERTY: Opt = Opt::value("property", "prop", Kind::Text, "(DEPRECATED) The same as --formatter-property.");
const FORMATTER_PROPERTY: Opt = Opt::value(
    "formatter-property",
    "prop",
    Kind::Text,
    "A property of the formatter, key=value; may be given many times: print.timestamp, print.key, print.offset, print.epoch, print.partition, print.headers, \
     print.value (true or false), key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer.",
);
const FORMATTER_CONFIG: Opt = Opt::value(
    "formatter-config",
    "config file",
    Kind::File,
    "A properties file for the formatter; --formatter-property is stronger.",
);
const FROM_BEGINNING: Opt = Opt::flag(
    "from-beginning",
    "Begin with the oldest record where the group has no offset yet, rather than with the next that comes.",
);
const MAX_MESSAGES: Opt = Opt::value(
    "max-messages",
    "num_messages",
    Kind::Integer,
    "End after this many records; without it, read on and on.",
);
const TIMEOUT_MS: Opt =
    Opt::value("timeout-ms", "timeout_ms", Kind::Long, "End when no record came for this long, in milliseconds.");
const SKIP: Opt = Opt::flag("skip-message-on-error", "Leave out a record that cannot be shown, rather than end.");
const KEY_DESERIALIZER: Opt = Opt::value(
    "key-deserializer",
    "deserializer for keys",
    Kind::Text,
    "The class name of one of Kafka's deserializers, for keys.",
);
const VALUE_DESERIALIZER: Opt = Opt::value(
    "value-deserializer",
    "deserializer for values",
    Kind::Text,
    "The class name of one of Kafka's deserializers, for values.",
);
const SYSTEST: Opt = Opt::flag("enable-systest-events", "Tell when the consumer has ended (for system tests).");
const ISOLATION: Opt = Opt::value(
    "isolation-level",
    "String",
    Kind::Choice(&["read_committed", "read_uncommitted"]),
    "read_committed leaves out records of transactions that were not committed.",
)
.preset("read_uncommitted");
const GROUP: Opt =
    Opt::value("group", "consumer group id", Kind::Text, "The group to read in; without it, one of its own.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-console-consumer",
    about: "This tool helps to read data from Kafka topics and outputs it to standard output.",
    grammar: Grammar::Jopt(&[
        TOPIC,
        INCLUDE,
        PARTITION,
        OFFSET,
        CONSUMER_PROPERTY,
        COMMAND_PROPERTY,
        CONSUMER_CONFIG,
        COMMAND_CONFIG,
        FORMATTER,
        PROPERTY,
        FORMATTER_PROPERTY,
        FORMATTER_CONFIG,
        FROM_BEGINNING,
        MAX_MESSAGES,
        TIMEOUT_MS,
        SKIP,
        BOOTSTRAP_SERVER,
        KEY_DESERIALIZER,
        VALUE_DESERIALIZER,
        SYSTEST,
        ISOLATION,
        GROUP,
    ]),
    run,
};

/// What the arguments come to.
struct Asked {
    properties: ClientProperties,
    subscription: Subscription,
    formatter: Formatter,
    max_messages: Option<u64>,
    timeout: Option<Duration>,
    skip: bool,
}

enum Formatter {
    /// Records of `__consumer_offsets` of these types.
    GroupRecords(&'static [i16]),
    Default(Box<DefaultFormatter>),
    Nothing,
}

/// `key=value` texts to properties; without `=` the value is empty.
pub(super) fn key_values(texts: &[&str]) -> BTreeMap<String, String> {
    let split = |text: &&str| {
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        (key.to_owned(), value.to_owned())
    };
    texts.iter().map(split).collect()
}

fn number<N: std::str::FromStr>(parsed: &Parsed, option: Opt) -> Result<Option<N>, Fault> {
    parsed.number(option).map_err(|fault| Fault::usage(fault.message("")))
}

fn asked(parsed: &Parsed, terminal: &mut Terminal) -> Result<Asked, Fault> {
    parsed.check_one_of(&[TOPIC, INCLUDE])?;
    let partition: Option<i32> = number(parsed, PARTITION)?;
    match partition {
        Some(_) if !parsed.has(TOPIC) => {
            return Err(Fault::usage("The topic is required when partition is specified."));
        }
        Some(_) if parsed.has(FROM_BEGINNING) && parsed.has(OFFSET) => {
            return Err(Fault::usage("Options from-beginning and offset cannot be specified together."));
        }
        None if parsed.has(OFFSET) => return Err(Fault::usage("The partition is required when offset is specified.")),
        _ => {}
    }
    parsed.check_required(&[BOOTSTRAP_SERVER])?;
    let properties = properties(parsed, terminal, partition.is_some())?;
    let start = start(parsed)?;
    let timeout: Option<i64> = number(parsed, TIMEOUT_MS)?;
    let timeout = timeout.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let formatter = formatter(parsed, terminal)?;
    let topic = parsed.value(TOPIC)?.map(str::to_owned);
    let subscription = match (topic, partition) {
        (Some(topic), Some(partition)) => Subscription::Partitions(vec![((topic, partition), start)]),
        (Some(topic), None) => Subscription::Topics(vec![topic]),
        (None, _) => Subscription::Pattern(pattern(parsed.value(INCLUDE)?.unwrap_or_default())?),
    };
    let max_messages: Option<i64> = number(parsed, MAX_MESSAGES)?;
    Ok(Asked {
        properties,
        subscription,
        formatter,
        max_messages: max_messages.and_then(|most| u64::try_from(most).ok()),
        timeout,
        skip: parsed.has(SKIP),
    })
}

pub(super) fn pattern(text: &str) -> Result<regex::Regex, Fault> {
    regex::Regex::new(text).map_err(|error| Fault::thrown(format!("{text} is no regular expression: {error}")))
}

fn start(parsed: &Parsed) -> Result<StartAt, Fault> {
    let preset = if parsed.has(FROM_BEGINNING) { StartAt::Earliest } else { StartAt::Latest };
    let Some(text) = parsed.value(OFFSET)?.filter(|_| parsed.has(OFFSET)) else { return Ok(preset) };
    match text.to_lowercase().as_str() {
        "earliest" => Ok(StartAt::Earliest),
        "latest" => Ok(StartAt::Latest),
        number => match number.parse() {
            Ok(offset) if offset >= 0 => Ok(StartAt::Offset(offset)),
            _ => Err(Fault::usage(format!(
                "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
            ))),
        },
    }
}

fn properties(parsed: &Parsed, terminal: &mut Terminal, has_partition: bool) -> Result<ClientProperties, Fault> {
    if parsed.has(CONSUMER_PROPERTY) && parsed.has(COMMAND_PROPERTY) {
        return Err(Fault::usage("Options --consumer-property and --command-property cannot be specified together."));
    }
    if parsed.has(CONSUMER_CONFIG) && parsed.has(COMMAND_CONFIG) {
        return Err(Fault::usage("Options --consumer.config and --command-config cannot be specified together."));
    }
    let mut deprecated = |old: Opt, new: Opt| match parsed.has(old) {
        true => {
            terminal.line(format_args!(
                "Option --{} is deprecated and will be removed in a future version. Use --{} instead.",
                old.name, new.name
            ));
            old
        }
        false => new,
    };
    let given = deprecated(CONSUMER_PROPERTY, COMMAND_PROPERTY);
    let file = deprecated(CONSUMER_CONFIG, COMMAND_CONFIG);
    let mut properties = connect::properties(parsed, file)?;
    let given = key_values(&parsed.all(given));
    let groups: BTreeSet<&str> =
        [parsed.value(GROUP)?, properties.get("group.id"), given.get("group.id").map(String::as_str)]
            .into_iter()
            .flatten()
            .collect();
    if groups.len() > 1 {
        let list = groups.iter().map(|group| format!("'{group}'")).collect::<Vec<_>>().join(", ");
        return Err(Fault::usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. \
             Detected group ids: {list}"
        )));
    }
    if !groups.is_empty() && has_partition {
        return Err(Fault::usage("Options group and partition cannot be specified together."));
    }
    let group = groups.first().map(|group| group.to_string());
    given.iter().for_each(|(key, value)| properties.set(key, value.as_str()));
    match properties.get("auto.offset.reset") {
        Some(reset) if parsed.has(FROM_BEGINNING) && reset != "earliest" => {
            terminal.error(format_args!(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset={reset}', please remove one option"
            ));
            return Err(Fault::Exit(super::FAILED));
        }
        Some(_) => {}
        None => properties.set("auto.offset.reset", if parsed.has(FROM_BEGINNING) { "earliest" } else { "latest" }),
    }
    if let Some(servers) = parsed.value(BOOTSTRAP_SERVER)? {
        properties.set("bootstrap.servers", servers);
    }
    properties.set_default("client.id", "console-consumer");
    if parsed.has(ISOLATION) || !properties.contains("isolation.level") {
        properties.set("isolation.level", parsed.value(ISOLATION)?.unwrap_or("read_uncommitted"));
    }
    match group {
        Some(group) => properties.set("group.id", group),
        None => {
            let number = uuid::Uuid::new_v4().as_u128() % 100_000;
            properties.set("group.id", format!("console-consumer-{number}"));
            properties.set_default("enable.auto.commit", "false");
        }
    }
    Ok(properties)
}

fn formatter(parsed: &Parsed, terminal: &mut Terminal) -> Result<Formatter, Fault> {
    let class = parsed.value(FORMATTER)?.unwrap_or_default();
    let name = class.strip_prefix("org.apache.kafka.tools.consumer.").unwrap_or(class);
    if parsed.has(FORMATTER_PROPERTY) && parsed.has(PROPERTY) {
        return Err(Fault::usage("Options --property and --formatter-property cannot be specified together."));
    }
    let mut given = FORMATTER_PROPERTY;
    if parsed.has(PROPERTY) {
        terminal.line("Option --property is deprecated and will be removed in a future version. Use --formatter-property instead.");
        given = PROPERTY;
    }
    let mut properties = match parsed.value(FORMATTER_CONFIG)? {
        Some(path) => ClientProperties::load(Path::new(path)).map_err(|error| Fault::usage(error.to_string()))?,
        None => ClientProperties::default(),
    };
    for (option, key) in [(KEY_DESERIALIZER, "key.deserializer"), (VALUE_DESERIALIZER, "value.deserializer")] {
        if let Some(class) = parsed.value(option)?.filter(|class| !class.is_empty()) {
            properties.set(key, class);
        }
    }
    let mut all: BTreeMap<String, String> =
        properties.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    all.extend(key_values(&parsed.all(given)));
    match name {
        // The logging one writes the same, and to Kafka's log at a level that its tools do not show.
        "DefaultMessageFormatter" | "LoggingMessageFormatter" => {
            let (formatter, unknown) = DefaultFormatter::new(&all);
            for class in unknown {
                terminal.error(format_args!(
                    "ERROR Unable to instantiate a deserializer from {class}: Kafka's own deserializers are there, others are not"
                ));
            }
            Ok(Formatter::Default(Box::new(formatter)))
        }
        "NoOpMessageFormatter" => Ok(Formatter::Nothing),
        "OffsetsMessageFormatter" => Ok(Formatter::GroupRecords(&group_records::OFFSET_COMMITS)),
        "GroupMetadataMessageFormatter" => Ok(Formatter::GroupRecords(&[group_records::GROUP_METADATA])),
        "TransactionLogMessageFormatter" => Err(Fault::usage(format!("{class} is not there yet"))),
        _ => Err(Fault::usage(class)),
    }
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let asked = asked(parsed, terminal)?;
    terminal.flush();
    let consumer = Consumer::start(&asked.properties, asked.subscription.clone(), Some(connect::notice()))?;
    let waker = consumer.waker();
    let interrupt = Interrupt::listen(move || waker.wake())?;
    let mut shown = 0;
    let outcome = Showing { asked: &asked, consumer: &consumer, interrupt: &interrupt }.run(terminal, &mut shown);
    let _ = terminal.out().flush();
    consumer.close();
    terminal.error(format_args!("Processed a total of {shown} messages"));
    if parsed.has(SYSTEST) && interrupt.is_set() {
        terminal.line("shutdown_complete");
    }
    match (outcome, interrupt.code()) {
        (Err(why), _) => {
            terminal.error(format_args!("ERROR Unknown error when running consumer: {why}"));
            Ok(super::FAILED)
        }
        (Ok(()), Some(code)) => Ok(code),
        (Ok(()), None) => Ok(0),
    }
}

struct Showing<'a> {
    asked: &'a Asked,
    consumer: &'a Consumer,
    interrupt: &'a Interrupt,
}

/// Why the walk over a chunk broke off.
enum Stop {
    Enough,
    Closed,
    Broken(String),
}

impl Showing<'_> {
    /// Until there is enough, nothing comes, nobody reads, or a signal came.
    ///
    /// # Errors
    /// A record that cannot be shown.
    fn run(&self, terminal: &mut Terminal, shown: &mut u64) -> Result<(), String> {
        let timeout = self.asked.timeout;
        let mut waiting_since = Instant::now();
        let mut progress = Progress::new(std::io::stdout().is_terminal());
        while self.asked.max_messages.is_none_or(|most| *shown < most) && !self.interrupt.is_set() {
            progress.tell(|| format!("{shown} records"));
            let mut polled = self.consumer.poll(Duration::ZERO);
            if matches!(polled, Ok(None)) {
                if terminal.out().flush().is_err() {
                    terminal.error("Unable to write to standard out, closing consumer.");
                    return Ok(());
                }
                let left = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(waiting_since.elapsed()));
                polled = self.consumer.poll(left);
            }
            match polled {
                Ok(Some(Polled::Records(chunk))) => match self.show(&chunk, terminal, shown)? {
                    Some(Stop::Closed) => {
                        terminal.error("Unable to write to standard out, closing consumer.");
                        return Ok(());
                    }
                    Some(Stop::Broken(why)) => return Err(why),
                    Some(Stop::Enough) | None => waiting_since = Instant::now(),
                },
                Ok(Some(_)) => {}
                Ok(None) if timeout.is_some_and(|timeout| waiting_since.elapsed() >= timeout) => {
                    terminal.error(
                        "ERROR Error processing message, terminating consumer process: org.apache.kafka.common.errors.TimeoutException",
                    );
                    return Ok(());
                }
                Ok(None) => {}
                Err(error) => {
                    tell(&error, terminal);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn show(
        &self,
        chunk: &crate::client::consumer::Chunk,
        terminal: &mut Terminal,
        shown: &mut u64,
    ) -> Result<Option<Stop>, String> {
        let out = terminal.out();
        let mut skipped = Vec::new();
        let walked = chunk.walk(|timestamp_type, record| {
            *shown += 1;
            let place = Place { partition: chunk.partition, timestamp_type };
            let outcome = match &self.asked.formatter {
                Formatter::Default(formatter) => formatter.write(&place, record, &mut Sink(out)),
                Formatter::GroupRecords(types) => write_group_record(types, record, &mut Sink(out)),
                Formatter::Nothing => Ok(()),
            };
            match outcome {
                Ok(()) => {}
                Err(FormatError::Output(_)) => return ControlFlow::Break(Stop::Closed),
                Err(FormatError::Deserialize(why)) if self.asked.skip => skipped.push(why),
                Err(FormatError::Record(why)) if self.asked.skip => skipped.push(why),
                Err(FormatError::Record(why)) => {
                    return ControlFlow::Break(Stop::Broken(format!("java.lang.RuntimeException: {why}")));
                }
                Err(FormatError::Deserialize(why)) => {
                    let class = "org.apache.kafka.common.errors.SerializationException";
                    return ControlFlow::Break(Stop::Broken(format!("{class}: {why}")));
                }
            }
            match self.asked.max_messages.is_some_and(|most| *shown >= most) || self.interrupt.is_set() {
                true => ControlFlow::Break(Stop::Enough),
                false => ControlFlow::Continue(()),
            }
        });
        for why in skipped {
            terminal.error(format_args!("ERROR Error processing message, skipping this message: {why}"));
        }
        let (progress, stop) = walked.map_err(|error| {
            let name = format!("{}-{}", chunk.topic, chunk.partition);
            format!(
                "{:?} brought a batch of {name} at or after offset {} that is broken: {error}",
                ApiKey::Fetch,
                chunk.position
            )
        })?;
        let position = Position { offset: progress.next_offset, leader_epoch: progress.leader_epoch };
        self.consumer.consumed(&chunk.topic, chunk.partition, position);
        Ok(stop)
    }
}

/// The formatter wants a sized writer.
struct Sink<'a>(&'a mut (dyn Write + Send));

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// What ended the consumer, as Kafka's tool logs it.
pub(super) fn tell(error: &ConsumeError, terminal: &mut Terminal) {
    terminal.error(format_args!(
        "ERROR Error processing message, terminating consumer process: {}: {error}",
        error.class()
    ));
}

/// What a producer's error looks like in the same manner.
pub(super) fn tell_send(error: &producer::SendError) -> String {
    format!("{}: {error}", error.class())
}
