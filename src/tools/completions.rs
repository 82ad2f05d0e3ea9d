//! Completions for shells, from the tools' tables: for `ottla TOOL ...` and for every tool under Kafka's name.

use std::fmt::Write;

use super::options::{Command, Kind, Opt};
use super::{TOOLS, Tool};

/// The shells that there are completions for.
pub const SHELLS: &[&str] = &["bash", "zsh", "fish"];

/// The script for a shell; `None` for one that is not in [`SHELLS`]. `own` are Ottla's commands beside the tools.
pub fn script(shell: &str, own: &[&str]) -> Option<String> {
    match shell {
        "bash" => Some(bash(own)),
        "zsh" => Some(format!("#compdef ottla\nautoload -U +X bashcompinit && bashcompinit\n{}", bash(own))),
        "fish" => Some(fish(own)),
        _ => None,
    }
}

/// `ottla topics` is `kafka-topics`.
fn short(tool: &Tool) -> &'static str {
    tool.name.strip_prefix("kafka-").unwrap_or(tool.name)
}

fn flags(options: &[Opt]) -> String {
    let shown = options.iter().filter(|option| !option.hidden);
    shown.flat_map(Opt::names).map(Opt::dashed).collect::<Vec<_>>().join(" ")
}

fn every_option(tool: &Tool) -> Vec<Opt> {
    let commands = tool.grammar.commands().iter().flat_map(Command::all_options);
    tool.grammar.options().into_iter().chain(commands).collect()
}

fn bash(own: &[&str]) -> String {
    let mut script = String::from("# Completions of ottla and of Kafka's tools.\n_ottla_tool() {\n  case \"$1\" in\n");
    for tool in TOOLS {
        let commands: Vec<&str> = tool.grammar.commands().iter().map(|command| command.name).collect();
        let words = format!("{} {}", commands.join(" "), flags(&every_option(tool)));
        let _ = writeln!(script, "    {}) words=\"{}\" ;;", tool.name, words.trim());
    }
    script.push_str("  esac\n  case \"$1 $2\" in\n");
    for tool in TOOLS {
        for option in every_option(tool) {
            if let Some((_, Kind::Choice(choices))) = option.argument() {
                let names: Vec<String> =
                    option.names().map(|name| format!("\"{} {}\"", tool.name, Opt::dashed(name))).collect();
                let _ = writeln!(script, "    {}) words=\"{}\" ;;", names.join("|"), choices.join(" "));
            }
        }
    }
    let all: Vec<&str> = own.iter().copied().chain(TOOLS.iter().map(|tool| short(tool))).collect();
    let names: Vec<&str> = TOOLS.iter().map(|tool| tool.name).collect();
    let links: Vec<String> = names.iter().map(|name| format!("{name} {name}.sh")).collect();
    let _ = write!(
        script,
        "  esac
}}
_ottla() {{
  local words=\"\" tool=\"${{COMP_WORDS[0]##*/}}\" current=\"${{COMP_WORDS[COMP_CWORD]}}\" before=\"${{COMP_WORDS[COMP_CWORD-1]}}\"
  tool=\"${{tool%.sh}}\"
  if [ \"$tool\" = ottla ]; then
    if [ \"$COMP_CWORD\" -eq 1 ]; then
      COMPREPLY=($(compgen -W \"{}\" -- \"$current\"))
      return
    fi
    tool=\"kafka-${{COMP_WORDS[1]#kafka-}}\"
  fi
  _ottla_tool \"$tool\" \"$before\"
  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))
}}
complete -o default -F _ottla ottla {}
",
        all.join(" "),
        links.join(" ")
    );
    script
}

fn fish(own: &[&str]) -> String {
    let mut script = String::from("# Completions of ottla and of Kafka's tools.\n");
    for name in own {
        let _ = writeln!(script, "complete -c ottla -n __fish_use_subcommand -f -a {name}");
    }
    for tool in TOOLS {
        let about = quoted(tool.about);
        let _ = writeln!(script, "complete -c ottla -n __fish_use_subcommand -f -a {} -d {about}", short(tool));
        let conditions = [
            format!("-c ottla -n '__fish_seen_subcommand_from {} {}'", short(tool), tool.name),
            format!("-c {}", tool.name),
            format!("-c {}.sh", tool.name),
        ];
        for condition in &conditions {
            for command in tool.grammar.commands() {
                let _ = writeln!(script, "complete {condition} -f -a {} -d {}", command.name, quoted(command.about));
            }
            for option in every_option(tool).iter().filter(|option| !option.hidden) {
                let names: Vec<String> = option
                    .names()
                    .map(|name| if name.len() == 1 { format!("-s {name}") } else { format!("-l {name}") })
                    .collect();
                let value = match option.argument() {
                    None => String::new(),
                    Some((_, Kind::File)) => " -r -F".to_owned(),
                    Some((_, Kind::Choice(choices))) => format!(" -x -a {}", quoted(&choices.join(" "))),
                    Some(_) => " -x".to_owned(),
                };
                let _ = writeln!(script, "complete {condition} {}{value} -d {}", names.join(" "), quoted(option.help));
            }
        }
    }
    script
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
