//! Ottla's own record files, which all partitions of a log directory share: each partition's batches, in Kafka's lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Showing, View};
use crate::protocol::record_batch::Batches;
use crate::store::LocalId;
use crate::store::dump::{End, Step, walk};
use crate::tools::{Fault, Terminal};

/// What a local id stands for, as far as the files that were read say it.
type Names = BTreeMap<LocalId, String>;

/// All record files of a log directory, in the order in which they were written.
pub(super) fn dump_folder(path: &Path, view: &View, terminal: &mut Terminal) -> Result<(), Fault> {
    let records = path.join("records");
    let folder = if records.is_dir() { records } else { path.to_owned() };
    let entries =
        std::fs::read_dir(&folder).map_err(|error| Fault::thrown(format!("{}: {error}", folder.display())))?;
    let mut files: Vec<(u64, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let number = path.file_name()?.to_str()?.strip_suffix(".rec")?.parse().ok()?;
            Some((number, path))
        })
        .collect();
    files.sort();
    if files.is_empty() {
        return Err(Fault::thrown(format!(
            "{}: no log directory of Ottla: there is no record file (records/N.rec) in it",
            path.display()
        )));
    }
    let mut names = Names::new();
    for (_, file) in files {
        terminal.line(format_args!("Dumping {}", file.display()));
        dump(&file, view, &mut names, terminal)?;
    }
    Ok(())
}

pub(super) fn dump_file(path: &Path, view: &View, terminal: &mut Terminal) -> Result<(), Fault> {
    dump(path, view, &mut Names::new(), terminal)
}

fn dump(path: &Path, view: &View, names: &mut Names, terminal: &mut Terminal) -> Result<(), Fault> {
    let mut showing: BTreeMap<LocalId, Showing<'_>> = BTreeMap::new();
    let mut current = None;
    let mut failed = None;
    let mut shown_bytes: u64 = 0;
    let end = walk(path, |id, step| {
        let name = names
            .get(&id)
            .cloned()
            .unwrap_or_else(|| format!("partition with local id {} (its topic is named in an earlier file)", id.0));
        match step {
            Step::Created(partition) => {
                let name =
                    format!("topic id {} partition {} (local id {})", partition.topic_id, partition.partition, id.0);
                terminal.line(format_args!("Created: {name}"));
                names.insert(id, name);
                current = None;
            }
            Step::Appended { batches, position, intact } => {
                if current != Some(id) {
                    terminal.line(format_args!("Partition: {name}"));
                    current = Some(id);
                }
                if !intact {
                    terminal.line(format_args!(
                        "The {} bytes at position {position} do not match their checksum",
                        batches.len()
                    ));
                }
                let showing = showing.entry(id).or_insert_with(|| Showing { among_others: true, ..Showing::new(view) });
                for batch in Batches::new(&batches) {
                    let outcome = match batch {
                        Ok(batch) => showing.batch(batch.bytes, position + batch.position as u64, terminal),
                        Err(error) => {
                            terminal.line(format_args!("No batch at position {position} and behind it: {error}"));
                            break;
                        }
                    };
                    if let Err(fault) = outcome {
                        failed = Some(fault);
                        return false;
                    }
                }
                shown_bytes += batches.len() as u64;
            }
            Step::TruncatedTo(offset) => terminal.line(format_args!("Truncated to offset {offset}: {name}")),
            Step::LogStartAt(offset) => terminal.line(format_args!("Log start offset moved to {offset}: {name}")),
            Step::Deleted => terminal.line(format_args!("Deleted: {name}")),
            Step::State => {}
        }
        shown_bytes < view.max_bytes
    });
    if let Some(fault) = failed {
        return Err(fault);
    }
    match end.map_err(|error| Fault::thrown(error.to_string()))? {
        End::Clean { .. } => {}
        End::Broken { position, what } => {
            terminal.line(format_args!("Ends at position {position}: {what} (a torn end is normal after a crash)"));
        }
    }
    Ok(())
}
