//! A tool's command line as a table: options, commands, who excludes whom. Parsing, help, completions and man pages all follow from it.
//!
//! Two manners, because Kafka's tools have two parsers: that of joptsimple (`jopt.rs`) and that of argparse4j (`argparse.rs`). What they share is here: the
//! table's types, and what was parsed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::{Fault, Tool};

/// What an option's value is, for checks, help and completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Long,
    Decimal,
    /// A file's path.
    File,
    /// One of these; whether others are refused is up to the tool.
    Choice(&'static [&'static str]),
}

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// A value; with what stands for it in the help.
    Value(&'static str, Kind),
    /// A value or none: joptsimple's `withOptionalArg`.
    Optional(&'static str, Kind),
    /// One value or more, up to the next option: argparse4j's `nargs("+")`.
    Many(&'static str, Kind),
}

/// One option.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Without dashes; also its key in [`Parsed`].
    pub name: &'static str,
    /// Other names, without dashes; one letter is a short option.
    pub aliases: &'static [&'static str],
    pub takes: Takes,
    pub default: Option<&'static str>,
    /// Refused when it is missing, by the parser itself.
    pub required: bool,
    /// Not shown: Kafka has it no more, but scripts still give it.
    pub hidden: bool,
    /// Ottla's own: Kafka's tool does not have it.
    pub own: bool,
    pub help: &'static str,
}

impl Opt {
    /// An option without a value.
    pub const fn flag(name: &'static str, help: &'static str) -> Self {
        let takes = Takes::Nothing;
        Self { name, aliases: &[], takes, default: None, required: false, hidden: false, own: false, help }
    }

    /// An option with a value; `stands` is shown in its place.
    pub const fn value(name: &'static str, stands: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { takes: Takes::Value(stands, kind), ..Self::flag(name, help) }
    }

    /// An option whose value may be left out.
    pub const fn optional(name: &'static str, stands: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { takes: Takes::Optional(stands, kind), ..Self::flag(name, help) }
    }

    /// An option with one value or more.
    pub const fn many(name: &'static str, stands: &'static str, kind: Kind, help: &'static str) -> Self {
        Self { takes: Takes::Many(stands, kind), ..Self::flag(name, help) }
    }

    #[must_use]
    pub const fn also(self, aliases: &'static [&'static str]) -> Self {
        Self { aliases, ..self }
    }

    #[must_use]
    pub const fn preset(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    #[must_use]
    pub const fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    #[must_use]
    pub const fn own(self) -> Self {
        Self { own: true, ..self }
    }

    /// All names, the longest-known first.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// With its dashes.
    pub fn dashed(name: &str) -> String {
        match name.chars().count() {
            1 => format!("-{name}"),
            _ => format!("--{name}"),
        }
    }

    /// What stands for its value, and the value's kind.
    pub fn argument(&self) -> Option<(&'static str, Kind)> {
        match self.takes {
            Takes::Nothing => None,
            Takes::Value(stands, kind) | Takes::Optional(stands, kind) | Takes::Many(stands, kind) => {
                Some((stands, kind))
            }
        }
    }
}

/// As joptsimple names options in messages.
impl fmt::Display for Opt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_by_key(|name| (name.chars().count() > 1, *name));
        write!(f, "[{}]", names.join(", "))
    }
}

/// A group of options of which at most one may be given, or exactly one.
#[derive(Clone, Copy, Debug)]
pub struct Exclusive {
    pub required: bool,
    pub options: &'static [Opt],
}

/// A command of a tool: `cluster-id` in `kafka-cluster cluster-id`.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    pub name: &'static str,
    pub about: &'static str,
    pub options: &'static [Opt],
    pub exclusive: &'static [Exclusive],
}

/// How a tool's command line is read.
#[derive(Clone, Copy, Debug)]
pub enum Grammar {
    /// joptsimple's manner: options in any order; other words are kept and mostly ignored. `help` and `version` are added.
    Jopt(&'static [Opt]),
    /// argparse4j's manner. `options` and `exclusive` come before the command, where the tool has commands. `help` is added.
    Argparse { options: &'static [Opt], exclusive: &'static [Exclusive], commands: &'static [Command] },
}

/// Added to every tool of joptsimple's manner.
pub const HELP: Opt = Opt::flag("help", "Print this and end.");
/// Added to every tool of joptsimple's manner.
pub const VERSION: Opt = Opt::flag("version", "Print the version of Apache Kafka that this tool stands for, and end.");
/// Added to every tool of argparse4j's manner.
pub const ARGPARSE_HELP: Opt = Opt::flag("help", "Print this and end.").also(&["h"]);

impl Grammar {
    /// Every option that may stand where no command has been named.
    pub fn options(&self) -> Vec<Opt> {
        match self {
            Self::Jopt(options) => options.iter().copied().chain([HELP, VERSION]).collect(),
            Self::Argparse { options, exclusive, .. } => {
                let grouped = exclusive.iter().flat_map(|group| group.options.iter().copied());
                std::iter::once(ARGPARSE_HELP).chain(grouped).chain(options.iter().copied()).collect()
            }
        }
    }

    pub fn commands(&self) -> &'static [Command] {
        match self {
            Self::Jopt(_) => &[],
            Self::Argparse { commands, .. } => commands,
        }
    }
}

impl Command {
    /// The command's own options, help included.
    pub fn all_options(&self) -> Vec<Opt> {
        let grouped = self.exclusive.iter().flat_map(|group| group.options.iter().copied());
        std::iter::once(ARGPARSE_HELP).chain(grouped).chain(self.options.iter().copied()).collect()
    }
}

/// What was on a command line.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub tool: &'static Tool,
    pub command: Option<&'static Command>,
    pub(super) values: BTreeMap<&'static str, Vec<String>>,
    /// Words that are no options.
    pub rest: Vec<String>,
    /// All words, as they were given.
    pub arguments: Vec<String>,
}

impl Parsed {
    pub(super) fn new(tool: &'static Tool, arguments: &[String]) -> Self {
        Self { tool, command: None, values: BTreeMap::new(), rest: Vec::new(), arguments: arguments.to_vec() }
    }

    /// Whether the option was given.
    pub fn has(&self, option: Opt) -> bool {
        self.values.contains_key(option.name)
    }

    /// Its value, or its default.
    ///
    /// # Errors
    /// joptsimple's sentence when it was given more than once.
    pub fn value(&self, option: Opt) -> Result<Option<&str>, Fault> {
        match self.values.get(option.name).map(Vec::as_slice) {
            None | Some([]) => Ok(option.default),
            Some([one]) => Ok(Some(one)),
            Some(many) if matches!(self.tool.grammar, Grammar::Argparse { .. }) => Ok(many.last().map(String::as_str)),
            Some(_) => {
                let name = option.name;
                Err(Fault::thrown(format!("Found multiple arguments for option {name}, but you asked for only one")))
            }
        }
    }

    /// All its values, in the order given; the default when there is none.
    pub fn all(&self, option: Opt) -> Vec<&str> {
        match self.values.get(option.name) {
            Some(values) => values.iter().map(String::as_str).collect(),
            None => option.default.into_iter().collect(),
        }
    }

    /// Its value as a number.
    ///
    /// # Errors
    /// As [`Self::value`], and joptsimple's sentence for what is no number.
    pub fn number<N: FromStr>(&self, option: Opt) -> Result<Option<N>, Fault> {
        let Some(text) = self.value(option)? else { return Ok(None) };
        // Java takes a sign, and so does Rust.
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Fault::thrown(format!("Cannot parse argument '{text}' of option {}", option.name))),
        }
    }

    /// As `CommandLineUtils.checkRequiredArgs`.
    ///
    /// # Errors
    /// The first that is missing.
    pub fn check_required(&self, required: &[Opt]) -> Result<(), Fault> {
        match required.iter().find(|option| !self.has(**option)) {
            Some(missing) => Err(Fault::usage(format!("Missing required argument \"{missing}\""))),
            None => Ok(()),
        }
    }

    /// As `CommandLineUtils.checkInvalidArgs`.
    ///
    /// # Errors
    /// The first of `invalid` that was given together with `used`.
    pub fn check_invalid(&self, used: Opt, invalid: &[Opt]) -> Result<(), Fault> {
        match invalid.iter().find(|option| self.has(used) && self.has(**option)) {
            Some(other) => Err(Fault::usage(format!("Option \"{used}\" can't be used with option \"{other}\""))),
            None => Ok(()),
        }
    }

    /// As `CommandLineUtils.checkOneOfArgs`.
    ///
    /// # Errors
    /// Unless exactly one of them was given.
    pub fn check_one_of(&self, options: &[Opt]) -> Result<(), Fault> {
        if options.iter().filter(|option| self.has(**option)).count() == 1 {
            return Ok(());
        }
        let names: Vec<String> = options.iter().map(Opt::to_string).collect();
        Err(Fault::usage(format!("Exactly one of the following arguments is required: {}", names.join(", "))))
    }
}
