"""Figures: what they are called, in which unit, which way is better; medians, spreads and ratios. Pure: it knows no broker and no clock.

Units: MB and GB are 10^6 and 10^9 bytes of records (keys and values), before compression.
"""

import dataclasses
import math
import statistics

MB = 1e6
GB = 1e9


@dataclasses.dataclass(frozen=True)
class Figure:
    """One column of a workload. `better` is "more" or "less"; None shows a figure without comparing it, with the reason in `why`."""

    key: str
    label: str
    unit: str
    better: str | None
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Summary:
    """Several runs' values of one figure."""

    values: tuple

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def low(self):
        return min(self.values)

    @property
    def high(self):
        return max(self.values)

    @property
    def spread(self):
        """How far apart the runs are, as a part of the median; 0 for a single run."""
        return (self.high - self.low) / abs(self.median) if self.median else 0.0


def summary(values):
    """None when there is nothing to sum up."""
    kept = tuple(float(value) for value in values if value is not None and math.isfinite(value))
    return Summary(kept) if kept else None


def ratio(kafka, ottla, better):
    """How many times better Ottla is: Ottla/Kafka where more is better, Kafka/Ottla where less is. None when that cannot be said."""
    if better is None or kafka is None or ottla is None:
        return None
    above, below = (ottla, kafka) if better == "more" else (kafka, ottla)
    return above / below if above > 0 and below > 0 else None


def ratio_name(better):
    return {"more": "Ottla/Kafka", "less": "Kafka/Ottla"}.get(better, "")


def cpu_per_gb(broker, size_bytes):
    """Broker CPU seconds, user and system, for each GB of records."""
    if not broker or size_bytes <= 0:
        return None
    return (broker["cpu_user_s"] + broker["cpu_system_s"]) / (size_bytes / GB)


def generator_cores(answer):
    """How many cores the generator kept busy while it measured; None when it did not say."""
    used, seconds = answer.get("generator"), answer.get("seconds")
    return (used["cpu_user_s"] + used["cpu_system_s"]) / seconds if used and seconds else None


def of_load(answer, prefix=""):
    """What a `bench load` says: rates, CPU per GB produced, memory, latencies in ms."""
    produced, consumed, broker = answer["produced"], answer.get("consumed"), answer["broker"]
    found = {
        "throughput": produced["bytes_per_second"] / MB,
        "records": produced["records"] / answer["seconds"],
        "cpu": cpu_per_gb(broker, produced["bytes"]),
        "memory": broker["peak_rss_bytes"] / MB,
        "generator": generator_cores(answer),
    }
    for name, side in (("produce", produced), ("e2e", consumed)):
        if side:
            for percentile, us in side["latency_us"].items():
                found[f"{name} {percentile}"] = us / 1000
    if consumed:
        found["consumed"] = consumed["bytes_per_second"] / MB
        found["consumed records"] = consumed["records"] / answer["seconds"]
    return {prefix + key: value for key, value in found.items()}


def of_read(answer, prefix=""):
    consumed = answer["consumed"]
    return {
        prefix + "throughput": consumed["bytes_per_second"] / MB,
        prefix + "cpu": cpu_per_gb(answer["broker"], consumed["bytes"]),
        prefix + "memory": answer["broker"]["peak_rss_bytes"] / MB,
        prefix + "generator": generator_cores(answer),
    }


def by_broker(workload, key):
    """{broker: Summary} of one figure over a recorded workload's runs; failed runs have none."""
    found = {}
    for kind in ("kafka", "ottla"):
        got = summary([run["figures"].get(key) for run in workload["runs"] if run["broker"] == kind and not run.get("failed")])
        if got:
            found[kind] = got
    return found


def compared(workload, figure):
    """(Kafka's Summary, Ottla's, ratio of the medians, (lowest, highest) ratio of one round) of a recorded workload's figure, as dicts hold it."""
    both = by_broker(workload, figure["key"])
    kafka, ottla = both.get("kafka"), both.get("ottla")
    of_medians = ratio(kafka.median if kafka else None, ottla.median if ottla else None, figure["better"])
    rounds = {}
    for run in workload["runs"]:
        if not run.get("failed"):
            rounds.setdefault(run["round"], {})[run["broker"]] = run["figures"].get(figure["key"])
    each = [ratio(pair.get("kafka"), pair.get("ottla"), figure["better"]) for pair in rounds.values()]
    each = [one for one in each if one is not None]
    return kafka, ottla, of_medians, (min(each), max(each)) if each else None


def shown(value, unit=""):
    """A number with three digits that count, and thousands separated: 4.21, 61.3, 812, 95,300."""
    if value is None:
        return "-"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 or size == 0 else min(2 - math.floor(math.log10(size)), 6)
    text = f"{value:,.{digits}f}"
    return f"{text} {unit}" if unit else text
