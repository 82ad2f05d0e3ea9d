//! Reads a command line as argparse4j 0.7 does: options and commands may be abbreviated when that is unambiguous, options of a command follow it, and mistakes
//! are told below one line of usage.

use super::options::{Command, Exclusive, Grammar, Kind, Opt, Parsed, Takes};
use super::{Fault, Tool, help};

/// # Errors
/// [`Fault::Argparse`] with argparse4j's sentence; [`Fault::Help`] as soon as help is asked for.
pub(super) fn parse(tool: &'static Tool, arguments: &[String]) -> Result<Parsed, Fault> {
    let mut parsed = Parsed::new(tool, arguments);
    let Grammar::Argparse { exclusive, commands, .. } = tool.grammar else { return Ok(parsed) };
    let options = tool.grammar.options();
    let mut words = Words { all: arguments, at: 0 };
    Level { tool, command: None, options: &options, exclusive }.read(&mut parsed, &mut words, !commands.is_empty())?;
    if commands.is_empty() {
        return Ok(parsed);
    }
    let Some(word) = words.next() else { return Err(wrong(tool, None, "too few arguments".into())) };
    let command = find_command(tool, commands, word)?;
    parsed.command = Some(command);
    let options = command.all_options();
    let level = Level { tool, command: Some(command), options: &options, exclusive: command.exclusive };
    level.read(&mut parsed, &mut words, false)?;
    Ok(parsed)
}

struct Words<'a> {
    all: &'a [String],
    at: usize,
}

impl<'a> Words<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.all.get(self.at).map(String::as_str)
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek();
        self.at += 1;
        word
    }

    /// The next word when it is no option; a negative number is none.
    fn next_value(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        if word.starts_with('-') && word.parse::<f64>().is_err() {
            return None;
        }
        self.next()
    }
}

/// Tools that tell a mistake in one line, without usage and without a line's end.
const TERSE: &[&str] = &["kafka-features"];

/// Tools that count being asked for help as a failure.
const FAILING_HELP: &[&str] = &["kafka-cluster"];

/// The exit code after help was shown.
pub(super) fn help_code(tool: &Tool) -> u8 {
    u8::from(FAILING_HELP.contains(&tool.name))
}

fn wrong(tool: &'static Tool, command: Option<&'static Command>, message: String) -> Fault {
    if TERSE.contains(&tool.name) {
        return Fault::Terse(format!("Command line error: {message}. Type --help for help."));
    }
    Fault::Argparse { usage: help::usage(tool, command), prog: help::prog(tool, command), message }
}

fn find_command(tool: &'static Tool, commands: &'static [Command], word: &str) -> Result<&'static Command, Fault> {
    let candidates: Vec<&Command> = match commands.iter().find(|command| command.name == word) {
        Some(exact) => vec![exact],
        None if word.is_empty() => Vec::new(),
        None => commands.iter().filter(|command| command.name.starts_with(word)).collect(),
    };
    match candidates.as_slice() {
        [one] => Ok(one),
        [] => {
            let names: Vec<String> = commands.iter().map(|command| format!("'{}'", command.name)).collect();
            Err(wrong(tool, None, format!("invalid choice: '{word}' (choose from {})", names.join(", "))))
        }
        many => {
            let mut names: Vec<&str> = many.iter().map(|command| command.name).collect();
            names.sort_unstable();
            Err(wrong(tool, None, format!("ambiguous command: {word} could match {}", names.join(", "))))
        }
    }
}

/// The tool itself, or one of its commands.
struct Level<'a> {
    tool: &'static Tool,
    command: Option<&'static Command>,
    options: &'a [Opt],
    exclusive: &'static [Exclusive],
}

impl Level<'_> {
    fn wrong(&self, message: String) -> Fault {
        wrong(self.tool, self.command, message)
    }

    /// Reads options up to the end, or up to the first other word where a command may follow.
    fn read(&self, parsed: &mut Parsed, words: &mut Words<'_>, has_commands: bool) -> Result<(), Fault> {
        while let Some(word) = words.peek() {
            if !word.starts_with('-') || word == "-" {
                if has_commands {
                    break;
                }
                let rest = words.all.get(words.at..).unwrap_or_default().join(" ");
                return Err(self.wrong(format!("unrecognized arguments: '{rest}'")));
            }
            words.next();
            let (flag, given) = match word.split_once('=') {
                Some((flag, value)) => (flag, Some(value)),
                None => (word, None),
            };
            let (option, given) = self.find(word, flag, given)?;
            if option.name == "help" {
                return Err(Fault::Help { command: self.command });
            }
            self.check_exclusive(parsed, option)?;
            self.put(parsed, words, option, given)?;
        }
        self.check_required(parsed)
    }

    /// By name, by an unambiguous beginning, or as a letter with its value behind it.
    fn find<'w>(&self, word: &str, flag: &'w str, given: Option<&'w str>) -> Result<(Opt, Option<&'w str>), Fault> {
        let named = |option: &Opt, is: &dyn Fn(&str) -> bool| option.names().any(|name| is(&Opt::dashed(name)));
        if let Some(exact) = self.options.iter().find(|option| named(option, &|name| name == flag)) {
            return Ok((*exact, given));
        }
        let mut flags: Vec<(String, Opt)> = Vec::new();
        for option in self.options {
            flags.extend(
                option.names().map(Opt::dashed).filter(|name| name.starts_with(flag)).map(|name| (name, *option)),
            );
        }
        match flags.as_slice() {
            [(_, one)] => return Ok((*one, given)),
            [] => {}
            _ => {
                let mut names: Vec<&str> = flags.iter().map(|(name, _)| name.as_str()).collect();
                names.sort_unstable();
                return Err(self.wrong(format!("ambiguous option: {flag} could match {}", names.join(", "))));
            }
        }
        let letter = flag.strip_prefix('-').filter(|rest| !rest.starts_with('-')).and_then(|rest| rest.chars().next());
        let short = letter.and_then(|letter| {
            let name = letter.to_string();
            let option = self.options.iter().find(|option| option.names().any(|own| own == name))?;
            let value = flag.get(1 + letter.len_utf8()..).filter(|rest| !rest.is_empty());
            (option.takes != Takes::Nothing).then_some((*option, value))
        });
        short.ok_or_else(|| self.wrong(format!("unrecognized arguments: '{word}'")))
    }

    fn check_exclusive(&self, parsed: &Parsed, option: Opt) -> Result<(), Fault> {
        let Some(group) = self.exclusive.iter().find(|group| group.options.iter().any(|own| own.name == option.name))
        else {
            return Ok(());
        };
        match group.options.iter().find(|other| other.name != option.name && parsed.has(**other)) {
            Some(other) => {
                Err(self.wrong(format!("argument {}: not allowed with argument {}", textual(option), textual(*other))))
            }
            None => Ok(()),
        }
    }

    fn put(&self, parsed: &mut Parsed, words: &mut Words<'_>, option: Opt, given: Option<&str>) -> Result<(), Fault> {
        let mut values = Vec::new();
        match (option.takes, given) {
            (Takes::Nothing, None) => {}
            (Takes::Nothing, Some(value)) => {
                return Err(self.wrong(format!("argument {}: ignore implicit argument '{value}'", textual(option))));
            }
            (_, Some(value)) => values.push(value.to_owned()),
            (Takes::Value(..), None) => match words.next_value() {
                Some(value) => values.push(value.to_owned()),
                None => return Err(self.wrong(format!("argument {}: expected one argument", textual(option)))),
            },
            (Takes::Optional(..), None) => values.extend(words.next_value().map(str::to_owned)),
            (Takes::Many(..), None) => {
                while let Some(value) = words.next_value() {
                    values.push(value.to_owned());
                }
                if values.is_empty() {
                    return Err(self.wrong(format!("argument {}: expected 1 argument(s)", textual(option))));
                }
            }
        }
        for value in &values {
            self.check_kind(option, value)?;
        }
        // The last one wins, but for options that are meant to be given many times, whose tool asks for all.
        parsed.values.entry(option.name).or_default().extend(values);
        Ok(())
    }

    fn check_kind(&self, option: Opt, value: &str) -> Result<(), Fault> {
        let (is_good, type_name) = match option.argument() {
            Some((_, Kind::Integer)) => (value.parse::<i32>().is_ok(), "Integer"),
            Some((_, Kind::Long)) => (value.parse::<i64>().is_ok(), "Long"),
            Some((_, Kind::Decimal)) => (value.parse::<f64>().is_ok(), "Double"),
            _ => (true, ""),
        };
        if is_good {
            return Ok(());
        }
        let java = format!("For input string: \"{value}\"");
        Err(self.wrong(format!("argument {}: could not convert '{value}' to {type_name} ({java})", textual(option))))
    }

    fn check_required(&self, parsed: &Parsed) -> Result<(), Fault> {
        // argparse4j tells of the last one.
        if let Some(missing) = self.options.iter().rev().find(|option| option.required && !parsed.has(**option)) {
            return Err(self.wrong(format!("argument {} is required", textual(*missing))));
        }
        for group in self.exclusive.iter().filter(|group| group.required) {
            if !group.options.iter().any(|option| parsed.has(*option)) {
                let names: Vec<String> = group.options.iter().map(|option| textual(*option)).collect();
                return Err(self.wrong(format!("one of the arguments {} is required", names.join(" "))));
            }
        }
        Ok(())
    }
}

/// As argparse4j names options in messages.
fn textual(option: Opt) -> String {
    option.names().map(Opt::dashed).collect::<Vec<_>>().join("/")
}
