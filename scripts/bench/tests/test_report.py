"""The goals' verdicts, the table, the README's table and the page, from measurements made with the fake generator."""

import copy
import html.parser
import re
import unittest
from xml.etree import ElementTree

from .. import figures, goals, markdown, page, plots, table
from . import support

WHOLE = ["produce-6", "produce-6-synced", "latency", "latency-synced", "fanout", "reads", "keyed-50", "keyed-50-synced"]
VOID = {"meta", "br"}


class Balanced(html.parser.HTMLParser):
    """Fails on a tag that closes another one than it should; keeps what a page would load."""

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [(tag, value) for key, value in attrs if key in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            raise AssertionError(f"</{tag}> closes what it did not open")


class Reports(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = support.results(WHOLE)

    def setUp(self):
        self.results = copy.deepcopy(self.whole)

    def workload(self, name):
        return next(w for w in self.results["workloads"] if w["name"] == name)

    def scale(self, name, broker, key, factor):
        for run in self.workload(name)["runs"]:
            if run["broker"] == broker:
                run["figures"][key] *= factor

    def verdict(self, begin):
        return next(v for v in goals.verdicts(self.results) if v.goal.title.startswith(begin))

    def fail(self, name, broker, number, reason):
        run = next(run for run in self.workload(name)["runs"] if run["broker"] == broker and run["round"] == number)
        run["failed"], run["figures"] = reason, {}

    def test_goals_hold_that_are_reached(self):
        # The fake Kafka is four times slower in everything, and needs 4 x 4 times the CPU for a GB.
        self.assertEqual([v.word for v in goals.verdicts(self.results)], ["holds"] * 8)
        self.assertAlmostEqual(self.verdict("produce, every write synced: throughput").figure, 4)
        self.assertAlmostEqual(self.verdict("memory under load").figure, 4)

    def test_goals_are_missed_below_their_least(self):
        self.scale("produce-6-synced", "ottla", "throughput", 0.45)
        v = self.verdict("produce, every write synced: throughput")
        self.assertEqual((v.word, round(v.figure, 2)), ("missed", 1.8))

    def test_goals_of_several_figures_are_as_good_as_the_worst(self):
        self.scale("latency-synced", "ottla", "half e2e p99", 3)
        v = self.verdict("end-to-end p99")
        self.assertEqual(v.word, "missed")
        self.assertIn("latency-synced", v.of)
        self.assertIn("the worst of 2", v.of)

    def test_goals_without_figures_neither_hold_nor_are_missed(self):
        self.results["workloads"] = [self.workload("produce-6")]
        self.assertEqual(self.verdict("end-to-end p99").word, "not measured")
        self.assertEqual(self.verdict("produce, nothing synced").word, "holds")

    def test_nothing_below_one_looks_at_every_figure(self):
        self.assertEqual(self.verdict("nothing in the table").word, "holds")
        self.scale("reads", "ottla", "again throughput", 0.2)
        v = self.verdict("nothing in the table")
        self.assertEqual((v.word, round(v.figure, 2)), ("missed", 0.8))
        self.assertIn("1 of the", v.of)
        self.assertIn("reads: the same again", v.of)

    def test_table_has_goals_before_workloads_and_all_of_both(self):
        lines = list(table.lines(self.results))
        first = {name: next(at for at, line in enumerate(lines) if line.startswith(name)) for name in ("goal", "produce-6:", "latency:", "Again:")}
        self.assertEqual(sorted(first, key=first.get), ["goal", "produce-6:", "latency:", "Again:"])
        for v in goals.verdicts(self.results):
            self.assertTrue(any(line.startswith(v.goal.title) and v.word in line for line in lines))
        line = next(line for line in lines if line.strip().startswith("produced, MB/s"))
        self.assertRegex(line, r"102 \[102-102\] +410 \[410-410\] +4\.00 Ottla/Kafka")

    def test_table_tells_failures_warnings_commands_and_settings(self):
        self.fail("produce-6", "ottla", 2, "the disk\nis full")
        self.workload("fanout")["runs"][0]["warnings"] = ["the generator kept 1.20 cores busy"]
        text = "\n".join(table.lines(self.results))
        for part in ("FAILED: ottla, round 2: the disk is full", "fanout, kafka: the generator kept 1.20 cores busy", "Again: scripts/bench.sh --full", "node.id=1", "0123456789ab"):
            self.assertIn(part, text)
        self.assertEqual(table.failures(self.results), 1)
        self.assertNotIn("INTERRUPTED", text)
        self.results["interrupted"] = True
        self.assertIn("INTERRUPTED", "\n".join(table.lines(self.results)))

    def test_readme_table_is_markdown_with_as_many_cells_in_every_row(self):
        self.fail("keyed-50", "kafka", 1, "it broke")
        text = markdown.table(self.results)
        for part in text.split("\n\n")[1:]:
            self.assertEqual(len({len(re.findall(r"(?<!\\)\|", line)) for line in part.splitlines()}), 1)
        self.assertIn("2026-01-02, 2 cores (a processor), 4.0 GiB", text)
        self.assertIn("1 of 4 runs failed", text)
        self.assertEqual(text.count("| holds |"), 8)

    def test_page_is_whole_and_loads_nothing(self):
        text = page.page(self.results)
        read = Balanced()
        read.feed(text)
        self.assertEqual((read.open, read.loads), ([], []))
        self.assertNotIn("<script", text)
        self.assertNotIn("url(", text)
        for part in ("Goals", "Throughput against latency", "Latency percentiles at half load, every write synced", "Broker CPU per GB", "Broker memory", "Machine and versions", "prefers-color-scheme: dark"):
            self.assertIn(part, text)
        self.assertEqual(text.count("<svg"), 6)
        self.assertIn("--rate 50000", text)

    def test_page_escapes_what_others_said(self):
        self.fail("produce-6", "ottla", 1, "<script>alert('&')</script>")
        self.assertIn("&lt;script&gt;", page.page(self.results))

    def test_page_says_what_was_not_measured(self):
        self.results["workloads"] = [self.workload("latency")]
        for run in self.results["workloads"][0]["runs"]:
            run["figures"] = {}
        self.assertEqual(page.page(self.results).count(page.NOT_MEASURED), 5)

    def test_plots_are_well_formed_and_stay_inside(self):
        for title, drawn in plots.all_plots(self.results):
            root = ElementTree.fromstring(drawn)
            _, _, width, height = map(float, root.attrib["viewBox"].split())
            for element in root:
                for attribute, most in (("cx", width), ("cy", height), ("x", width), ("y", height), ("x2", width), ("y2", height)):
                    if attribute in element.attrib:
                        self.assertTrue(-1 <= float(element.attrib[attribute]) <= most + 1, (title, element.attrib))

    def test_throughput_plot_has_every_point_of_both_brokers(self):
        drawn = plots.throughput_against_latency(self.workload("latency"))
        self.assertEqual(drawn.count("<title>Ottla at"), 6)
        self.assertEqual(drawn.count("<title>Apache Kafka at"), 6)

    def test_one_broker_alone_can_be_shown(self):
        results = support.results(["latency"], kinds=("ottla",), rounds=1)
        del results["versions"]["kafka"]
        for text in ("\n".join(table.lines(results)), markdown.table(results), page.page(results)):
            self.assertIn("not measured", text)
        self.assertEqual({len(list(figures.by_broker(w, "rate"))) for w in results["workloads"]}, {1, 0})


class Axes(unittest.TestCase):
    def test_log_axis_has_whole_decades(self):
        axis = plots.LogAxis([0.8, 40], 0, 100)
        self.assertEqual((axis.low, axis.high), (-1, 2))
        self.assertEqual((axis.y(0.1), axis.y(100)), (100, 0))

    def test_log_axis_of_one_value_has_a_height(self):
        axis = plots.LogAxis([10], 0, 100)
        self.assertLess(axis.low, axis.high)

    def test_steps_are_round(self):
        self.assertEqual([plots.nice_step(span) for span in (5, 7, 230, 1000)], [1, 2, 50, 200])
