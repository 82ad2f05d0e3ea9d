"""The command line: which workloads, how long, where the results go. It wires the other modules together and decides the exit code."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shlex
import shutil
import signal
import sys
import tempfile

from . import contenders, markdown, page, proc, runner, table, workloads

ROOT = contenders.ROOT
FORMAT = 1
# Rounds, seconds measured, seconds of warm-up. Java compiles what runs often only after a while, hence the warm-up; the full mode's is longer.
MODES = {"short": (2, 3.0, 4.0), "full": (2, 12.0, 8.0)}
# Below this a run at full speed may fill the disk.
ENOUGH_FREE_BYTES = 30e9
REMARKS = (
    "Both brokers get the same server.properties but for what a guarantee needs; everything else is each broker's preset. Kafka runs with its own start script's Java options.",
    "Broker CPU is user and system time of its process from /proc, over the measured window only; what the kernel does for it in threads of its own (writing back the page cache, "
    "on which Kafka relies) counts for neither broker, and is in each step's 'cores used by others'.",
    "Memory is the process's resident memory. The page cache is not in it, for neither broker.",
    "Load and broker share this machine's cores, as nothing else is measured here; so each generator's own CPU is shown.",
    "With nothing synced, Kafka leaves writing back to the kernel; Ottla still syncs about every 64 MiB or within two minutes.",
    "Latencies are counted from the time that a record was scheduled for, so a broker that stalls is not spared the records that would have come meanwhile.",
    "half load is half of the lower of the two brokers' peaks, the same rate for both; the peak is the median of this measurement's own workload 'peak' or 'peak-synced'.",
    "Consumers are ready at once: group.initial.rebalance.delay.ms is 0 for both.",
)


class Usage(Exception):
    """Something that cannot be done as asked; the message says what and what instead."""


def parser():
    p = argparse.ArgumentParser(
        prog="scripts/bench.sh", description="Measures Ottla and Apache Kafka 4.3.0 in turn, under the same load and for the same guarantees, and prints one table. "
        "The goals come first; a ratio above 1 is good for Ottla.", epilog="Exit code: 0 all was measured (whether goals hold or not), 1 something failed, 2 wrong arguments, 130 interrupted.",
    )
    mode = p.add_mutually_exclusive_group()
    mode.add_argument("--short", dest="mode", action="store_const", const="short", help="what the goals need, within 10 minutes (this is the preset)")
    mode.add_argument("--full", dest="mode", action="store_const", const="full", help="every workload, longer, within an hour")
    p.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these workloads, and what they need first")
    p.add_argument("--list", action="store_true", help="print the workloads and how long they take, measure nothing")
    p.add_argument("--rounds", type=int, help="runs on each broker (2)")
    p.add_argument("--seconds", type=float, help="seconds that are measured in each run (3; with --full 12)")
    p.add_argument("--warmup", type=float, help="seconds of load before them (4; with --full 8)")
    p.add_argument("--brokers", default="kafka,ottla", help="kafka, ottla or both (kafka,ottla)")
    p.add_argument("--data", metavar="FOLDER", help="where the brokers' data goes (beside the results); choose a disk, not memory")
    p.add_argument("--json", metavar="FILE", help="where the results go (bench-results/DATE/results.json)")
    p.add_argument("--html", metavar="FILE", help="where the page goes (bench-results/DATE/report.html)")
    p.add_argument("--generator", metavar="COMMAND", help="the load generator in place of 'OTTLA_BIN bench', for example another build's")
    p.add_argument("--readme", metavar="FILE", help="print the README's table from a results file, measure nothing")
    p.add_argument("--report", metavar="FILE", help="print the table (and write --html) from a results file, measure nothing")
    p.set_defaults(mode="short")
    return p


def main(arguments=None):
    args = parser().parse_args(arguments)
    try:
        if args.readme:
            print(markdown.table(stored(args.readme)))
            return 0
        if args.report:
            return report(args)
        return measure(args, sys.argv[1:] if arguments is None else arguments)
    except Usage as e:
        print(f"scripts/bench.sh: {e}", file=sys.stderr)
        return 2


def stored(path):
    try:
        results = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as e:
        raise Usage(f"{path} cannot be read as results: {e}") from e
    if not isinstance(results, dict) or results.get("format") != FORMAT:
        raise Usage(f"{path} is not a results file of format {FORMAT}: take one that scripts/bench.sh --json wrote")
    return results


def report(args):
    results = stored(args.report)
    print("\n".join(table.lines(results)))
    if args.html:
        pathlib.Path(args.html).write_text(page.page(results))
    return 0


def measure(args, arguments):
    rounds, seconds, warmup = MODES[args.mode]
    rounds, seconds, warmup = (given if given is not None else preset for given, preset in zip((args.rounds, args.seconds, args.warmup), (rounds, seconds, warmup)))
    if rounds < 1 or seconds <= 0 or warmup < 0:
        raise Usage("--rounds is at least 1, --seconds more than 0, --warmup not below 0")
    kinds = tuple(kind for kind in contenders.ORDER if kind in args.brokers.split(","))
    if not kinds or set(args.brokers.split(",")) - set(contenders.ORDER):
        raise Usage(f"--brokers {args.brokers}: kafka, ottla, or both with a comma between them")
    try:
        chosen = workloads.chosen(args.mode, args.only)
    except ValueError as e:
        raise Usage(str(e)) from e
    thorough = args.mode == "full"
    if args.list:
        print("\n".join(listed(chosen, kinds, rounds, seconds, warmup, thorough)))
        return 0
    for kind in kinds:
        if why := contenders.available(kind):
            raise Usage(f"{kind} cannot be measured: {why}; --brokers takes one broker alone")
    if any(workload.kafka_jars for workload in chosen) and (why := contenders.available("kafka")):
        raise Usage(f"kafka-tools needs Kafka's jars: {why}")
    folder = ROOT / "bench-results" / datetime.datetime.now().strftime("%Y-%m-%d-%H%M%S")
    files = {"json": pathlib.Path(args.json or folder / "results.json"), "html": pathlib.Path(args.html or folder / "report.html")}
    for file in files.values():
        file.parent.mkdir(parents=True, exist_ok=True)
    data_root = pathlib.Path(args.data or files["json"].parent)
    data_root.mkdir(parents=True, exist_ok=True)
    data = pathlib.Path(tempfile.mkdtemp(prefix="bench-data-", dir=data_root.resolve()))
    program = shlex.split(args.generator) if args.generator else [contenders.oracle.Ottla.binary(None), "bench"]
    settings = runner.Settings(kinds, rounds, seconds, warmup, thorough, program, data)
    try:
        results = take(settings, chosen, args.mode, arguments)
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return show(results, files)


def listed(chosen, kinds, rounds, seconds, warmup, thorough):
    for workload in chosen:
        needs = f"; needs {', '.join(workload.needs)}" if workload.needs else ""
        took = runner.plan_s([workload], kinds, rounds, seconds, warmup, thorough)
        yield f"{workload.name:<17} {contenders.GUARANTEES[workload.guarantee]['title']:<19} {took:>5.0f} s  {workload.title}{needs}"
    yield f"in all about {runner.plan_s(chosen, kinds, rounds, seconds, warmup, thorough) / 60:.0f} min"


def take(settings, chosen, mode, arguments):
    """Measures, and returns the results as they are stored."""
    proc.raise_file_limit()
    machine, remarks = proc.machine(settings.data), list(REMARKS)
    if shutil.disk_usage(settings.data).free < ENOUGH_FREE_BYTES:
        remarks.append(f"Less than {ENOUGH_FREE_BYTES / 1e9:.0f} GB were free: a fast broker may have filled the disk. --data names another folder.")
    if machine["file system of the data"].startswith(("tmpfs", "overlay")):
        remarks.append("The data was not on a disk of its own kind (tmpfs or overlay): syncs cost nothing there, or more than they should. --data names another folder.")
    if mode == "short":
        remarks.append("The short mode warms up for seconds: Java's compiler is not done by then. --full is fairer to Kafka.")
    for remark in remarks[len(REMARKS):]:
        print(f"note: {remark}", file=sys.stderr)
    began = datetime.datetime.now(datetime.timezone.utc)
    run = runner.Runner(settings, chosen)
    run.progress.say(f"{len(chosen)} workloads, {settings.rounds} rounds, {run.progress.left()}")
    with interruptible():
        measured = run.all()
    return {
        "format": FORMAT, "date": began.strftime("%Y-%m-%d %H:%M UTC"), "ended": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "mode": mode, "rounds": settings.rounds, "seconds": settings.seconds, "warmup_seconds": settings.warmup, "interrupted": run.interrupted,
        "command": shlex.join(["scripts/bench.sh", *arguments]), "machine": machine, "versions": contenders.versions(settings.kinds), "remarks": remarks,
        "brokers": [{"broker": kind, "guarantee": guarantee, **side} for (kind, guarantee), side in run.brokers.items()], "workloads": measured,
    }


@contextlib.contextmanager
def interruptible():
    """SIGTERM ends a measurement as Ctrl-C does, so that no broker stays behind."""

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def show(results, files):
    files["json"].write_text(json.dumps(results, indent=1) + "\n")
    files["html"].write_text(page.page(results))
    print("\n".join(table.lines(results)))
    for name, file in files.items():
        print(f"{name}: {os.path.relpath(file)}")
    failed = table.failures(results)
    if failed:
        print(f"{failed} run{'s' if failed > 1 else ''} failed")
    return 130 if results["interrupted"] else 1 if failed else 0
