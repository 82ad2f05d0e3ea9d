"""A measurement with the real generator and real brokers, so short that its figures mean nothing: does it run, and has its report all parts?

Apache Kafka takes part where Java and its jars can be had; else Ottla is measured alone, and the output says so. Not found by discovery (its name does not begin
with test): it needs a built Ottla. No check here depends on how fast the machine is.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from .. import contenders, generator, page, table

# One of each subcommand of the generator, each guarantee, and what is counted from a peak.
WORKLOADS = ["produce-6-synced", "latency", "reads", "commits", "group", "connections"]


class Smoke(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        why = contenders.available("kafka")
        cls.kinds = ["ottla"] if why else ["kafka", "ottla"]
        if why:
            print(f"measured without Apache Kafka: {why}", file=sys.stderr)
        folder = cls.enterClassContext(tempfile.TemporaryDirectory(prefix="bench-smoke-"))
        files = {"json": pathlib.Path(folder, "r.json"), "html": pathlib.Path(folder, "r.html")}
        command = [
            sys.executable, "-m", "bench", "--only", *WORKLOADS, "--brokers", ",".join(cls.kinds), "--rounds", "1", "--seconds", "1", "--warmup", "0.5",
            "--json", str(files["json"]), "--html", str(files["html"]),
        ]
        path = os.pathsep.join(filter(None, [str(contenders.ROOT / "scripts"), os.environ.get("PYTHONPATH")]))
        cls.done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}, timeout=900)
        cls.left = sorted(p.name for p in pathlib.Path(folder).iterdir())
        cls.results = json.loads(files["json"].read_text()) if files["json"].exists() else None
        cls.page = files["html"].read_text() if files["html"].exists() else ""

    def runs(self):
        return [(workload, run) for workload in self.results["workloads"] for run in workload["runs"]]

    def test_ended_well_and_left_only_its_files(self):
        failed = [f"{workload['name']}, {run['broker']}: {run['failed']}" for workload, run in self.runs() if run["failed"]]
        self.assertEqual(failed, [])
        self.assertEqual(self.done.returncode, 0)
        self.assertEqual(self.left, ["r.html", "r.json"])

    def test_measured_every_workload_on_every_broker(self):
        self.assertEqual(
            sorted((workload["name"], run["broker"]) for workload, run in self.runs()), sorted((name, kind) for name in [*WORKLOADS, "peak"] for kind in self.kinds)
        )

    def test_has_every_figure_that_is_compared(self):
        for workload, run in self.runs():
            for figure in workload["figures"]:
                # The processor time of a second may be less than the kernel's clock shows.
                if figure["better"]:
                    self.assertIn(figure["key"], run["figures"], f"{workload['name']}, {run['broker']}")
                    if not figure["unit"].startswith("CPU"):
                        self.assertGreater(run["figures"][figure["key"]], 0, f"{workload['name']}, {run['broker']}: {figure['label']}")

    def test_noted_every_command_with_its_answer(self):
        for workload, run in self.runs():
            self.assertTrue(run["steps"], workload["name"])
            for step in run["steps"]:
                self.assertTrue(step["command"])
                if step["command"].startswith("ottla bench load"):
                    self.assertGreater(generator.field(step["answer"], "produced.records"), 0)

    def test_report_has_all_parts(self):
        lines = self.done.stdout.splitlines()
        for begin in ("goal ", "produce-6-synced: ", "latency: ", "Again: scripts/bench.sh", "Ottla, every write synced: "):
            self.assertTrue(any(line.startswith(begin) for line in lines), begin)
        for part in ("<svg", "Machine and versions", "Every run and its commands"):
            self.assertIn(part, self.page)

    def test_report_can_be_made_again_from_its_results(self):
        self.assertEqual(page.page(self.results), self.page)
        self.assertEqual(list(table.lines(self.results)), self.done.stdout.splitlines()[: len(list(table.lines(self.results)))])
