"""What /proc is read for, on the machine that the tests run on; nothing here depends on how fast it is."""

import os
import pathlib
import subprocess
import tempfile
import unittest

from .. import contenders, proc


class Processes(unittest.TestCase):
    def test_memory_and_cpu_are_this_processs(self):
        resident, peak = proc.memory_bytes(os.getpid())
        self.assertGreater(resident, 1_000_000)
        self.assertGreaterEqual(peak, resident // 2)
        user, system = proc.cpu_seconds(os.getpid())
        self.assertLessEqual(user, os.times().user + 0.05)
        self.assertLessEqual(system, os.times().system + 0.05)

    def test_cpu_of_children_is_not_others(self):
        watch = proc.Watch(os.getpid())
        subprocess.run(["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"], check=True)
        seen = watch.seen()
        self.assertGreater(seen["load_cpu_s"], 0)
        self.assertGreater(seen["wall_s"], 0)


class Files(unittest.TestCase):
    def test_used_bytes_are_those_on_the_disk(self):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "below").mkdir()
            with open(f"{folder}/below/file", "wb") as file:
                file.write(os.urandom(1 << 20))
                file.flush()
                os.fsync(file.fileno())
            self.assertGreaterEqual(proc.used_bytes(folder), 1 << 20)
            self.assertLess(proc.used_bytes(folder), 2 << 20)

    def test_file_system_is_the_innermost(self):
        self.assertIn(proc.file_system("/proc/self")[0], ("proc",))

    def test_first_line_of_what_is_not_there_says_so(self):
        self.assertIn("unknown", proc.first_line(["/nowhere/tool"]))


class Brokers(unittest.TestCase):
    def made(self, kind, guarantee):
        with tempfile.TemporaryDirectory() as folder:
            return contenders.make(kind, guarantee, {"log.retention.check.interval.ms": "1000"}, pathlib.Path(folder) / "b")

    def test_get_the_settings_of_their_guarantee_and_otherwise_the_same(self):
        wanted = {
            ("kafka", "written"): {}, ("kafka", "synced"): {"log.flush.interval.messages": "1"},
            ("ottla", "written"): {"ottla.sync.single.replica": "false"}, ("ottla", "synced"): {},
        }
        for (kind, guarantee), own in wanted.items():
            got = self.made(kind, guarantee).properties()
            alike = {key: value for key, value in got.items() if key not in own}
            self.assertEqual({key: got[key] for key in own}, own)
            self.assertEqual(alike, self.made("kafka", "written").properties())

    def test_have_presets_where_tests_have_settings(self):
        for key in contenders.NOT_FOR_TESTS:
            self.assertNotIn(key, self.made("kafka", "written").properties())

    def test_kafka_has_its_start_scripts_heap_and_collector(self):
        options = self.made("kafka", "written").broker_jvm_options()
        for option in ("-Xmx1G", "-Xms1G", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"):
            self.assertIn(option, options)
        self.assertFalse({"-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"} & set(options))
