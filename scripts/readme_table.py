#!/usr/bin/env python3
"""Writes the README's tables of clients, of differences and of measurements, each between its markers, so that none is kept by hand.

    scripts/test.sh | tee run.txt; scripts/readme_table.py clients run.txt    from a run's output; clients that it has no line for keep theirs
    scripts/readme_table.py differences                                       from compat-tests/oracle/permitted.toml
    scripts/readme_table.py bench FILE.json                                   from the results of a run of scripts/bench.sh
    scripts/readme_table.py ... --check                                       changes nothing; fails when the README says something else

The table of APIs is held to src/api/table.rs by a Rust test (src/tidy.rs).
"""

import argparse
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
COMPAT = ROOT / "compat-tests"
NOT_RUN = "not run yet"


def pinned(file, pattern):
    """The version that a suite's own file pins, so that the table cannot name another."""
    found = re.search(pattern, (COMPAT / file).read_text(), re.DOTALL)
    if not found:
        sys.exit(f"{file}: no version matches {pattern}")
    return found.group(1)


def requirement(name):
    return pinned("python/requirements.txt", rf"(?:^|\n){name}==(\S+)")


def artifact(folder, name):
    return pinned(f"{folder}/pom.xml", rf"<artifactId>{name}</artifactId>\s*<version>([^<]+)<")


def package(name):
    return pinned("node/package.json", rf'"{re.escape(name)}": "([^"]+)"')


def module(name):
    return pinned("go/go.mod", rf"{re.escape(name)} v(\S+)")


def suites():
    """(clients with versions, language, what the line of the run that tells of them begins with), in the table's order."""
    kafka_python = f"kafka-python {requirement('kafka-python')}"
    both_go = f"franz-go {module('github.com/twmb/franz-go')}, sarama {module('github.com/IBM/sarama')}"
    both_node = f"KafkaJS {package('kafkajs')}, @platformatic/kafka {package('@platformatic/kafka')}"
    rdkafka = pinned("rust/Cargo.toml", r'rdkafka = \{ version = "=([^"]+)"')
    of_python = [f"{name} {requirement(name)}" for name in ("confluent-kafka", "aiokafka")]
    return [
        (kafka_python, "Python", f"{kafka_python}:"),
        (f"{kafka_python}, its own integration tests", "Python", f"{kafka_python} own integration tests:"),
        *((client, "Python", f"{client}:") for client in of_python),
        ("Python clients over stop, kill -9 and start", "Python", "stop, kill -9 and start again:"),
        (f"kafka-clients {artifact('java', 'kafka-clients')}", "Java", "java "),
        (f"kafka-clients {artifact('java-old', 'kafka-clients')}", "Java", "java-old "),
        (f"Spring Kafka {artifact('spring', 'spring-kafka')}", "Java", "spring "),
        (both_go, "Go", "go "),
        (both_node, "Node.js", "node "),
        (f"rdkafka {rdkafka} (librdkafka)", "Rust", "rust-client "),
    ]


def clients(text, before):
    """The table, from a run's output; `before` is the table that is there."""
    old = {}
    for line in before.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4:
            old[cells[0]] = cells[2:]
    rows = ["| client | language | passed | failed |", "|---|---|---|---|"]
    for client, language, begin in suites():
        # The last line counts: a summary comes after what it sums up.
        told = re.findall(rf"^{re.escape(begin)} *(\d+) passed, (\d+) failed", text, re.MULTILINE)
        passed, failed = told[-1] if told else old.get(client, (NOT_RUN, ""))
        rows.append(f"| {client} | {language} | {passed} | {failed} |")
    return "\n".join(rows)


def differences():
    entries = tomllib.loads((COMPAT / "oracle" / "permitted.toml").read_text()).get("permitted", [])
    if not entries:
        return "The list is empty: none is permitted."
    rows = ["| API | versions | field | why |", "|---|---|---|---|"]
    for entry in entries:
        versions = "-".join(str(v) for v in entry["versions"]) if "versions" in entry else "all"
        cells = [f"`{entry['api']}`", versions, f"`{entry['path']}`", " ".join(entry["reason"].split())]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def measurements(path):
    sys.path.insert(0, str(ROOT / "scripts"))
    from bench import cli, markdown

    try:
        return markdown.table(cli.stored(path))
    except cli.Usage as e:
        sys.exit(str(e))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["clients", "differences", "bench"])
    parser.add_argument("run", nargs="?", help="a file with the output of scripts/test.sh, or - for standard input (clients); a results file (bench)")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    if (args.table != "differences") != (args.run is not None):
        parser.error("clients needs a run's output, bench a results file; differences takes none")

    readme = README.read_text()
    between = re.search(rf"(<!-- {args.table}: begin -->\n)(.*?)(<!-- {args.table}: end -->)", readme, re.DOTALL)
    if not between:
        sys.exit(f"{README} has no markers for {args.table}")
    if args.table == "differences":
        table = differences()
    elif args.table == "bench":
        table = measurements(args.run)
    else:
        table = clients(sys.stdin.read() if args.run == "-" else pathlib.Path(args.run).read_text(), between.group(2))
    written = readme[: between.start()] + between.group(1) + table + "\n" + between.group(3) + readme[between.end() :]
    if args.check:
        if written != readme:
            sys.exit(f"README.md's table of {args.table} is not what it should be: run scripts/readme_table.py")
    else:
        README.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
