"""The command line, from arguments to files and exit codes, with sleeping brokers."""

import contextlib
import io
import json
import pathlib
import shlex
import tempfile
import unittest
from unittest import mock

from .. import cli
from . import support


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(tempfile.TemporaryDirectory(prefix="bench-test-"))
        self.enterContext(mock.patch("bench.contenders.available", return_value=None))
        self.enterContext(mock.patch("bench.contenders.versions", return_value={"kafka": "4.3.0", "ottla": "ottla 8.0.0"}))
        self.enterContext(mock.patch("bench.cli.runner.Runner", make))

    def bench(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.main([*arguments])
        return code, out.getvalue(), err.getvalue()

    def measure(self, *arguments):
        files = ("--json", f"{self.folder}/r.json", "--html", f"{self.folder}/r.html")
        return self.bench("--seconds", "0.2", "--warmup", "0", "--generator", shlex.join(support.FAKE_GENERATOR), *files, *arguments)

    def test_leaves_table_json_and_page_and_no_data(self):
        code, out, _ = self.measure("--only", "produce-6", "--rounds", "1")
        self.assertEqual(code, 0)
        self.assertIn("produce-6: 1 KiB records", out)
        results = json.loads(pathlib.Path(self.folder, "r.json").read_text())
        self.assertEqual((results["rounds"], [w["name"] for w in results["workloads"]]), (1, ["produce-6"]))
        self.assertIn("<svg", pathlib.Path(self.folder, "r.html").read_text())
        self.assertEqual(sorted(p.name for p in pathlib.Path(self.folder).iterdir()), ["r.html", "r.json"])

    def test_prints_again_what_was_stored(self):
        self.measure("--only", "produce-6", "--rounds", "1")
        code, out, _ = self.bench("--report", f"{self.folder}/r.json")
        self.assertEqual(code, 0)
        self.assertIn("produce-6: 1 KiB records", out)
        code, out, _ = self.bench("--readme", f"{self.folder}/r.json")
        self.assertEqual(code, 0)
        self.assertIn("| goal | at least |", out)

    def test_ends_with_1_when_a_run_failed(self):
        with support.fault("load:exit"):
            code, out, _ = self.measure("--only", "produce-6", "--rounds", "1")
        self.assertEqual(code, 1)
        self.assertIn("2 runs failed", out)
        self.assertIn("the topic is gone", out)

    def test_ends_with_130_and_shows_what_there_is_when_interrupted(self):
        with mock.patch("bench.runner.Run.load", side_effect=KeyboardInterrupt):
            code, out, err = self.measure("--only", "produce-6")
        self.assertEqual(code, 130)
        self.assertIn("INTERRUPTED", out)
        self.assertIn("interrupted", err)
        self.assertTrue(pathlib.Path(self.folder, "r.json").exists())

    def test_ends_with_2_and_says_what_is_wrong(self):
        for arguments, said in (
            (["--only", "produce-7"], "no workload produce-7"), (["--brokers", "redpanda"], "kafka, ottla, or both"), (["--rounds", "0"], "--rounds is at least 1"),
            (["--seconds", "0"], "--seconds more than 0"), (["--readme", "/nowhere"], "cannot be read"), (["--report", __file__], "cannot be read"),
        ):
            code, _, err = self.bench(*arguments)
            self.assertEqual(code, 2, arguments)
            self.assertIn(said, err)

    def test_refuses_results_of_another_format(self):
        path = pathlib.Path(self.folder, "other.json")
        path.write_text('{"format": 0}')
        code, _, err = self.bench("--readme", str(path))
        self.assertEqual(code, 2)
        self.assertIn("not a results file of format 1", err)

    def test_lists_workloads_with_their_time(self):
        code, out, _ = self.bench("--list", "--full")
        self.assertEqual(code, 0)
        for workload in support.workloads.ALL:
            self.assertIn(f"\n{workload.name} ", "\n" + out)
        self.assertIn("in all about", out)


def make(settings, chosen):
    return RealRunner(settings, chosen, make=support.SleepingBroker)


RealRunner = support.runner.Runner
