//! Reads a command line as joptsimple 5 does, without abbreviations, as Kafka 4 sets it up: `--a b`, `--a=b`, `-a b` for long names too, letters in a row,
//! `--` to end the options. Nothing is converted or checked here but that an option exists and that its value is there.

use super::options::{Opt, Parsed, Takes};
use super::{Fault, Tool};

/// Tools that say something before what is wrong with their options.
const PREFIXES: &[(&str, &str)] = &[("kafka-get-offsets", "Error occurred: ")];

/// # Errors
/// joptsimple's sentences.
pub(super) fn parse(tool: &'static Tool, arguments: &[String]) -> Result<Parsed, Fault> {
    let prefix = PREFIXES.iter().find(|(name, _)| *name == tool.name).map_or("", |(_, prefix)| prefix);
    read(tool, arguments).map_err(|fault| Fault::thrown(format!("{prefix}{}", fault.message(""))))
}

fn read(tool: &'static Tool, arguments: &[String]) -> Result<Parsed, Fault> {
    let options = tool.grammar.options();
    let mut parsed = Parsed::new(tool, arguments);
    let mut words = arguments.iter().peekable();
    let mut is_over = false;
    while let Some(word) = words.next() {
        if is_over || word == "-" || !word.starts_with('-') {
            parsed.rest.push(word.clone());
            continue;
        }
        if word == "--" {
            is_over = true;
            continue;
        }
        let body = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or(word);
        let (name, given) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        match (find(&options, name), word.starts_with("--")) {
            (Some(option), _) => put(&mut parsed, option, given, &mut words)?,
            (None, true) => return Err(unknown(name)),
            (None, false) => put_cluster(&mut parsed, &options, body, &mut words)?,
        }
    }
    check_required(&parsed, &options)?;
    Ok(parsed)
}

type Words<'a> = std::iter::Peekable<std::slice::Iter<'a, String>>;

fn find(options: &[Opt], name: &str) -> Option<Opt> {
    options.iter().find(|option| option.names().any(|own| own == name)).copied()
}

fn unknown(name: &str) -> Fault {
    let advice = match name {
        "zookeeper" => {
            "\nThere is no ZooKeeper any more: give a broker's address instead, --bootstrap-server HOST:PORT."
        }
        _ => "",
    };
    Fault::thrown(format!("{name} is not a recognized option{advice}"))
}

fn put(parsed: &mut Parsed, option: Opt, given: Option<String>, words: &mut Words<'_>) -> Result<(), Fault> {
    let value = match (option.takes, given) {
        // A value where none belongs is dropped.
        (Takes::Nothing, _) => None,
        (_, Some(given)) => Some(given),
        (Takes::Value(..) | Takes::Many(..), None) => match words.next() {
            Some(word) => Some(word.clone()),
            None => {
                let mut names: Vec<&str> = option.names().collect();
                names.sort_by_key(|name| (name.chars().count() > 1, *name));
                return Err(Fault::thrown(format!("Option {} requires an argument", names.join("/"))));
            }
        },
        (Takes::Optional(..), None) => words.next_if(|word| word.as_str() == "-" || !word.starts_with('-')).cloned(),
    };
    parsed.values.entry(option.name).or_default().extend(value);
    Ok(())
}

/// Letters in a row; the rest of the word belongs to the first that takes a value.
fn put_cluster(parsed: &mut Parsed, options: &[Opt], letters: &str, words: &mut Words<'_>) -> Result<(), Fault> {
    let mut found = Vec::new();
    for (at, letter) in letters.char_indices() {
        let name = letter.to_string();
        let option = find(options, &name).ok_or_else(|| unknown(&name))?;
        let rest = letters.get(at + letter.len_utf8()..).unwrap_or_default();
        let takes_rest = option.takes != Takes::Nothing && !rest.is_empty();
        found.push((option, takes_rest.then(|| rest.to_owned())));
        if option.takes != Takes::Nothing {
            break;
        }
    }
    found.into_iter().try_for_each(|(option, given)| put(parsed, option, given, words))
}

fn check_required(parsed: &Parsed, options: &[Opt]) -> Result<(), Fault> {
    if parsed.has(super::options::HELP) || parsed.has(super::options::VERSION) {
        return Ok(());
    }
    let missing: Vec<String> = options
        .iter()
        .filter(|option| option.required && !parsed.has(**option))
        .map(|option| option.name.to_owned())
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(Fault::thrown(format!("Missing required option(s) [{}]", missing.join(", ")))),
    }
}
