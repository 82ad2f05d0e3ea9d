"""What the tests share: brokers that are a sleeping process, a generator that answers at once, a measurement made with both."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
import tempfile
from unittest import mock

from .. import cli, contenders, runner, workloads

FAKE_GENERATOR = [sys.executable, str(pathlib.Path(__file__).with_name("fake_generator.py"))]


class SleepingBroker:
    """A process that does nothing, for the harness to look at and end. Its port tells the fake generator whom it stands for."""

    made = []

    def __init__(self, kind, guarantee, settings, folder):
        self.name, self.guarantee, self.folder = kind, guarantee, folder
        self.bootstrap = f"127.0.0.1:{1 if kind == 'kafka' else 2}"
        self.settings, self.process, self.starts = settings, None, 0
        SleepingBroker.made.append(self)

    def start(self):
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        self.process = subprocess.Popen(["sleep", "600"])
        self.starts += 1

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    end = stop
    dead = contenders.Contender.dead
    data_folder = contenders.Contender.data_folder

    @property
    def pid(self):
        return self.process.pid

    def log_tail(self, _lines):
        return "the last words"

    def command(self, properties):
        return ["serve", str(properties)]

    def properties(self):
        return {"node.id": "1", **self.settings}


def settings(folder, rounds=2, kinds=contenders.ORDER, thorough=True):
    return runner.Settings(kinds, rounds, 0.2, 0.0, thorough, FAKE_GENERATOR, pathlib.Path(folder))


@contextlib.contextmanager
def fault(text):
    with mock.patch.dict(os.environ, FAKE_FAULT=text):
        yield


def run(names, **changes):
    """A Runner that has measured these workloads (and what they need), and what it said."""
    SleepingBroker.made = []
    said = io.StringIO()
    with tempfile.TemporaryDirectory(prefix="bench-test-") as folder, mock.patch("bench.proc.forget_files", return_value="nothing was dropped: a test"):
        taken = runner.Runner(settings(folder, **changes), workloads.chosen("full", names), make=SleepingBroker, stream=said)
        taken.all()
    return taken, said.getvalue()


def results(names, interrupted=False, **changes):
    """A measurement as it is stored."""
    taken, _ = run(names, **changes)
    return {
        "format": cli.FORMAT, "date": "2026-01-02 03:04 UTC", "ended": "2026-01-02 03:05 UTC", "mode": "full", "rounds": 2, "seconds": 0.2, "warmup_seconds": 0.0,
        "interrupted": interrupted, "command": "scripts/bench.sh --full",
        "machine": {
            "cores": "2", "CPU": "a processor", "memory": "4.0 GiB", "kernel": "Linux 6.1", "machine": "a box", "file system of the data": "ext4 (rw)", "disk": "/dev/vda",
            "load average before": "0.00 0.00 0.00", "open files allowed": "1024",
        },
        "versions": {"kafka": "4.3.0", "java": "17", "ottla": "ottla 8.0.0", "commit of the sources": "0123456789ab"}, "remarks": list(cli.REMARKS),
        "brokers": [{"broker": kind, "guarantee": guarantee, **side} for (kind, guarantee), side in taken.brokers.items()], "workloads": taken.workloads,
    }
