"""Medians, spreads, ratios and numbers as they are shown."""

import unittest

from .. import figures


def workload(kafka, ottla, better="less", failed=()):
    runs = []
    for number, (k, o) in enumerate(zip(kafka, ottla), 1):
        runs += [
            {"broker": kind, "round": number, "figures": {} if value is None else {"cpu": value}, "failed": "it broke" if (kind, number) in failed else None}
            for kind, value in (("kafka", k), ("ottla", o))
        ]
    return {"name": "w", "runs": runs}, {"key": "cpu", "better": better}


class Summaries(unittest.TestCase):
    def test_has_median_bounds_and_spread(self):
        got = figures.summary([4.0, 1.0, 2.0])
        self.assertEqual((got.median, got.low, got.high, got.spread), (2.0, 1.0, 4.0, 1.5))

    def test_of_two_runs_is_their_middle(self):
        self.assertEqual(figures.summary([1, 2]).median, 1.5)

    def test_leaves_out_what_is_no_number(self):
        self.assertEqual(figures.summary([None, float("nan"), float("inf"), 3]).values, (3.0,))

    def test_of_nothing_is_nothing(self):
        self.assertIsNone(figures.summary([None]))


class Ratios(unittest.TestCase):
    def test_are_above_one_when_ottla_is_better(self):
        self.assertEqual(figures.ratio(kafka=4, ottla=2, better="less"), 2)
        self.assertEqual(figures.ratio(kafka=100, ottla=300, better="more"), 3)

    def test_are_below_one_when_kafka_is_better(self):
        self.assertEqual(figures.ratio(kafka=1, ottla=2, better="less"), 0.5)
        self.assertEqual(figures.ratio(kafka=300, ottla=100, better="more"), 1 / 3)

    def test_need_both_sides_and_a_direction(self):
        for kafka, ottla, better in ((None, 1, "less"), (1, None, "more"), (1, 0, "less"), (0, 1, "more"), (1, 2, None)):
            self.assertIsNone(figures.ratio(kafka, ottla, better), (kafka, ottla, better))

    def test_are_of_the_medians_and_of_each_round(self):
        _, _, ratio, each = figures.compared(*workload([4, 6, 8], [1, 2, 4]))
        self.assertEqual(ratio, 3)
        self.assertEqual(each, (2, 4))

    def test_leave_failed_runs_out(self):
        kafka, ottla, ratio, each = figures.compared(*workload([4, 100], [2, 1], failed={("kafka", 2)}))
        self.assertEqual((kafka.values, ottla.values), ((4,), (2, 1)))
        self.assertAlmostEqual(ratio, 4 / 1.5)
        self.assertEqual(each, (2, 2))


class Readings(unittest.TestCase):
    def test_cpu_is_user_and_system_per_10_9_bytes(self):
        self.assertEqual(figures.cpu_per_gb({"cpu_user_s": 1.5, "cpu_system_s": 0.5}, 500_000_000), 4)
        self.assertIsNone(figures.cpu_per_gb(None, 1))
        self.assertIsNone(figures.cpu_per_gb({"cpu_user_s": 1, "cpu_system_s": 1}, 0))

    def test_a_load_has_milliseconds_and_megabytes(self):
        latency = {"p50": 800, "p99": 2500}
        answer = {
            "seconds": 2, "produced": {"records": 10, "bytes": 4_000_000, "bytes_per_second": 2_000_000, "latency_us": latency}, "consumed": None,
            "broker": {"cpu_user_s": 1, "cpu_system_s": 1, "rss_bytes": 1, "peak_rss_bytes": 300_000_000}, "generator": {"cpu_user_s": 1, "cpu_system_s": 2},
        }
        got = figures.of_load(answer, "half ")
        self.assertEqual(got["half throughput"], 2)
        self.assertEqual(got["half cpu"], 500)
        self.assertEqual(got["half memory"], 300)
        self.assertEqual(got["half produce p99"], 2.5)
        self.assertEqual(got["half generator"], 1.5)
        self.assertNotIn("half consumed", got)


class Shown(unittest.TestCase):
    def test_keeps_three_digits_that_count(self):
        for value, text in ((None, "-"), (0, "0.00"), (0.01234, "0.0123"), (4.214, "4.21"), (61.34, "61.3"), (812.4, "812"), (95300.2, "95,300"), (-4.214, "-4.21")):
            self.assertEqual(figures.shown(value), text)

    def test_has_its_unit(self):
        self.assertEqual(figures.shown(812, "MB/s"), "812 MB/s")
