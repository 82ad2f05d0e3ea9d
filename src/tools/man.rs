//! Man pages, from the tools' tables.

use std::fmt::Write;

use super::help::told;
use super::options::{Command, Opt};
use super::{KAFKA_VERSION, Tool};

/// A tool's page, in man's own format (section 1).
pub fn page(tool: &Tool) -> String {
    let mut page =
        format!(".TH {} 1 \"\" \"Ottla {}\" \"Ottla\"\n", tool.name.to_uppercase(), env!("CARGO_PKG_VERSION"));
    let _ = writeln!(page, ".SH NAME\n{} \\- {}", escaped(tool.name), escaped(tool.about));
    let has_commands = !tool.grammar.commands().is_empty();
    let middle = if has_commands { " \\fICOMMAND\\fR" } else { "" };
    let _ = writeln!(page, ".SH SYNOPSIS\n\\fB{}\\fR{middle} [\\fIOPTION\\fR]...", escaped(tool.name));
    let short = tool.name.strip_prefix("kafka-").unwrap_or(tool.name);
    let _ = writeln!(page, ".br\n\\fBottla {}\\fR{middle} [\\fIOPTION\\fR]...", escaped(short));
    let _ = writeln!(
        page,
        ".SH DESCRIPTION\nOptions, output, exit codes and error texts are those of Apache Kafka {KAFKA_VERSION}'s tool of the same name."
    );
    for command in tool.grammar.commands() {
        let _ = writeln!(page, ".SH COMMAND {}\n{}", escaped(&command.name.to_uppercase()), escaped(command.about));
        options(&mut page, &Command::all_options(command));
    }
    page.push_str(".SH OPTIONS\n");
    options(&mut page, &tool.grammar.options());
    page.push_str(".SH EXIT STATUS\n0 when all went well, 1 when it did not.\n");
    page
}

fn options(page: &mut String, options: &[Opt]) {
    for option in options.iter().filter(|option| !option.hidden) {
        let names: Vec<String> =
            option.names().map(|name| format!("\\fB{}\\fR", escaped(&Opt::dashed(name)))).collect();
        let value = option.argument().map(|(stands, _)| format!(" \\fI{}\\fR", escaped(stands))).unwrap_or_default();
        let _ = writeln!(page, ".TP\n{}{value}\n{}", names.join(", "), escaped(&told(option)));
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    match text.starts_with(['.', '\'']) {
        true => format!("\\&{text}"),
        false => text,
    }
}
