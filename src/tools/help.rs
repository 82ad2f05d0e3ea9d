//! Help texts, from a tool's table: joptsimple's two columns, argparse4j's usage line.

use std::fmt::Write;

use super::Tool;
use super::options::{Command, Exclusive, Grammar, Kind, Opt};

/// Columns of a line.
const WIDTH: usize = 80;

/// What `--help` shows below the tool's sentence.
pub fn text(tool: &'static Tool, command: Option<&'static Command>) -> String {
    match tool.grammar {
        Grammar::Jopt(_) => two_columns(&tool.grammar.options()),
        Grammar::Argparse { commands, .. } => {
            let mut text = usage(tool, command);
            let _ = writeln!(text, "\n{}", wrap(command.map_or(tool.about, |command| command.about), WIDTH).join("\n"));
            if command.is_none() && !commands.is_empty() {
                text.push_str("\ncommands:\n");
                commands.iter().for_each(|command| entry(&mut text, command.name, command.about));
            }
            text.push_str("\noptions:\n");
            let options = command.map_or_else(|| tool.grammar.options(), Command::all_options);
            for option in options.iter().filter(|option| !option.hidden) {
                entry(&mut text, &synopsis(option), &told(option));
            }
            text
        }
    }
}

fn entry(text: &mut String, left: &str, right: &str) {
    let lines = wrap(right, WIDTH - 25);
    let mut lines = lines.iter();
    let beside = if left.len() <= 21 { lines.next().map_or("", String::as_str) } else { "" };
    let _ = writeln!(text, "{}", format!("  {left:<22} {beside}").trim_end());
    for line in lines {
        let _ = writeln!(text, "{:25}{line}", "");
    }
}

/// Names and what stands for the value: `-b, --bootstrap-server SERVERS`.
fn synopsis(option: &Opt) -> String {
    let names: Vec<String> = option.names().map(Opt::dashed).collect();
    let value = option.argument().map(|(stands, _)| format!(" {stands}")).unwrap_or_default();
    format!("{}{value}", names.join(", "))
}

/// The help, with the preset and the choices.
pub(super) fn told(option: &Opt) -> String {
    let mut text = option.help.to_owned();
    if let Some((_, Kind::Choice(choices))) = option.argument() {
        let _ = write!(text, " One of: {}.", choices.join(", "));
    }
    if let Some(default) = option.default {
        let _ = write!(text, " (default: {default})");
    }
    if option.own {
        text.push_str(" (Ottla's own)");
    }
    text
}

fn two_columns(options: &[Opt]) -> String {
    let mut rows: Vec<(String, String)> = options
        .iter()
        .filter(|option| !option.hidden)
        .map(|option| {
            let names: Vec<String> = option.names().map(Opt::dashed).collect();
            let value = option.argument().map(|(stands, kind)| format!(" <{}{stands}>", kind_name(kind)));
            (format!("{}{}", names.join(", "), value.unwrap_or_default()), told(option))
        })
        .collect();
    rows.sort();
    let left = rows.iter().map(|(left, _)| left.len()).max().unwrap_or(0).min(WIDTH / 2);
    let mut text = format!("{:left$}  Description\n{:left$}  -----------\n", "Option", "------");
    for (name, help) in &rows {
        let (names, helps) = (wrap(name, left), wrap(help, WIDTH - left - 2));
        for at in 0..names.len().max(helps.len()) {
            let part = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
            let line = format!("{:left$}  {}", part(&names), part(&helps));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Choice(_) | Kind::File => "String: ",
        Kind::Integer => "Integer: ",
        Kind::Long => "Long: ",
        Kind::Decimal => "Double: ",
    }
}

/// Breaks at blanks; a word that is longer than the width stands alone.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The tool's name, with its command.
pub(super) fn prog(tool: &'static Tool, _command: Option<&'static Command>) -> String {
    tool.name.to_owned()
}

/// argparse4j's line of usage, wrapped.
pub(super) fn usage(tool: &'static Tool, command: Option<&'static Command>) -> String {
    let mut parts = Vec::new();
    let (options, exclusive): (&[Opt], &[Exclusive]) = match (command, &tool.grammar) {
        (Some(command), _) => (command.options, command.exclusive),
        (None, Grammar::Argparse { options, exclusive, .. }) => (options, exclusive),
        (None, Grammar::Jopt(options)) => (options, &[]),
    };
    if let (Some(command), Grammar::Argparse { options, exclusive, .. }) = (command, &tool.grammar) {
        parts.extend(options.iter().filter(|option| option.required).map(short));
        parts.extend(exclusive.iter().filter(|group| group.required).map(short_group));
        parts.push(command.name.to_owned());
    }
    parts.push("[-h]".to_owned());
    parts.extend(options.iter().filter(|option| !option.hidden).map(|option| match option.required {
        true => short(option),
        false => format!("[{}]", short(option)),
    }));
    parts.extend(exclusive.iter().map(short_group));
    if let (None, commands @ [_, ..]) = (command, tool.grammar.commands()) {
        let names: Vec<&str> = commands.iter().map(|command| command.name).collect();
        parts.push(format!("{{{}}}", names.join(",")));
        parts.push("...".to_owned());
    }
    let start = format!("usage: {}", tool.name);
    let mut text = start.clone();
    let mut width = start.len();
    for part in &parts {
        if width + 1 + part.len() > WIDTH - 5 {
            let _ = write!(text, "\n{:1$}", "", start.len());
            width = start.len();
        }
        let _ = write!(text, " {part}");
        width += 1 + part.len();
    }
    text.push('\n');
    text
}

fn short(option: &Opt) -> String {
    let value = option.argument().map(|_| format!(" {}", option.name.replace('-', "_").to_uppercase()));
    format!("{}{}", Opt::dashed(option.name), value.unwrap_or_default())
}

fn short_group(group: &Exclusive) -> String {
    let all: Vec<String> = group.options.iter().map(short).collect();
    match group.required {
        true => format!("({})", all.join(" | ")),
        false => format!("[{}]", all.join(" | ")),
    }
}
