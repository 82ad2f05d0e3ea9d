//! The house rules, as a test: who may import whom, how long files may be, what may not be called, and what the README repeats. Reads the sources as text.
//!
//! A rule's exceptions stand beside it, each with its reason; an exception that is no longer needed fails, too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down. A room may import those below its own line; rooms of one line never see each other.
const LAYERS: &[&[&str]] = &[
    // Tests only: it may look at everything.
    &["sim"],
    &["embedded"],
    &["node"],
    &["cli", "net"],
    &["tools", "bench"],
    &["api"],
    &["coordinator"],
    &["replica"],
    &["cluster", "log", "client"],
    &["store", "protocol"],
    &["config", "metrics"],
    &["types"],
];

/// (file, room that it imports against the rule, why).
const IMPORT_EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// Rooms that the rule for `api` keeps it from, although they are lower: it works through `replica` and `cluster`.
const HIDDEN_FROM_API: &[&str] = &["store"];

/// (file, why it may see what is hidden).
const API_EXCEPTIONS: &[(&str, &str)] = &[
    ("api/error_code.rs", "maps every layer's errors to Kafka's codes, the store's too"),
    ("api/describe_log_dirs.rs", "a log directory is a store: it tells of its health and space"),
];

/// The most lines of a file, tests included.
const MAX_LINES: usize = 800;

/// (file, why it is longer).
const LENGTH_EXCEPTIONS: &[(&str, &str)] = &[];

/// Rooms that hold bytes from the network or the disk: nothing there may panic on what it reads.
const NO_PANIC_ROOMS: &[&str] =
    &["net", "api", "coordinator", "replica", "cluster", "log", "client", "tools", "bench", "store", "protocol"];

/// What panics.
const PANICS: &[&str] = &[".unwrap()", ".expect(", "panic!(", "unreachable!(", ".unwrap_err()", ".expect_err("];

/// (file, call, why it cannot panic).
const PANIC_EXCEPTIONS: &[(&str, &str, &str)] = &[];

/// One source file.
struct Source {
    /// Below `src`, with slashes.
    path: String,
    text: String,
    /// The text without comments, strings and test code.
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }
}

/// All sources below `src`. Files that only tests declare have no code that the rules look at.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let mut sources: Vec<Source> = files
        .iter()
        .map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let path = file.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            let code = without_tests(&without_text(&text));
            Source { path, text, code }
        })
        .collect();
    let test_only: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        if test_only
            .iter()
            .any(|module| source.path == format!("{module}.rs") || source.path.starts_with(&format!("{module}/")))
        {
            source.code.clear();
        }
    }
    assert!(sources.len() > 20, "the sources were not found");
    sources
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Paths (without `.rs`) of the modules that a file declares for tests only.
fn test_modules(source: &Source) -> Vec<String> {
    let plain = without_text(&source.text);
    let folder = match source.path.strip_suffix("/mod.rs").or_else(|| source.path.strip_suffix(".rs")) {
        Some("lib" | "main") | None => String::new(),
        Some(folder) => format!("{folder}/"),
    };
    let declarations = plain.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        let (name, _) = rest.strip_prefix("mod ")?.split_once([';', '{'])?;
        let is_file = rest.find(';').unwrap_or(usize::MAX) < rest.find('{').unwrap_or(usize::MAX);
        is_file.then(|| format!("{folder}{}", name.trim()))
    });
    declarations.collect()
}

/// Blanks comments, string literals and character literals; lines stay where they are.
fn without_text(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let blank =
        |out: &mut Vec<u8>, part: &[u8]| out.extend(part.iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            block_comment_end(rest)
        } else if let Some(end) = string_end(rest, at.checked_sub(1).map(|before| bytes[before])) {
            end
        } else {
            out.push(rest[0]);
            at += 1;
            continue;
        };
        blank(&mut out, &rest[..end]);
        at += end;
    }
    String::from_utf8(out).unwrap()
}

fn block_comment_end(rest: &[u8]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

/// The length of the string or character literal that begins here, if one does.
fn string_end(rest: &[u8], before: Option<u8>) -> Option<usize> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if rest[0] == b'"' {
        return Some(quoted_end(rest, b'"'));
    }
    if rest[0] == b'\'' {
        // A lifetime has no closing quote near.
        let is_escape = rest.get(1) == Some(&b'\\');
        let width = std::str::from_utf8(&rest[1..rest.len().min(6)]).map_or_else(
            |error| {
                std::str::from_utf8(&rest[1..1 + error.valid_up_to()]).unwrap().chars().next().map_or(1, char::len_utf8)
            },
            |text| text.chars().next().map_or(1, char::len_utf8),
        );
        return (is_escape || rest.get(1 + width) == Some(&b'\'')).then(|| quoted_end(rest, b'\''));
    }
    let starts_word = !before.is_some_and(is_word);
    let raw = rest.strip_prefix(b"br").or_else(|| rest.strip_prefix(b"r")).filter(|_| starts_word)?;
    let hashes = raw.iter().take_while(|byte| **byte == b'#').count();
    if raw.get(hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".to_vec(), vec![b'#'; hashes]].concat();
    let start = rest.len() - raw.len() + hashes + 1;
    let found = rest[start..].windows(close.len()).position(|window| window == close)?;
    Some(start + found + close.len())
}

fn quoted_end(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Blanks every item behind `#[cfg(test)]`.
fn without_tests(plain: &str) -> String {
    let mut out = plain.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let rest = &out[start..];
        let mut depth = 0usize;
        let mut end = rest.len();
        for (at, byte) in rest.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && (byte == b'}' || byte == b';') {
                end = at + 1;
                break;
            }
        }
        let lines: String = rest[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..start + end, &lines);
    }
    out
}

/// The rooms that code names as `crate::room`.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let names = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or_default(),
            None => rest,
        };
        let is_list = rest.starts_with('{');
        for name in names.split(if is_list { ',' } else { '\0' }) {
            let name: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.insert(name);
        }
    }
    found
}

fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// Fails with every breach and with every exception that nothing needs.
fn verdict(breaches: Vec<String>, exceptions: usize, used: &BTreeSet<usize>) {
    let mut all = breaches;
    all.extend(
        (0..exceptions).filter(|index| !used.contains(index)).map(|index| format!("exception {index} is not needed")),
    );
    assert!(all.is_empty(), "\n{}", all.join("\n"));
}

#[test]
fn imports_point_down() {
    let (mut breaches, mut used) = (Vec::new(), BTreeSet::new());
    for source in sources() {
        let Some(own) = layer(source.room()) else { continue };
        for room in imports(&source.code) {
            let Some(other) = layer(&room).filter(|_| room != source.room()) else { continue };
            if other > own {
                continue;
            }
            let excused = IMPORT_EXCEPTIONS.iter().position(|(file, to, _)| *file == source.path && *to == room);
            match excused {
                Some(index) => drop(used.insert(index)),
                None => breaches.push(format!("{} imports {room}, which is not below {}", source.path, source.room())),
            }
        }
    }
    verdict(breaches, IMPORT_EXCEPTIONS.len(), &used);
}

#[test]
fn every_room_has_its_layer() {
    let rooms: BTreeSet<String> = sources().iter().map(|source| source.room().to_owned()).collect();
    let without: Vec<_> = rooms
        .iter()
        .filter(|room| layer(room).is_none() && !["lib", "main", "tidy"].contains(&room.as_str()))
        .collect();
    assert!(without.is_empty(), "{without:?} are in no layer: give them one in LAYERS");
}

#[test]
fn handlers_do_not_touch_the_store() {
    let (mut breaches, mut used) = (Vec::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| source.room() == "api") {
        for room in imports(&source.code).iter().filter(|room| HIDDEN_FROM_API.contains(&room.as_str())) {
            match API_EXCEPTIONS.iter().position(|(file, _)| *file == source.path) {
                Some(index) => drop(used.insert(index)),
                None => breaches.push(format!("{} imports {room}", source.path)),
            }
        }
    }
    verdict(breaches, API_EXCEPTIONS.len(), &used);
}

#[test]
fn only_the_store_knows_rocksdb() {
    let breaches = sources().into_iter().filter(|source| source.room() != "store" && source.code.contains("rocksdb"));
    verdict(breaches.map(|source| format!("{} uses rocksdb", source.path)).collect(), 0, &BTreeSet::new());
}

#[test]
fn seams_for_measuring_are_for_benches_alone() {
    let breaches = sources().into_iter().filter(|source| source.code.contains("hot_path::"));
    verdict(breaches.map(|source| format!("{} uses a hot_path", source.path)).collect(), 0, &BTreeSet::new());
}

#[test]
fn files_stay_short() {
    let (mut breaches, mut used) = (Vec::new(), BTreeSet::new());
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MAX_LINES {
            match LENGTH_EXCEPTIONS.iter().position(|(file, _)| *file == source.path) {
                Some(index) => drop(used.insert(index)),
                None => breaches.push(format!("{} has {lines} lines, more than {MAX_LINES}: split it", source.path)),
            }
        }
    }
    verdict(breaches, LENGTH_EXCEPTIONS.len(), &used);
}

#[test]
fn nothing_is_left_to_do_later() {
    let mut breaches = Vec::new();
    for source in sources() {
        let plain = without_text(&source.text);
        // Put together, so that this file does not name them.
        for call in ["todo", "unimplemented"].map(|name| format!("{name}!(")) {
            if plain.contains(&call) {
                breaches.push(format!("{} has {call})", source.path));
            }
        }
    }
    verdict(breaches, 0, &BTreeSet::new());
}

#[test]
fn nothing_panics_on_what_it_reads() {
    let (mut breaches, mut used) = (Vec::new(), BTreeSet::new());
    for source in sources().iter().filter(|source| NO_PANIC_ROOMS.contains(&source.room())) {
        for (number, line) in source.code.lines().enumerate() {
            for call in PANICS.iter().filter(|call| line.contains(**call)) {
                match PANIC_EXCEPTIONS.iter().position(|(file, what, _)| *file == source.path && what == call) {
                    Some(index) => drop(used.insert(index)),
                    None => breaches.push(format!("{}:{} has {call}", source.path, number + 1)),
                }
            }
        }
    }
    verdict(breaches, PANIC_EXCEPTIONS.len(), &used);
}

#[test]
fn every_module_says_what_it_is_for() {
    // A module of tests says it in its tests' names.
    let is_test = |source: &Source| source.code.trim().is_empty();
    let silent = sources().into_iter().filter(|source| !is_test(source) && !source.text.starts_with("//!"));
    verdict(silent.map(|source| format!("{} has no //! at its top", source.path)).collect(), 0, &BTreeSet::new());
}

#[test]
fn the_scanner_sees_what_it_should() {
    let text =
        "let a = \"x.unwrap()\"; // .unwrap()\nlet b = 'x'; let c: &'static str = r#\"a\"b.unwrap()\"#; c.unwrap();\n";
    let plain = without_text(text);
    assert_eq!(plain.matches(".unwrap()").count(), 1, "{plain}");
    assert_eq!(plain.lines().count(), text.lines().count());
    let code =
        without_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { x }\n}\n#[cfg(test)]\nmod c;\nfn d() {}\n");
    assert!(
        code.contains("fn a") && code.contains("fn d") && !code.contains("fn b") && !code.contains("mod c"),
        "{code}"
    );
    let found = imports("use crate::config::Settings; use crate::{log::A, store}; crate::types::X");
    assert_eq!(found, BTreeSet::from(["config", "log", "store", "types"].map(String::from)));
}

#[test]
fn the_readme_has_the_table_of_apis() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let rows = crate::api::table::APIS.iter().map(|row| {
        let versions = match (row.min_version, row.max_version) {
            (lowest, highest) if lowest == highest => lowest.to_string(),
            (lowest, highest) => format!("{lowest}-{highest}"),
        };
        format!("| {} | {:?} | {versions} |\n", row.key as i16, row.key)
    });
    let table = format!("| key | API | versions |\n|---|---|---|\n{}", rows.collect::<String>());
    let told = readme.split_once("<!-- apis: begin -->\n").and_then(|(_, rest)| rest.split_once("<!-- apis: end -->"));
    assert!(told.is_some_and(|(told, _)| told == table), "put this between README.md's markers of apis:\n{table}");
}
