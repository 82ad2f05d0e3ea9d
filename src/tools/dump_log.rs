//! `kafka-dump-log`: shows what is in log files, offline: Kafka's segments (`.log`), and Ottla's record files (`.rec`, or a whole log directory).
//!
//! Only reads. A broker may be running on the folder; what it writes meanwhile may be missing.

mod ottla;

use std::fs::File;
use std::io::{BufReader, IsTerminal, Read};
use std::path::Path;

use super::group_records::{self, RecordError};
use super::options::{Grammar, Kind, Opt, Parsed};
use super::progress::Progress;
use super::{Fault, Terminal, Tool};
use crate::protocol::record_batch::{BatchView, LOG_OVERHEAD_BYTES};
use crate::protocol::records::{Record, RecordReader};
use crate::types::limits::{DECOMPRESSED_BATCH_MAX_BYTES, RECORD_BATCH_HEADER_BYTES};

const PRINT: Opt = Opt::flag("print-data-log", "Show the records' keys and values; also where a decoder is given.");
const VERIFY: Opt = Opt::flag("verify-index-only", "For index files, which this tool does not read.");
const SANITY: Opt = Opt::flag("index-sanity-check", "For index files, which this tool does not read.");
const FILES: Opt = Opt::value(
    "files",
    "file1, file2, ...",
    Kind::File,
    "REQUIRED: what to show, with commas: Kafka's .log files, Ottla's .rec files, or log directories of Ottla.",
);
const MAX_MESSAGE_SIZE: Opt =
    Opt::value("max-message-size", "size", Kind::Integer, "For index files, which this tool does not read.")
        .preset("5242880");
const MAX_BYTES: Opt =
    Opt::value("max-bytes", "size", Kind::Integer, "Show no more than the batches in so many bytes of each file.")
        .preset("2147483647");
const DEEP: Opt = Opt::flag("deep-iteration", "Show each record, not only batches; also with --print-data-log.");
const VALUE_DECODER: Opt = Opt::optional(
    "value-decoder-class",
    "String",
    Kind::Text,
    "How values are shown: the class name of Kafka's StringDecoder, LongDecoder or IntegerDecoder.",
)
.preset("org.apache.kafka.tools.api.StringDecoder");
const KEY_DECODER: Opt =
    Opt::optional("key-decoder-class", "String", Kind::Text, "How keys are shown; see --value-decoder-class.")
        .preset("org.apache.kafka.tools.api.StringDecoder");
const OFFSETS: Opt = Opt::flag(
    "offsets-decoder",
    "Show the records of __consumer_offsets as JSON. In Ottla's own files, records of other topics are shown as text.",
);
const TRANSACTIONS: Opt =
    Opt::flag("transaction-log-decoder", "Show records of __transaction_state decoded. Not there yet.");
const METADATA: Opt =
    Opt::flag("cluster-metadata-decoder", "Show records of __cluster_metadata decoded. Not there yet.");
const REMOTE: Opt =
    Opt::flag("remote-log-metadata-decoder", "Show records of __remote_log_metadata decoded. Not there yet.");
const SHARE: Opt =
    Opt::flag("share-group-state-decoder", "Show records of __share_group_state decoded. Not there yet.");
const SKIP_METADATA: Opt = Opt::flag("skip-record-metadata", "Leave out all but the records' keys and values.");

pub(super) static TOOL: Tool = Tool {
    name: "kafka-dump-log",
    about: "This tool helps to parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.",
    grammar: Grammar::Jopt(&[
        PRINT,
        VERIFY,
        SANITY,
        FILES,
        MAX_MESSAGE_SIZE,
        MAX_BYTES,
        DEEP,
        VALUE_DECODER,
        KEY_DECODER,
        OFFSETS,
        TRANSACTIONS,
        METADATA,
        REMOTE,
        SHARE,
        SKIP_METADATA,
    ]),
    run,
};

/// Those that are not there.
const DECODERS: [Opt; 4] = [TRANSACTIONS, METADATA, REMOTE, SHARE];

/// How keys and values are shown.
#[derive(Clone, Copy, Debug)]
enum Decoder {
    Text,
    Long,
    Integer,
}

impl Decoder {
    fn by_class(class: &str) -> Result<Self, Fault> {
        match class.rsplit('.').next() {
            Some("StringDecoder") => Ok(Self::Text),
            Some("LongDecoder") => Ok(Self::Long),
            Some("IntegerDecoder") => Ok(Self::Integer),
            _ => Err(Fault::thrown(format!(
                "Failed to load decoder class {class}: StringDecoder, LongDecoder and IntegerDecoder are there"
            ))),
        }
    }

    fn show(self, bytes: &[u8]) -> String {
        match self {
            Self::Text => String::from_utf8_lossy(bytes).into_owned(),
            Self::Long => bytes.try_into().map_or_else(|_| "?".into(), |bytes| i64::from_be_bytes(bytes).to_string()),
            Self::Integer => {
                bytes.try_into().map_or_else(|_| "?".into(), |bytes| i32::from_be_bytes(bytes).to_string())
            }
        }
    }
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
struct View {
    deep: bool,
    contents: bool,
    metadata: bool,
    /// Keys and values are those of `__consumer_offsets`.
    group_records: bool,
    key: Decoder,
    value: Decoder,
    max_bytes: u64,
}

fn run(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    parsed.check_required(&[FILES])?;
    if let Some(decoder) = DECODERS.iter().find(|option| parsed.has(**option)) {
        return Err(Fault::thrown(format!(
            "--{} is not there yet: leave it out to see keys and values as text",
            decoder.name
        )));
    }
    let contents = [PRINT, OFFSETS, VALUE_DECODER, KEY_DECODER].iter().any(|option| parsed.has(*option));
    let decoder = |option: Opt| Decoder::by_class(parsed.value(option)?.or(option.default).unwrap_or_default());
    let view = View {
        deep: contents || parsed.has(DEEP),
        contents,
        metadata: !parsed.has(SKIP_METADATA),
        group_records: parsed.has(OFFSETS),
        key: decoder(KEY_DECODER)?,
        value: decoder(VALUE_DECODER)?,
        max_bytes: parsed.number::<i32>(MAX_BYTES)?.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
    };
    let mut gaps = Vec::new();
    for name in parsed.value(FILES)?.unwrap_or_default().split(',') {
        let path = Path::new(name);
        terminal.line(format_args!("Dumping {name}"));
        let suffix = path.extension().map(|suffix| suffix.to_string_lossy().into_owned());
        match suffix.as_deref() {
            _ if path.is_dir() => ottla::dump_folder(path, &view, terminal)?,
            Some("rec") => ottla::dump_file(path, &view, terminal)?,
            Some("log") => gaps.push((name.to_owned(), dump_segment(path, &view, terminal)?)),
            Some("index" | "timeindex" | "snapshot" | "txnindex" | "checkpoint") => {
                terminal.error(format_args!(
                    "{name}: this tool does not read Kafka's index and snapshot files; Kafka's own kafka-dump-log does"
                ));
            }
            _ => terminal.error(format_args!("Ignoring unknown file {name}")),
        }
    }
    for (name, gaps) in gaps.iter().filter(|(_, gaps)| !gaps.is_empty()) {
        terminal.error(format_args!("Non-consecutive offsets in {name}"));
        for (before, after) in gaps {
            terminal.error(format_args!("  {before} is followed by {after}"));
        }
    }
    Ok(0)
}

/// Offsets that do not follow one another.
type Gaps = Vec<(i64, i64)>;

fn dump_segment(path: &Path, view: &View, terminal: &mut Terminal) -> Result<Gaps, Fault> {
    let failed = |error: std::io::Error| Fault::thrown(format!("{}: {error}", path.display()));
    let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let start = file_name.split('.').next().unwrap_or_default();
    let start: i64 = start.parse().map_err(|_| Fault::thrown(format!("For input string: \"{start}\"")))?;
    terminal.line(format_args!("Log starting offset: {start}"));
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut input = BufReader::with_capacity(1 << 20, file);
    let mut showing = Showing::new(view);
    let mut position: u64 = 0;
    let end = length.min(view.max_bytes);
    let mut batch = Vec::new();
    let mut progress = Progress::new(std::io::stdout().is_terminal());
    while end - position >= RECORD_BATCH_HEADER_BYTES as u64 {
        batch.resize(RECORD_BATCH_HEADER_BYTES, 0);
        input.read_exact(&mut batch).map_err(failed)?;
        let claimed =
            batch.get(8..LOG_OVERHEAD_BYTES).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
        let magic = batch.get(16).copied().unwrap_or(0);
        if claimed < 14 {
            // Kafka's segments may end in zeros that were reserved.
            break;
        }
        let size = u64::try_from(claimed).unwrap_or(0) + LOG_OVERHEAD_BYTES as u64;
        if size > end - position {
            break;
        }
        if magic < 2 {
            return Err(Fault::thrown(format!(
                "{}: the batch at position {position} has the format of before Kafka 0.11 (magic {magic}), which this tool does not read",
                path.display()
            )));
        }
        let rest = usize::try_from(size).unwrap_or(usize::MAX) - RECORD_BATCH_HEADER_BYTES;
        (&mut input).take(rest as u64).read_to_end(&mut batch).map_err(failed)?;
        showing.batch(&batch, position, terminal)?;
        position += size;
        progress.tell(|| format!("{position} of {end} bytes"));
    }
    let trailing = length.min(view.max_bytes).saturating_sub(position);
    if trailing > 0 && view.max_bytes == i32::MAX as u64 {
        terminal.line(format_args!("Found {trailing} invalid bytes at the end of {file_name}"));
    }
    Ok(showing.gaps)
}

/// Shows batches that follow one another.
struct Showing<'a> {
    view: &'a View,
    last_offset: i64,
    gaps: Gaps,
    /// The file has other topics' records, too.
    among_others: bool,
}

impl<'a> Showing<'a> {
    fn new(view: &'a View) -> Self {
        Self { view, last_offset: -1, gaps: Vec::new(), among_others: false }
    }

    /// One whole batch.
    fn batch(&mut self, bytes: &[u8], position: u64, terminal: &mut Terminal) -> Result<(), Fault> {
        let broken =
            |error: &dyn std::fmt::Display| Fault::thrown(format!("the batch at position {position}: {error}"));
        let view = BatchView::parse(bytes).map_err(|error| broken(&error))?;
        let header = &view.header;
        let attributes = header.attributes;
        let codec = attributes.compression().map_err(|error| broken(&error))?;
        let horizon =
            header.delete_horizon_ms().map_or("OptionalLong.empty".into(), |ms| format!("OptionalLong[{ms}]"));
        terminal.line(format_args!(
            "baseOffset: {} lastOffset: {} count: {} baseSequence: {} lastSequence: {} producerId: {} producerEpoch: {} partitionLeaderEpoch: {} \
             isTransactional: {} isControl: {} deleteHorizonMs: {horizon} position: {position} {:?}: {} size: {} magic: {} compresscodec: {} crc: {} isvalid: {}",
            header.base_offset,
            header.last_offset(),
            header.record_count,
            header.base_sequence,
            header.last_sequence(),
            header.producer_id,
            header.producer_epoch,
            header.leader_epoch,
            attributes.is_transactional(),
            attributes.is_control(),
            header.timestamp_type(),
            header.max_timestamp_ms,
            header.size_bytes(),
            header.magic,
            codec.name(),
            header.crc,
            view.check_crc().is_ok(),
        ));
        if !self.view.deep {
            return Ok(());
        }
        let mut reader = RecordReader::new(&view, DECOMPRESSED_BATCH_MAX_BYTES).map_err(|error| broken(&error))?;
        while let Some(record) = reader.next() {
            let record = record.map_err(|error| broken(&error))?;
            if record.offset != self.last_offset + 1 {
                self.gaps.push((self.last_offset, record.offset));
            }
            self.last_offset = record.offset;
            let line = self.record(&record, attributes.is_control(), &format!("{:?}", header.timestamp_type()));
            terminal.line(line);
        }
        Ok(())
    }

    fn record(&self, record: &Record<'_>, is_control: bool, timestamp_type: &str) -> String {
        let mut line = String::new();
        let size = |bytes: Option<&[u8]>| bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.len().to_string());
        if self.view.metadata {
            let headers: Vec<String> =
                record.headers.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect();
            line = format!(
                "| offset: {} {timestamp_type}: {} keySize: {} valueSize: {} sequence: {} headerKeys: [{}]",
                record.offset,
                record.timestamp_ms,
                size(record.key),
                size(record.value),
                record.sequence,
                headers.join(","),
            );
            if is_control {
                line.push_str(&control(record));
            }
        }
        if self.view.contents && !is_control {
            let mut before = if self.view.metadata { " " } else { "| " };
            let (key, value) = self.contents(record);
            if let Some(key) = key {
                line.push_str(&format!("{before}key: {key}"));
                before = " ";
            }
            if let Some(value) = value {
                line.push_str(&format!("{before}payload: {value}"));
            }
        }
        line
    }

    fn contents(&self, record: &Record<'_>) -> (Option<String>, Option<String>) {
        let text =
            || (record.key.map(|key| self.view.key.show(key)), record.value.map(|value| self.view.value.show(value)));
        let (true, Some(key)) = (self.view.group_records, record.key) else { return text() };
        match group_records::read(key, record.value) {
            Ok(found) => (Some(found.dumped_key()), Some(found.dumped_value())),
            Err(_) if self.among_others => text(),
            Err(RecordError::UnknownType(unknown)) => {
                (Some(format!("Unknown record type {unknown} at offset {}, skipping.", record.offset)), None)
            }
            Err(error) => (Some(format!("Error at offset {}, skipping. {error}", record.offset)), None),
        }
    }
}

/// What a control record says: its key is a version and a type.
fn control(record: &Record<'_>) -> String {
    let number = |bytes: Option<&[u8]>| bytes.and_then(|bytes| bytes.try_into().ok()).map(i16::from_be_bytes);
    let kind = number(record.key.and_then(|key| key.get(2..4)));
    let epoch = record
        .value
        .and_then(|value| value.get(2..6))
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(-1, i32::from_be_bytes);
    match kind {
        Some(0) => format!(" endTxnMarker: ABORT coordinatorEpoch: {epoch}"),
        Some(1) => format!(" endTxnMarker: COMMIT coordinatorEpoch: {epoch}"),
        Some(2) => " controlType: LEADER_CHANGE(2)".into(),
        Some(3) => " controlType: SNAPSHOT_HEADER(3)".into(),
        Some(4) => " controlType: SNAPSHOT_FOOTER(4)".into(),
        Some(5) => " controlType: KRAFT_VERSION(5)".into(),
        Some(6) => " controlType: KRAFT_VOTERS(6)".into(),
        other => format!(" controlType: UNKNOWN({})", other.unwrap_or(-1)),
    }
}
