"""The counts of hot paths: what is read out of callgrind's output, what counts as a change, what is stored."""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest
from unittest import mock

from .. import paths

# As callgrind writes it: a name behind its number only where it comes first, and behind a call what it cost. More calls than were collected are told.
OUTPUT = """# callgrind format
version: 1
positions: instr line
events: Ir

fn=(1) hot_paths::collected_run
0x4010 0 10
cfn=(3) _rjem_malloc
calls=90 0x5000 0
0x4014 0 30

fn=(3)
0x5004 0 21
0x5000 0 3
cfn=(4) malloc_in_a_name_of_its_own
calls=7 0x6000 0
0x5000 0 100
0x5000 0 4

fn=(4)
0x6000 0 9

totals: 200
"""


class Reading(unittest.TestCase):
    def test_totals_are_instructions_and_calls_of_the_allocator(self):
        self.assertEqual(paths.totals(OUTPUT), (200, 7))

    def test_output_without_a_total_is_told(self):
        with self.assertRaisesRegex(paths.Failed, "no total"):
            paths.totals("# callgrind format\n")

    def test_a_command_that_fails_is_told_with_its_complaint(self):
        with self.assertRaisesRegex(paths.Failed, "no such thing"):
            paths.run(["sh", "-c", "echo no such thing >&2; exit 3"])


class Comparing(unittest.TestCase):
    def counted(self, instructions, allocations=2.0, **more):
        return {"instructions": instructions, "allocations": allocations, **more}

    def test_rounds_come_to_their_median_and_tell_a_spread_only_when_there_is_one(self):
        self.assertEqual(paths.combined([(1000, 2), (1000, 2), (1000.4, 2)]), self.counted(1000))
        self.assertEqual(paths.combined([(1000, 2), (1100, 2), (1010, 2)]), self.counted(1010, spread_percent=9.9))

    def test_a_change_is_more_than_a_percent_and_more_than_the_noise(self):
        before = self.counted(1000)
        self.assertFalse(paths.is_change(self.counted(1009), before))
        self.assertTrue(paths.is_change(self.counted(1011), before))
        self.assertTrue(paths.is_change(self.counted(989), before))
        self.assertTrue(paths.is_change(self.counted(1000, allocations=3.0), before))
        self.assertFalse(paths.is_change(self.counted(1030), self.counted(1000, spread_percent=2.0)))

    def test_the_table_tells_what_is_new_and_what_has_changed(self):
        lines = list(paths.table({"a": self.counted(1100), "b": self.counted(7), "c": self.counted(5)}, {"a": self.counted(1000), "c": self.counted(5)}))
        self.assertRegex(lines[1], r"^a +1,100 +1,000 +\+10.00 % +2 +2 +<- changed$")
        self.assertRegex(lines[2], r"^b +7 +- +new +2 +-$")
        self.assertRegex(lines[3], r"^c +5 +5 +\+0.00 % +2 +2$")


class Fake:
    """Counts nothing."""

    runs = 1

    def __init__(self, found):
        self.found = found

    def count_all(self, names, _rounds):
        return {name: self.found[name] for name in names}


class Storing(unittest.TestCase):
    def setUp(self):
        self.file = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / "counts.json"
        self.enterContext(mock.patch.object(paths, "taken_with", return_value={"rustc": "1"}))
        self.found = {name: {"instructions": number, "allocations": 1.0} for number, name in enumerate(["a", "b"], 10)}

    def compare(self, names, *arguments, only=()):
        options = mock.Mock(file=self.file, rounds=None, update="--update" in arguments, only=list(only))
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            paths.compare(options, Fake(self.found), names)
        return said.getvalue()

    def test_only_an_update_writes(self):
        self.assertIn("new", self.compare(["a", "b"]))
        self.assertFalse(self.file.exists())
        self.compare(["a", "b"], "--update")
        self.assertEqual(json.loads(self.file.read_text())["paths"], self.found)
        self.assertNotIn("changed", self.compare(["a", "b"]))

    def test_an_update_of_some_leaves_the_others_and_one_of_all_forgets_what_is_gone(self):
        self.compare(["a", "b"], "--update")
        self.found["a"] = {"instructions": 99, "allocations": 1.0}
        self.compare(["a"], "--update", only=["a"])
        self.assertEqual(json.loads(self.file.read_text())["paths"], self.found)
        self.assertIn("b is in the file", self.compare(["a"], "--update"))
        self.assertEqual(list(json.loads(self.file.read_text())["paths"]), ["a"])

    def test_counts_from_elsewhere_are_told_as_such(self):
        self.compare(["a"], "--update")
        paths.taken_with.return_value = {"rustc": "2"}
        self.assertIn("another rustc: '1', here '2'", self.compare(["a"]))


class Kept(unittest.TestCase):
    def test_the_file_in_the_repository_names_the_paths_that_there_are(self):
        stored = json.loads(paths.COUNTS.read_text())
        sources = "".join(file.read_text() for file in (paths.ROOT / "benches" / "hot_paths").glob("*.rs"))
        rows = [line.split('"')[1] for line in sources.splitlines() if line.strip().startswith("Row { name:")]
        self.assertEqual(sorted(stored["paths"]), sorted(rows))
        self.assertTrue(all(found["instructions"] > 0 for found in stored["paths"].values()))


class SameChance(unittest.TestCase):
    def test_every_process_draws_the_same_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            counter = paths.Counter("/bin/false", folder)
            draw = ["python3", "-c", "import ctypes as c; b = c.create_string_buffer(16); c.CDLL(None).getrandom(b, 16, 0); print(b.raw.hex())"]
            drawn = {paths.run(draw, env=counter.environment) for _ in range(2)}
        self.assertEqual(len(drawn), 1)
