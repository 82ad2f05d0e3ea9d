use super::options::{Command, Exclusive, Kind, Opt};
use super::*;
use std::io::Write;
use std::sync::{Arc, Mutex};

/// What a tool wrote.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Exit code, standard output, standard error.
pub(super) fn outcome(tool: &'static Tool, arguments: &[&str]) -> (u8, String, String) {
    let (out, err) = (Written::default(), Written::default());
    let mut terminal = Terminal::of(Box::new(out.clone()), Box::new(err.clone()));
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let code = run(tool, &arguments, &mut terminal);
    (code, out.text(), err.text())
}

const TOPIC: Opt = Opt::value("topic", "topic", Kind::Text, "A topic.");
const TIMEOUT: Opt = Opt::value("timeout", "ms", Kind::Long, "A time.").also(&["t"]).preset("5");
const LIST: Opt = Opt::flag("list", "List.").also(&["l"]);
const FROM: Opt = Opt::optional("from", "where", Kind::Text, "From.");

fn show_jopt(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let timeout: Option<i64> = parsed.number(TIMEOUT)?;
    terminal.line(format_args!(
        "{:?} {:?} {} {:?} {:?} {:?}",
        parsed.all(TOPIC),
        timeout,
        parsed.has(LIST),
        parsed.has(FROM),
        parsed.value(FROM)?,
        parsed.rest
    ));
    Ok(0)
}

static JOPT: Tool =
    Tool { name: "kafka-try", about: "Tries.", grammar: Grammar::Jopt(&[TOPIC, TIMEOUT, LIST, FROM]), run: show_jopt };

#[test]
fn options_are_read_in_joptsimple_s_manner() {
    let read = |arguments: &[&str]| outcome(&JOPT, arguments).1.trim_end().to_owned();
    assert_eq!(read(&["--topic", "a", "--topic=b", "-topic", "c"]), r#"["a", "b", "c"] Some(5) false false None []"#);
    assert_eq!(read(&["--topic", "--list"]), r#"["--list"] Some(5) false false None []"#);
    assert_eq!(read(&["--topic=a=b", "-lt7", "x"]), r#"["a=b"] Some(7) true false None ["x"]"#);
    assert_eq!(read(&["--from", "--list"]), r#"[] Some(5) true true None []"#);
    assert_eq!(read(&["--from", "here", "--", "--list"]), r#"[] Some(5) false true Some("here") ["--list"]"#);
    assert_eq!(read(&["--timeout="]), "", "an empty text is no number");
}

#[test]
fn mistakes_are_told_in_joptsimple_s_words() {
    let told = |arguments: &[&str]| {
        let (code, out, err) = outcome(&JOPT, arguments);
        assert_eq!((code, out.as_str()), (1, ""));
        err.lines().next().unwrap_or_default().to_owned()
    };
    assert_eq!(told(&["--nope"]), "nope is not a recognized option");
    assert_eq!(told(&["--top", "a"]), "top is not a recognized option");
    assert_eq!(told(&["--zookeeper", "z:2181"]), "zookeeper is not a recognized option");
    assert!(outcome(&JOPT, &["--zookeeper", "z:2181"]).2.contains("--bootstrap-server HOST:PORT"));
    assert_eq!(told(&["-x"]), "x is not a recognized option");
    assert_eq!(told(&["--topic"]), "Option topic requires an argument");
    assert_eq!(told(&["-t"]), "Option t/timeout requires an argument");
    assert_eq!(told(&["--timeout", "soon"]), "Cannot parse argument 'soon' of option timeout");
    let twice = "Found multiple arguments for option timeout, but you asked for only one";
    assert_eq!(told(&["--timeout", "1", "--timeout", "2"]), twice);
    assert_eq!(told(&[]), "Tries.");
    assert_eq!(told(&["--help"]), "Tries.");
    assert_eq!(outcome(&JOPT, &["--version"]), (0, "4.3.0\n".into(), String::new()));
}

#[test]
fn options_that_do_not_go_together_are_told_in_kafka_s_words() {
    let parsed = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        jopt::parse(&JOPT, &arguments).unwrap()
    };
    let message = |outcome: Result<(), Fault>| outcome.unwrap_err().message("");
    let given = parsed(&["--topic", "a", "-l"]);
    assert_eq!(message(given.check_required(&[TOPIC, TIMEOUT])), "Missing required argument \"[t, timeout]\"");
    assert_eq!(
        message(given.check_invalid(TOPIC, &[FROM, LIST])),
        "Option \"[topic]\" can't be used with option \"[l, list]\""
    );
    let one_of = "Exactly one of the following arguments is required: [topic], [l, list]";
    assert_eq!(message(given.check_one_of(&[TOPIC, LIST])), one_of);
    given.check_one_of(&[TOPIC, FROM]).unwrap();
    given.check_invalid(FROM, &[TOPIC]).unwrap();
}

const SERVER: Opt = Opt::value("server", "SERVER", Kind::Text, "A server.").also(&["s"]);
const CONTROLLER: Opt = Opt::value("controller", "CONTROLLER", Kind::Text, "A controller.").also(&["c"]);
const ID: Opt = Opt::value("id", "ID", Kind::Integer, "An id.").also(&["i"]).required();
const MANY: Opt = Opt::many("many", "MANY", Kind::Text, "Many.");
const ONE: &[Exclusive] = &[Exclusive { required: true, options: &[SERVER, CONTROLLER] }];

fn show_argparse(parsed: &Parsed, terminal: &mut Terminal) -> Result<u8, Fault> {
    let command = parsed.command.map_or("", |command| command.name);
    terminal.line(format_args!("{command} {:?} {:?} {:?}", parsed.value(SERVER)?, parsed.value(ID)?, parsed.all(MANY)));
    Ok(0)
}

static ARGPARSE: Tool = Tool {
    name: "kafka-sub",
    about: "Tries commands.",
    grammar: Grammar::Argparse {
        options: &[],
        exclusive: &[],
        commands: &[
            Command { name: "list", about: "Lists.", options: &[MANY], exclusive: ONE },
            Command { name: "lift", about: "Lifts.", options: &[ID], exclusive: ONE },
        ],
    },
    run: show_argparse,
};

#[test]
fn commands_are_read_in_argparse4j_s_manner() {
    let read = |arguments: &[&str]| outcome(&ARGPARSE, arguments);
    assert_eq!(read(&["list", "--serv", "a", "--many", "x", "y"]).1, "list Some(\"a\") None [\"x\", \"y\"]\n");
    assert_eq!(read(&["lift", "-sa", "--id=-4"]).1, "lift Some(\"a\") Some(\"-4\") []\n");
    let told = |arguments: &[&str]| read(arguments).2.lines().last().unwrap_or_default().to_owned();
    assert_eq!(told(&[]), "kafka-sub: error: too few arguments");
    assert_eq!(told(&["lie"]), "kafka-sub: error: invalid choice: 'lie' (choose from 'list', 'lift')");
    assert_eq!(told(&["li"]), "kafka-sub: error: ambiguous command: li could match lift, list");
    assert_eq!(told(&["list"]), "kafka-sub: error: one of the arguments --server/-s --controller/-c is required");
    let both = "kafka-sub: error: argument --controller/-c: not allowed with argument --server/-s";
    assert_eq!(told(&["list", "-s", "a", "-c", "b"]), both);
    assert_eq!(told(&["lift", "-s", "a"]), "kafka-sub: error: argument --id/-i is required");
    assert_eq!(told(&["lift", "-s"]), "kafka-sub: error: argument --server/-s: expected one argument");
    assert_eq!(told(&["lift", "--nope"]), "kafka-sub: error: unrecognized arguments: '--nope'");
    let number = "kafka-sub: error: argument --id/-i: could not convert 'x' to Integer (For input string: \"x\")";
    assert_eq!(told(&["lift", "--id", "x"]), number);
    assert_eq!(read(&["lift"]).0, 1);
}

#[test]
fn every_tool_has_a_sound_table() {
    for tool in TOOLS {
        let mut levels = vec![tool.grammar.options()];
        levels.extend(tool.grammar.commands().iter().map(Command::all_options));
        for options in levels {
            let names: Vec<&str> = options.iter().flat_map(Opt::names).collect();
            for name in &names {
                assert_eq!(names.iter().filter(|other| other == &name).count(), 1, "{} has {name} twice", tool.name);
            }
            for option in options {
                assert!(option.help.ends_with('.'), "{}: the help of {} is no sentence", tool.name, option.name);
            }
        }
        let named = tool.name.starts_with("kafka-") || tool.name.starts_with("zookeeper-");
        assert!(tool.about.ends_with('.') && named, "{}", tool.name);
        for text in [help::text(tool, None), man::page(tool)] {
            let first = tool.grammar.options().first().map_or("", |option| option.name.split('-').next().unwrap());
            assert!(text.lines().count() >= 3 && text.contains(first), "{}: {text}", tool.name);
        }
    }
    for shell in completions::SHELLS {
        let script = completions::script(shell, &["serve"]).unwrap();
        assert!(TOOLS.iter().all(|tool| script.contains(tool.name)), "{shell}");
    }
    assert!(completions::script("tcsh", &[]).is_none());
}

#[test]
fn tools_are_called_by_many_names() {
    let called = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        called(&words).map(|(tool, rest)| (tool.name, rest))
    };
    let list = || Some(("kafka-topics", vec!["--list".to_owned()]));
    assert_eq!(called(&["/opt/kafka/bin/kafka-topics.sh", "--list"]), list());
    assert_eq!(called(&["kafka-topics", "--list"]), list());
    assert_eq!(called(&["ottla", "topics", "--list"]), list());
    assert_eq!(called(&["ottla", "kafka-topics", "--list"]), list());
    assert_eq!(called(&["ottla", "kafka-topics.sh", "--list"]), list());
    assert_eq!(called(&["ottla", "serve"]), None);
    assert_eq!(called(&["ottla"]), None);
    assert_eq!(called(&["topics", "--list"]), None, "only Kafka's own names are looked for in the program's");
}

/// Runs a tool's command lines on a broker of their own, and gives the JSON that each wrote.
async fn documents(lines: &'static [&'static [&'static str]]) -> Vec<serde_json::Value> {
    let broker = crate::EmbeddedBroker::start().await.unwrap();
    let bootstrap = broker.bootstrap().to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let mut documents = Vec::new();
        for line in lines {
            let (name, arguments) = line.split_first().unwrap();
            let mut arguments = arguments.to_vec();
            arguments.extend(["--bootstrap-server", &bootstrap]);
            let (code, out, err) = outcome(find(name).unwrap(), &arguments);
            assert_eq!((code, err.as_str()), (0, ""), "{line:?}: {out}");
            documents.push(serde_json::from_str(&out).unwrap_or(serde_json::Value::Null));
        }
        documents
    });
    let documents = ran.await.unwrap();
    broker.stop().await;
    documents
}

#[tokio::test]
async fn json_says_what_the_lines_say() {
    let told = documents(&[
        &["topics", "--create", "--topic", "letters", "--partitions", "2", "--config", "retention.ms=5000"],
        &["topics", "--list", "--output", "json"],
        &["topics", "--describe", "--output=json"],
        &["topics", "--describe", "--under-replicated-partitions", "--output=json"],
        &["configs", "--describe", "--topic", "letters", "--output", "json"],
        &["broker-api-versions", "--output", "json"],
        &["cluster", "list-endpoints", "--output", "json"],
    ])
    .await;
    let [_, list, topics, none, configs, versions, endpoints] = told.as_slice() else { panic!("{told:?}") };
    assert_eq!(list.to_string(), r#"["letters"]"#);
    assert_eq!(topics[0]["topic"], "letters");
    assert_eq!(topics[0]["configs"]["retention.ms"], "5000");
    assert_eq!(topics[0]["partitions"].as_array().unwrap().len(), 2);
    assert_eq!(topics[0]["partitions"][1]["partition"], 1);
    assert_eq!(none[0]["partitions"].as_array().unwrap().len(), 0);
    assert_eq!(configs[0]["entityName"], "letters");
    assert_eq!(configs[0]["configs"][0]["name"], "retention.ms");
    assert!(versions[0]["apis"].as_array().unwrap().iter().any(|api| api["name"] == "Produce"));
    assert_eq!(endpoints[0]["endpointType"], "broker");
}

#[test]
fn the_older_name_of_the_servers_is_taken_and_not_shown() {
    for tool in ["kafka-console-producer", "kafka-get-offsets"] {
        let tool = find(tool).unwrap();
        let (code, _, err) = outcome(tool, &["--topic", "t", "--broker-list", "nowhere"]);
        assert_eq!((code, err.lines().next()), (1, Some("Please provide valid host:port like host1:9091,host2:9092")));
        let (_, _, help) = outcome(tool, &["--help"]);
        assert!(help.contains("--bootstrap-server") && !help.contains("--broker-list"), "{help}");
    }
}

#[test]
fn what_keeps_a_tool_from_its_broker_is_an_error() {
    let topics = find("topics").unwrap();
    let (code, out, err) = outcome(topics, &["--list", "--bootstrap-server", "nowhere"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "Failed to create new KafkaAdminClient\nInvalid url in bootstrap.servers: nowhere\n");
    let (code, _, err) = outcome(topics, &["--list", "--bootstrap-server", "a:1", "--output", "xml"]);
    assert_eq!(code, 1, "{err}");
}
