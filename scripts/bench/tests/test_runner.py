"""The order of runs, what becomes of failures, and that nothing stays behind."""

import unittest
from unittest import mock

from .. import cli, contenders, goals, runner, workloads
from . import support


def order(taken):
    return [(w["name"], run["broker"], run["round"]) for w in taken.workloads for run in w["runs"]]


class Rounds(unittest.TestCase):
    def test_take_turns_and_start_each_broker_fresh(self):
        taken, _ = support.run(["produce-6"])
        self.assertEqual([(broker, number) for _, broker, number in order(taken)], [("kafka", 1), ("ottla", 1), ("kafka", 2), ("ottla", 2)])
        made = support.SleepingBroker.made
        self.assertEqual([broker.starts for broker in made], [1, 1, 1, 1])
        self.assertEqual(len({broker.folder for broker in made}), 4)

    def test_end_every_broker(self):
        support.run(["produce-6", "group"])
        self.assertTrue(all(broker.process.poll() is not None for broker in support.SleepingBroker.made))

    def test_measure_every_workload_with_all_its_figures(self):
        names = [w.name for w in workloads.ALL if not w.kafka_jars and w.name != "retention"]
        taken, said = support.run(names, rounds=1)
        for stored in taken.workloads:
            for run in stored["runs"]:
                self.assertIsNone(run["failed"], stored["name"])
                lacking = [f["key"] for f in stored["figures"] if f["key"] not in run["figures"]]
                self.assertEqual(lacking, [], stored["name"])
        self.assertEqual([w["name"] for w in taken.workloads], names)
        self.assertIn("round 1 of 1", said)

    def test_go_on_at_rates_that_come_from_the_peak(self):
        taken, _ = support.run(["latency"])
        self.assertEqual([w["name"] for w in taken.workloads], ["peak", "latency"])
        commands = {run["broker"]: [step["command"] for step in run["steps"]] for run in taken.workloads[1]["runs"]}
        # The fake Kafka's peak is 100,000 records/s, the fake Ottla's 400,000.
        rates = {kind: [int(line.split("--rate ")[1].split()[0]) for line in lines] for kind, lines in commands.items()}
        self.assertEqual(rates, {"kafka": [10_000, 50_000, 80_000, 50_000], "ottla": [40_000, 200_000, 320_000, 50_000]})

    def test_of_one_broker_alone_are_possible(self):
        taken, _ = support.run(["latency"], kinds=("ottla",), rounds=1)
        self.assertEqual({broker for _, broker, _ in order(taken)}, {"ottla"})
        self.assertTrue(all(run["failed"] is None for w in taken.workloads for run in w["runs"]))

    def test_start_the_broker_again_before_cold_reads(self):
        support.run(["reads"], rounds=1)
        self.assertEqual([broker.starts for broker in support.SleepingBroker.made], [1, 1, 2, 2])


class Failures(unittest.TestCase):
    def test_are_noted_with_their_reason_and_the_rest_goes_on(self):
        for fault, reason in (("exit", "the topic is gone"), ("garbage", "no JSON"), ("missing", "cpu_user_s"), ("empty", "nothing was measured")):
            with support.fault(f"load:{fault}"):
                taken, said = support.run(["produce-6", "commits"], rounds=1)
            produce, commits = taken.workloads
            self.assertTrue(all(reason in run["failed"] for run in produce["runs"]), (fault, produce["runs"][0]["failed"]))
            self.assertTrue(all(run["failed"] is None for run in commits["runs"]))
            self.assertIn("FAILED", said)

    def test_of_a_broker_that_died_show_its_log(self):
        with support.fault("load:kill"):
            taken, _ = support.run(["produce-6"], rounds=1)
        failed = taken.workloads[0]["runs"][0]["failed"]
        self.assertIn("kafka ended with -9", failed)
        self.assertIn("the last words", failed)

    def test_because_leaders_do_not_serve_yet_are_tried_once_more_and_noted(self):
        whole, calls = runner.Run.once, []

        def first_refused(self, subcommand, step, options):
            calls.append(step)
            if len(calls) == 1:
                raise runner.LoadError(f"bench-0: {runner.NOT_SERVED_YET}")
            return whole(self, subcommand, step, options)

        with mock.patch.object(runner.Run, "once", first_refused), mock.patch("bench.runner.time.sleep"):
            taken, _ = support.run(["produce-6"], rounds=1)
        first = taken.workloads[0]["runs"][0]
        self.assertIsNone(first["failed"])
        self.assertEqual([step["step"] for step in first["steps"]], ["produce, begun again", "produce"])
        self.assertEqual(len(calls), 3)

    def test_of_the_peak_fail_what_is_counted_from_it(self):
        with support.fault("load:exit"):
            taken, _ = support.run(["latency"], rounds=1)
        self.assertIn("peak has no figure for kafka", taken.workloads[1]["runs"][0]["failed"])

    def test_of_a_start_are_noted(self):
        with mock.patch.object(support.SleepingBroker, "start", side_effect=contenders.oracle.BrokerError("the port is taken")):
            taken, _ = support.run(["produce-6"], rounds=1)
        self.assertEqual([run["failed"] for run in taken.workloads[0]["runs"]], ["the port is taken"] * 2)

    def test_of_retention_that_removes_nothing_are_told(self):
        taken, _ = support.run(["retention"], rounds=1, thorough=False)
        self.assertIn("too little to pass through retention", taken.workloads[0]["runs"][0]["failed"])


class Interrupts(unittest.TestCase):
    def test_keep_what_was_measured_and_end_the_broker(self):
        whole = runner.Run.load
        calls = []

        def interrupted(self, *args, **options):
            calls.append(self.kind)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return whole(self, *args, **options)

        with mock.patch.object(runner.Run, "load", interrupted):
            taken, said = support.run(["produce-6", "produce-1"])
        self.assertTrue(taken.interrupted)
        self.assertEqual(order(taken), [("produce-6", "kafka", 1), ("produce-6", "ottla", 1), ("produce-6", "kafka", 2)])
        self.assertTrue(all(broker.process.poll() is not None for broker in support.SleepingBroker.made))
        self.assertIn("interrupted", said)


class Warnings(unittest.TestCase):
    def test_tell_of_a_busy_generator_and_of_others(self):
        ctx = runner.Run(support.settings("/"), support.SleepingBroker("kafka", "written", {}, None), "kafka", {})
        busy = mock.Mock(argv=["ottla"])
        seen = mock.Mock(seen=lambda: {"others_cores": 0.9, "stolen_cores": 0.2})
        ctx.broker.process = mock.Mock(pid=1)
        ctx.note("step", busy, {"seconds": 2, "generator": {"cpu_user_s": 1.5, "cpu_system_s": 0.42}}, seen)
        self.assertEqual(len(ctx.warnings), 3)
        self.assertIn("0.96 cores", ctx.warnings[0])
        ctx.warnings.clear()
        ctx.note("step", busy, {"seconds": 2, "generator": {"cpu_user_s": 1.0, "cpu_system_s": 0.1}}, mock.Mock(seen=lambda: {"others_cores": 0.1, "stolen_cores": 0}))
        self.assertEqual(ctx.warnings, [])

    def test_tell_of_a_rate_that_was_not_reached(self):
        ctx = mock.Mock(warn=mock.Mock())
        answer = {"seconds": 1, "produced": {"records": 900}, "consumed": {"records": 1700}}
        workloads.reached(ctx, "half", 1000, 2, answer)
        self.assertEqual(ctx.warn.call_count, 2)
        ctx.warn.reset_mock()
        workloads.reached(ctx, "half", 900, 2, {**answer, "consumed": {"records": 1800}})
        ctx.warn.assert_not_called()


class Plans(unittest.TestCase):
    def test_keep_the_promised_times(self):
        for mode, most_s in (("short", 600), ("full", 3600)):
            rounds, seconds, warmup = cli.MODES[mode]
            took = runner.plan_s(workloads.chosen(mode, []), contenders.ORDER, rounds, seconds, warmup, mode == "full")
            self.assertLess(took, most_s)

    def test_measure_every_goal_in_full_and_each_goals_first_figure_in_short(self):
        for mode in ("short", "full"):
            figures = {(w.name, f.key) for w in workloads.chosen(mode, []) for f in w.figures if f.better}
            for goal in goals.GOALS:
                wanted = goal.sources if mode == "full" else goal.sources[:1]
                self.assertLessEqual(set(wanted), figures, goal.title)

    def test_name_what_there_is_not(self):
        with self.assertRaisesRegex(ValueError, "no workload produce-7"):
            workloads.chosen("short", ["produce-7"])
