"""Runs the command lines of scenarios/ with Kafka's tools and with Ottla's, on Apache Kafka and on Ottla, and compares exit codes, standard output, and the part
of standard error that scripts see.

Every scenario is run whole by one side after the other, on a broker that holds nothing of the one before, under the same names. Three comparisons follow:
  tool    Ottla's tool and Kafka's tool on Kafka
  ottla   Ottla's tool and Kafka's tool on Ottla
  swap    Ottla's tool on Ottla and Kafka's tool on Kafka: what somebody sees who changes from one to the other
What may differ is in permitted.toml, each with its reason; an entry that nothing needs any more fails. The last line is "N passed, N failed".

  compare.py [--scenario NAME]... [--verbose]
"""

import argparse
import concurrent.futures
import importlib
import pathlib
import pkgutil
import re
import sys
import tempfile
import time
import tomllib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
sys.path.insert(0, str(HERE))

import brokers  # noqa: E402
import runners  # noqa: E402
import scenarios  # noqa: E402

SETTLE_S = 0.3
COMPARISONS = {
    "tool": (("ottla", "kafka"), ("kafka", "kafka")),
    "ottla": (("ottla", "ottla"), ("kafka", "ottla")),
    "swap": (("ottla", "ottla"), ("kafka", "kafka")),
}


class Run:
    """What a scenario is given: it runs command lines with one side's tools on one broker, and notes how each ended."""

    def __init__(self, side, kafka_side, broker, folder, address):
        self.side, self.kafka_side, self.broker, self.folder, self.bootstrap = side, kafka_side, broker, folder, address
        self.controller = broker.settings["controller.quorum.bootstrap.servers"]
        self.noted = []

    def path(self, name, text=None):
        """A file of this run's own; with `text` in it."""
        path = self.folder / name
        if text is not None:
            path.write_text(text)
        return str(path)

    def tool(self, tool, *arguments, stdin="", within_s=30, err="first", bare=False, ignore=(), sort=False, each=None):
        """Runs a tool, to be compared. {b} in an argument is the broker's address, {c} its controller listener's; --bootstrap-server is added unless `bare`.

        err: "first" compares the first line of standard error (behind it Java's tools show where they threw, and both their help), "all" all of it, "no" none.
        ignore: regular expressions; what they match is not compared. sort: the order of the lines is not.
        each: what is put in for a name in braces, as in {end}, where that is another text in each run.
        """
        line = [argument.replace("{b}", self.bootstrap).replace("{c}", self.controller) for argument in arguments]
        for name, text in (each or {}).items():
            line = [argument.replace(f"{{{name}}}", text) for argument in line]
        if not bare:
            line = [*line, "--bootstrap-server", self.bootstrap]
        outcome = self.side.run(tool, line, stdin, within_s)
        shown = " ".join([tool, *arguments]).replace(str(self.folder), "FOLDER")
        if self.broker.name == "kafka" and outcome.code == 0 and {"--create", "--alter", "--delete"} & set(arguments):
            # A change is answered when the controller has it; what the broker tells follows a moment later, and Ottla's tools ask sooner than that.
            time.sleep(SETTLE_S)
        noted = normal(outcome, self, err, ignore)
        if sort:
            noted["stdout"] = "\n".join(sorted(noted["stdout"].splitlines()))
        self.noted.append((shown, noted))
        return outcome

    def setup(self, tool, *arguments, stdin="", within_s=30):
        """Runs Kafka's own tool, whichever side this is; it must end well, and is not compared."""
        line = [argument.replace("{b}", self.bootstrap) for argument in arguments]
        outcome = self.kafka_side.run(tool, [*line, "--bootstrap-server", self.bootstrap], stdin, within_s)
        if outcome.code != 0:
            raise RuntimeError(f"{tool} {' '.join(line)} ended with {outcome.code}:\n{outcome.out}{outcome.err}")
        return outcome


def normal(outcome, run, err, ignore):
    """What is different in every run, taken out: the broker's address, the run's folder, random ids, the clock."""
    def clean(text):
        for pattern in ignore:
            text = re.sub(pattern, "<ignored>", text)
        text = text.replace(run.bootstrap, "<broker>").replace(str(run.folder), "FOLDER")
        text = text.replace(run.broker.settings["log.dirs"], "<log dir>")
        text = text.replace(run.controller, "<controller>")
        text = re.sub(rf"\b{run.bootstrap.rpartition(':')[2]}\b", "<port>", text)
        text = re.sub(rf"\b{run.controller.rpartition(':')[2]}\b", "<controller port>", text)
        text = re.sub(r"TopicId: [A-Za-z0-9_-]{22}", "TopicId: <id>", text)
        return re.sub(r"\b1[0-9]{12}\b", "<time>", text)

    lines = clean(outcome.err).splitlines()
    # Of what is thrown, Java shows where behind it.
    told = {"no": "", "first": lines[0] if lines else "", "all": "\n".join(line for line in lines if not line.startswith("\tat "))}[err]
    return {"exit code": str(outcome.code), "stdout": clean(outcome.out), "stderr": told}


class Permitted:
    """The differences that are meant."""

    def __init__(self, path):
        self.entries = tomllib.loads(path.read_text()).get("difference", [])
        self.used = set()

    def covers(self, comparison, scenario, line, stream, left, right):
        for index, entry in enumerate(self.entries):
            fits = (
                comparison in entry.get("comparisons", list(COMPARISONS))
                and re.fullmatch(entry.get("scenario", ".*"), scenario)
                and re.search(entry.get("line", ""), line)
                and stream in entry.get("streams", ["stdout", "stderr", "exit code"])
            )
            if not fits:
                continue
            # `without` names what may differ: with that taken out, both must be the same.
            if "without" in entry and re.sub(entry["without"], "", left) != re.sub(entry["without"], "", right):
                continue
            self.used.add(index)
            return True
        return False

    def unused(self, scenarios_run):
        for index, entry in enumerate(self.entries):
            if index not in self.used and any(re.fullmatch(entry.get("scenario", ".*"), name) for name in scenarios_run):
                yield f"nothing needs this entry of permitted.toml: {entry}"


def compare(name, recorded, permitted, verbose):
    """Compares what was noted of one scenario; gives the numbers of command lines that came out the same and not."""
    passed = failed = 0
    for comparison, (left_key, right_key) in COMPARISONS.items():
        left, right = recorded[left_key], recorded[right_key]
        if [line for line, _ in left] != [line for line, _ in right]:
            print(f"{name}: {comparison}: the sides ran different command lines")
            failed += 1
            continue
        for (line, ours), (_, theirs) in zip(left, right):
            wrong = [
                stream for stream in ours
                if ours[stream] != theirs[stream] and not permitted.covers(comparison, name, line, stream, ours[stream], theirs[stream])
            ]
            passed, failed = (passed, failed + 1) if wrong else (passed + 1, failed)
            for stream in wrong:
                print(f"\n{name}: {comparison}: {line}: {stream} differs")
                print(f"  {left_key[0]}'s tool on {left_key[1]}: {ours[stream]!r}\n  {right_key[0]}'s tool on {right_key[1]}: {theirs[stream]!r}")
            if verbose and not wrong:
                print(f"same: {name}: {comparison}: {line} -> {ours['exit code']} {ours['stdout']!r} {ours['stderr']!r}")
    return passed, failed


def clean_up(run):
    """Leaves no topic and no group to the next one."""
    run.kafka_side.run("kafka-topics", ["--delete", "--topic", "t[.-].*", "--if-exists", "--bootstrap-server", run.bootstrap])
    run.kafka_side.run("kafka-consumer-groups", ["--delete", "--all-groups", "--bootstrap-server", run.bootstrap])


def run_all(broker, chosen):
    """Runs scenarios on one broker with both sides' tools; gives what was noted, by (side, broker) and scenario."""
    recorded = {("kafka", broker.name): {}, ("ottla", broker.name): {}}
    with runners.KafkaTools() as kafka_tools, runners.OttlaTools() as ottla_tools:
        for name, scenario in chosen.items():
            for key, side in (("kafka", kafka_tools), ("ottla", ottla_tools)):
                with tempfile.TemporaryDirectory(prefix="tools-") as folder:
                    run = Run(side, kafka_tools, broker, pathlib.Path(folder), broker.bootstrap)
                    try:
                        scenario(run)
                    finally:
                        clean_up(run)
                    recorded[key, broker.name][name] = run.noted
    return recorded


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", action="append", help="a scenario's name, as in topics.create; or a file's, as in topics")
    parser.add_argument("--verbose", action="store_true", help="show what was the same, too")
    arguments = parser.parse_args()
    for module in pkgutil.iter_modules([str(HERE / "scenarios")]):
        importlib.import_module(f"scenarios.{module.name}")
    chosen = {
        name: scenario for name, scenario in scenarios.ALL.items()
        if not arguments.scenario or name in arguments.scenario or name.split(".")[0] in arguments.scenario
    }
    if not chosen:
        parser.error(f"there is no such scenario; there are: {', '.join(scenarios.ALL)}")
    permitted = Permitted(HERE / "permitted.toml")
    passed = failed = 0
    started = time.monotonic()
    with brokers.Kafka() as kafka, brokers.Ottla() as ottla, concurrent.futures.ThreadPoolExecutor(2) as pool:
        # Each broker with a virtual machine of its own, side by side.
        halves = [pool.submit(run_all, broker, chosen) for broker in (kafka, ottla)]
        recorded = halves[0].result() | halves[1].result()
    for name in chosen:
        same, different = compare(name, {sides: noted[name] for sides, noted in recorded.items()}, permitted, arguments.verbose)
        passed, failed = passed + same, failed + different
    for unused in permitted.unused(chosen):
        print(unused)
        failed += 1
    print(f"tools, {time.monotonic() - started:.0f} s: {passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
