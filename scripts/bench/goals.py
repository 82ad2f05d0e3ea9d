"""The goals that Ottla set itself (issue 5) and whether a measurement holds them. Pure; works on a stored measurement.

A goal that several figures speak for is held by the worst of them, and one that nothing was measured for is neither held nor missed.
"""

import dataclasses

from . import figures


@dataclasses.dataclass(frozen=True)
class Goal:
    """`sources` are (workload, figure) pairs whose ratios must all reach `least`."""

    title: str
    least: float
    aim: float
    sources: tuple


GOALS = (
    Goal("produce, nothing synced: broker CPU per GB, Kafka / Ottla", 2, 3.5, (("produce-6", "cpu"),)),
    Goal("produce, every write synced: throughput, Ottla / Kafka", 2, 4, (("produce-6-synced", "throughput"),)),
    Goal("produce, every write synced: CPU per GB, Kafka / Ottla", 2.5, 4, (("produce-6-synced", "cpu"),)),
    Goal("read at the tail and from disk: CPU per GB, Kafka / Ottla", 1, 1.5, (("fanout", "tail cpu"), ("reads", "cold cpu"))),
    Goal("end-to-end p99 at half load, Kafka / Ottla", 2, 5, (("latency", "half e2e p99"), ("latency-synced", "half e2e p99"))),
    Goal("50 keyed producers of small batches: throughput, Ottla / Kafka", 1.5, 3, (("keyed-50", "throughput"), ("keyed-50-synced", "throughput"))),
    Goal("memory under load, Kafka / Ottla", 4, 10, (("produce-6", "memory"), ("produce-6-synced", "memory"), ("peak", "memory"))),
)
NOTHING_BELOW = Goal("nothing in the table below 1", 1, 1, ())


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a goal. `figure` is the worst ratio, `of` says of what, `kafka` and `ottla` are the medians with their unit; `word` is holds, missed or not measured."""

    goal: Goal
    figure: float | None
    of: str
    kafka: str
    ottla: str
    word: str


def ratios(results):
    """(workload, figure, Kafka's Summary, Ottla's, ratio) of every figure that is compared and was measured on both."""
    for workload in results["workloads"]:
        for figure in workload["figures"]:
            kafka, ottla, ratio, _ = figures.compared(workload, figure)
            if ratio is not None:
                yield workload, figure, kafka, ottla, ratio


def verdicts(results):
    everything = list(ratios(results))
    found = [verdict(goal, [row for row in everything if (row[0]["name"], row[1]["key"]) in goal.sources]) for goal in GOALS]
    return [*found, verdict(NOTHING_BELOW, everything)]


def verdict(goal, rows):
    if not rows:
        return Verdict(goal, None, "", "", "", "not measured")
    workload, figure, kafka, ottla, worst = min(rows, key=lambda row: row[4])
    below = sum(row[4] < goal.least for row in rows)
    of = f"{workload['name']}: {figure['label']}"
    if goal is NOTHING_BELOW:
        of = f"{below} of the {len(rows)} figures that were measured are below 1, the lowest {of}"
    elif len(goal.sources) > 1:
        measured = len(rows)
        of += f" (the worst of {measured})" if measured == len(goal.sources) else f" ({measured} of {len(goal.sources)} measured)"
    # Told with two digits, so decided with two digits: 1.996 is shown as 2.00 and holds.
    word = "holds" if round(worst, 2) >= goal.least else "missed"
    return Verdict(goal, worst, of, figures.shown(kafka.median, figure["unit"]), figures.shown(ottla.median, figure["unit"]), word)
