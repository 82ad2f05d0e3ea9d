"""Takes the measurement: each workload round by round, A B A B, each run on a broker that was started for it, and everything noted as it comes.

A run that fails is noted with its reason and the rest goes on. Ctrl-C ends the broker and what loads it, and keeps what was measured. What it prints goes to
standard error; the results are a plain dict, as they are stored.
"""

import dataclasses
import os
import pathlib
import shutil
import sys
import time

from . import contenders, figures, generator, kafka_tools, proc
from .generator import LoadError

# A generator that keeps more of a core busy than this may be what limits a figure.
BUSY_GENERATOR = 0.95
# Cores used by neither broker nor generator, and cores taken by a hypervisor, from which on a run is called disturbed.
BUSY_OTHERS, BUSY_STOLEN = 0.5, 0.05
# Seconds until a broker of each kind serves and is gone again, before any was measured.
OVERHEAD_S = {"kafka": 7.0, "ottla": 1.5}
# Kafka's words for NOT_LEADER_OR_FOLLOWER.
NOT_SERVED_YET = "this error indicates that the broker is not the current leader"
# How much longer than its own time a load may take (connections, topic, last acknowledgements) before it is stopped.
PATIENCE_S = 120


@dataclasses.dataclass
class Settings:
    """How to measure. `kinds` in the order of a round; `thorough` adds points that only plots need."""

    kinds: tuple
    rounds: int
    seconds: float
    warmup: float
    thorough: bool
    generator: list
    data: pathlib.Path


class Progress:
    """Lines on standard error: what is done now, what came out, how long it will take still."""

    def __init__(self, plan_s, stream=None):
        self.stream, self.plan_s, self.planned_done, self.began = stream or sys.stderr, plan_s, 0.0, time.monotonic()

    def say(self, text):
        print(text, file=self.stream, flush=True)

    def left(self):
        """Words for the time left: what was planned for the rest, in proportion to how the plan held so far."""
        took = time.monotonic() - self.began
        factor = min(max(took / self.planned_done, 0.3), 3.0) if self.planned_done > 20 else 1.0
        left = max(self.plan_s - self.planned_done, 0) * factor
        return f"about {left / 60:.0f} min left" if left >= 90 else f"about {left:.0f} s left"


class Run:
    """One run of one workload on one broker: what a workload's function may ask for. Notes every command and answer."""

    def __init__(self, settings, broker, kind, rates):
        self.broker, self.kind, self.rates, self.folder = broker, kind, rates, settings.data
        self.seconds, self.warmup, self.thorough = settings.seconds, settings.warmup, settings.thorough
        self.generator = generator.Generator(settings.generator)
        self.steps, self.warnings, self.running = [], [], []

    @property
    def bootstrap(self):
        return self.broker.bootstrap

    def warn(self, text):
        self.warnings.append(text)

    def own_peak(self, name):
        return self.rates[name][self.kind]

    def lower_peak(self, name):
        return min(self.rates[name].values())

    def load(self, step, seconds=None, warmup_seconds=None, **options):
        return self.bench("load", step, **self.times(seconds, warmup_seconds), **options)

    def times(self, seconds=None, warmup_seconds=None):
        return {"seconds": self.seconds if seconds is None else seconds, "warmup_seconds": self.warmup if warmup_seconds is None else warmup_seconds}

    def read(self, step, **options):
        return self.bench("read", step, **options)

    def bench(self, subcommand, step, **options):
        """One load. Where a new topic's leaders do not serve yet although the metadata names them, as in Kafka, it is begun once more, and noted."""
        try:
            return self.once(subcommand, step, options)
        except LoadError as e:
            if subcommand != "load" or NOT_SERVED_YET not in str(e) or self.broker.dead():
                raise
            self.abandon()
            self.steps.append({"step": f"{step}, begun again", "command": str(e), "answer": None, "machine": None})
            time.sleep(1)
            return self.once(subcommand, step, options)

    def once(self, subcommand, step, options):
        watch = proc.Watch(self.broker.pid)
        running = self.begin(subcommand, options)
        answer = self.end(running, options)
        self.note(step, running, answer, watch)
        return answer

    def begin(self, subcommand, options):
        running = self.generator.start(subcommand, self.broker, options)
        self.running.append(running)
        return running

    def end(self, running, options):
        within_s = options.get("seconds", 0) + options.get("warmup_seconds", 0) + PATIENCE_S
        answer = self.generator.finish(running, within_s, self.broker.dead)
        self.running.remove(running)
        return answer

    def load_with_read(self, step, load, read):
        """A load, and in its measured time a read of old records. Returns both answers."""
        load = {**load, **self.times()}
        watch = proc.Watch(self.broker.pid)
        loading = self.begin("load", load)
        time.sleep(self.warmup)
        reading = self.begin("read", read)
        old, live = self.end(reading, read), self.end(loading, load)
        self.note(f"{step}, tail", loading, live, watch)
        self.note(f"{step}, old records", reading, old, None)
        return live, old

    def kafka_tool(self, tool, *arguments):
        """Output of one of Kafka's tools, and what the broker used meanwhile: Watch.seen() and peak_rss_bytes."""
        proc.reset_peak(self.broker.pid)
        watch = proc.Watch(self.broker.pid)
        running = kafka_tools.start(tool, *arguments)
        self.running.append(running)
        out = running.output(20 * self.seconds + PATIENCE_S, self.broker.dead)
        self.running.remove(running)
        seen = {**watch.seen(), "peak_rss_bytes": proc.memory_bytes(self.broker.pid)[1]}
        self.steps.append({"step": tool, "command": kafka_tools.shown(tool, *arguments), "output": out[-1500:], "machine": seen})
        self.note_disturbance(tool, seen)
        return out, seen

    def note(self, step, running, answer, watch):
        seen = watch.seen() if watch else None
        self.steps.append({"step": step, "command": generator.shown(running.argv, self.broker), "answer": answer, "machine": seen})
        cores = figures.generator_cores(answer)
        if cores is not None and cores > BUSY_GENERATOR:
            self.warn(f"{step}: the generator kept {cores:.2f} cores busy, so it may be what limits this figure, and it takes from the broker's")
        self.note_disturbance(step, seen)

    def note_disturbance(self, step, seen):
        if seen and seen["others_cores"] > BUSY_OTHERS:
            self.warn(f"{step}: {seen['others_cores']:.2f} cores went to neither broker nor generator (other programs, the kernel's writing back)")
        if seen and seen["stolen_cores"] > BUSY_STOLEN:
            self.warn(f"{step}: a hypervisor took {seen['stolen_cores']:.2f} cores")

    def broker_memory(self):
        return proc.memory_bytes(self.broker.pid)[0]

    def forget_caches(self):
        how = proc.forget_files(self.broker.data_folder())
        self.steps.append({"step": "cold cache", "command": how, "answer": None, "machine": None})

    def restart_cold(self):
        """The broker stops in good order and starts again, so that it keeps no records in its own memory, and the page cache is emptied."""
        self.broker.stop()
        how = proc.forget_files(self.broker.data_folder())
        self.broker.start()
        self.steps.append({"step": "cold start", "command": f"the broker stopped and started again; between the two {how}", "answer": None, "machine": None})

    def settled_disk_bytes(self, seconds):
        """What the broker's folder takes on the disk after it had some time to delete."""
        time.sleep(seconds)
        return proc.used_bytes(self.broker.data_folder())

    def abandon(self):
        for running in self.running:
            running.stop()
        self.running.clear()


class Runner:
    """`make` starts brokers; tests have their own."""

    def __init__(self, settings, chosen, make=contenders.make, stream=None):
        self.settings, self.chosen, self.make = settings, chosen, make
        self.progress = Progress(sum(self.planned_s(w, kind) for w in chosen for kind in settings.kinds) * settings.rounds, stream)
        self.workloads, self.brokers, self.interrupted = [], {}, False

    def planned_s(self, workload, kind):
        return planned_s(workload, kind, self.settings.seconds, self.settings.warmup, self.settings.thorough)

    def all(self):
        """Measures everything; returns the workloads as they are stored. After Ctrl-C, what there is."""
        for at, workload in enumerate(self.chosen, 1):
            kept = {
                "name": workload.name, "title": workload.title, "guarantee": workload.guarantee, "settings": workload.settings,
                "figures": [dataclasses.asdict(figure) for figure in workload.figures], "runs": [],
            }
            self.workloads.append(kept)
            try:
                self.rounds(workload, kept, f"[{at}/{len(self.chosen)}] {workload.name}")
            except KeyboardInterrupt:
                self.interrupted = True
                self.progress.say("interrupted: the broker is stopped, what was measured is shown")
                break
        return self.workloads

    def rounds(self, workload, kept, title):
        for number in range(1, self.settings.rounds + 1):
            for kind in self.settings.kinds:
                self.progress.say(f"{title} ({workload.title}; {contenders.GUARANTEES[workload.guarantee]['title']}), {kind}, round {number} of {self.settings.rounds}, {self.progress.left()}")
                run = {"broker": kind, "round": number, "figures": {}, "steps": [], "warnings": [], "failed": None}
                began = time.monotonic()
                try:
                    self.one(workload, kind, run)
                    kept["runs"].append(run)
                except (LoadError, contenders.oracle.BrokerError, OSError) as e:
                    run["failed"] = str(e)
                    kept["runs"].append(run)
                run["seconds"] = round(time.monotonic() - began, 2)
                self.progress.planned_done += self.planned_s(workload, kind)
                self.progress.say("    " + (f"FAILED: {run['failed']}" if run["failed"] else told(workload, run["figures"])))
                for warning in run["warnings"]:
                    self.progress.say(f"    note: {warning}")

    def one(self, workload, kind, run):
        """Starts a broker, loads it, ends it; fills `run`, also where it fails half-way."""
        rates = {name: self.sustained(name) for name in workload.needs}
        folder = self.settings.data / f"{workload.name}-{kind}-{run['round']}"
        shutil.rmtree(folder, ignore_errors=True)
        # What the run before left to be written would slow this one.
        os.sync()
        run["load average"] = os.getloadavg()[0]
        broker = self.make(kind, workload.guarantee, workload.settings, folder)
        ctx = None
        try:
            broker.start()
            self.brokers.setdefault((kind, workload.guarantee), {"command": contenders.shown_command(broker), "settings": broker.properties()})
            ctx = Run(self.settings, broker, kind, rates)
            run["figures"] = {key: value for key, value in workload.run(ctx).items() if value is not None}
            if gone := broker.dead():
                raise LoadError(gone)
        finally:
            if ctx:
                ctx.abandon()
                run["steps"], run["warnings"] = ctx.steps, ctx.warnings
            broker.end()

    def sustained(self, name):
        """{broker: records/s} that a peak workload found: the median of its rounds."""
        found = next((w for w in self.workloads if w["name"] == name), None)
        rates = {kind: got.median for kind, got in figures.by_broker(found, "rate").items()} if found else {}
        without = [kind for kind in self.settings.kinds if kind not in rates]
        if without:
            raise LoadError(f"{name} has no figure for {without[0]}, and the rate of this one is counted from it")
        return rates


def planned_s(workload, kind, seconds, warmup, thorough):
    """Seconds that one run is expected to take."""
    steps = workload.steps + (workload.plot_steps if thorough else 0)
    return OVERHEAD_S[kind] + steps * (seconds + warmup) + workload.extra_s


def plan_s(chosen, kinds, rounds, seconds, warmup, thorough):
    return rounds * sum(planned_s(workload, kind, seconds, warmup, thorough) for workload in chosen for kind in kinds)


def told(workload, found):
    """The first figures of a run in one line, and the generator's share."""
    shown = [f for f in workload.figures if f.key in found and (f.better or f.unit == "cores")]
    return ", ".join(f"{f.label} {figures.shown(found[f.key], f.unit)}" for f in shown[:4] + [f for f in shown[4:] if f.unit == "cores"]) or "no figures"
