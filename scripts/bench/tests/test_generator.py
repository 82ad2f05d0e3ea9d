"""The generator's command lines and what is made of its answers, and Kafka's tools' output."""

import json
import pathlib
import subprocess
import unittest

from .. import generator, kafka_tools
from . import support

LOAD = {
    "topic": "t", "partitions": 6, "topic_config": ["a=1", "b=2"], "producers": 2, "consumers": 1, "record_bytes": 100, "batch_bytes": 1000, "linger_ms": 1, "acks": "all",
    "compression": "none", "keys": True, "rate": 1000, "seconds": 1.0, "warmup_seconds": 0,
}


class AnyBroker:
    bootstrap, pid = "127.0.0.1:2", 4711


def answered(subcommand="load", options=LOAD):
    argv = generator.Generator(support.FAKE_GENERATOR).command(subcommand, AnyBroker, options)
    return json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)


class CommandLines(unittest.TestCase):
    def test_name_every_option(self):
        argv = generator.Generator(["ottla", "bench"]).command("load", AnyBroker, LOAD)
        self.assertEqual(
            " ".join(argv),
            "ottla bench load --bootstrap-server 127.0.0.1:2 --broker-pid 4711 --topic t --partitions 6 --topic-config a=1 --topic-config b=2 --producers 2 --consumers 1 "
            "--record-bytes 100 --batch-bytes 1000 --linger-ms 1 --acks all --compression none --keys --rate 1000 --seconds 1.0 --warmup-seconds 0 --json",
        )

    def test_leave_out_what_is_off(self):
        self.assertEqual(generator.words({"keys": False, "repeat": None, "rate": 0}), ["--rate", "0"])

    def test_are_shown_without_what_differs_every_time(self):
        argv = generator.Generator(["/somewhere/ottla", "bench"]).command("read", AnyBroker, {"topic": "a b"})
        self.assertEqual(generator.shown(argv, AnyBroker), "ottla bench read --bootstrap-server $BROKER --broker-pid $PID --topic 'a b' --json")


class Answers(unittest.TestCase):
    def test_are_taken_when_they_are_whole(self):
        got = generator.checked(answered(), "load", LOAD)
        self.assertEqual(got["produced"]["records"], 1000)
        self.assertEqual(generator.field(got, "produced.latency_us.p99.9"), 9000)
        self.assertEqual(generator.field(got, "produced.latency_us.p99"), 4000)

    def test_are_refused_when_anything_is_missing(self):
        for path in ("produced.latency_us.p99.9", "consumed.bytes", "broker.peak_rss_bytes", "seconds"):
            answer = answered()
            here, _, last = path.partition(".")
            if path.endswith("p99.9"):
                del answer["produced"]["latency_us"]["p99.9"]
            elif last:
                del answer[here][last]
            else:
                del answer[here]
            with self.assertRaisesRegex(generator.LoadError, path):
                generator.checked(answer, "load", LOAD)

    def test_are_refused_when_nothing_was_loaded(self):
        answer = answered()
        answer["consumed"]["records"] = 0
        with self.assertRaisesRegex(generator.LoadError, "consumed.records is 0"):
            generator.checked(answer, "load", LOAD)

    def test_may_lack_consumers_that_were_not_asked_for(self):
        answer = {**answered(), "consumed": None}
        generator.checked(answer, "load", {**LOAD, "consumers": 0})
        with self.assertRaises(generator.LoadError):
            generator.checked(answer, "load", LOAD)

    def test_of_another_subcommand_are_refused(self):
        for answer in (answered(), [], None, {"workload": True}):
            with self.assertRaises(generator.LoadError):
                generator.checked(answer, "read", {})

    def test_tell_of_connections_that_did_not_open(self):
        answer = {**answered("connections", {"count": 10, "seconds": 1}), "opened": 9}
        with self.assertRaisesRegex(generator.LoadError, "9 of 10"):
            generator.checked(answer, "connections", {"count": 10})


class Processes(unittest.TestCase):
    def test_that_cannot_be_run_are_told(self):
        with self.assertRaisesRegex(generator.LoadError, "/nowhere/ottla cannot be run"):
            generator.Running(["/nowhere/ottla", "bench"])

    def test_that_fail_are_told_with_their_words(self):
        with self.assertRaisesRegex(generator.LoadError, "ended with 3: no such topic"):
            generator.Running(["sh", "-c", "echo no such topic >&2; exit 3"]).output(10)

    def test_that_stay_are_stopped(self):
        running = generator.Running(["sleep", "600"])
        with self.assertRaisesRegex(generator.LoadError, "did not end within 1 s"):
            running.output(1)
        self.assertIsNotNone(running.process.poll())

    def test_are_stopped_when_there_is_a_reason(self):
        running = generator.Running(["sleep", "600"])
        with self.assertRaisesRegex(generator.LoadError, "the broker is gone"):
            running.output(600, lambda: "the broker is gone")
        self.assertIsNotNone(running.process.poll())


class KafkasTools(unittest.TestCase):
    """From what Kafka 4.3.0's tools printed."""

    def recorded(self, name):
        return (pathlib.Path(__file__).with_name("recorded") / name).read_text()

    def test_producer_figures_are_those_of_the_steady_state(self):
        got = kafka_tools.read_producer(self.recorded("producer-perf-test.txt"))
        self.assertEqual((got["records"], got["latency_ms"]["p99.9"]), (40000, 750))
        self.assertAlmostEqual(got["bytes_per_second"], 32.91 * (1 << 20))

    def test_consumer_figures_are_those_without_the_joining(self):
        got = kafka_tools.read_consumer(self.recorded("consumer-perf-test.txt"), 60000)
        self.assertEqual(got["records"], 60000)
        self.assertEqual(got["bytes"], 58.5938 * (1 << 20))

    def test_consumer_that_read_too_little_is_told(self):
        with self.assertRaisesRegex(generator.LoadError, "60000 of 60001"):
            kafka_tools.read_consumer(self.recorded("consumer-perf-test.txt"), 60001)

    def test_latency_has_mean_and_percentiles(self):
        got = kafka_tools.read_latency(self.recorded("e2e-latency.txt"))
        self.assertEqual((got["mean_ms"], got["p50_ms"], got["p99_ms"], got["p99.9_ms"]), (5.7497, 3, 22, 93))

    def test_other_output_is_told(self):
        for read in (kafka_tools.read_producer, lambda text: kafka_tools.read_consumer(text, 1), kafka_tools.read_latency):
            with self.assertRaisesRegex(generator.LoadError, "Connection refused"):
                read("Connection refused")
