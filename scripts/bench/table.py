"""The measurement as text for a terminal: the goals first, then every workload, then what went wrong or needs a grain of salt. Pure."""

from . import contenders, figures, goals


def lines(results):
    yield from head(results)
    yield ""
    yield from goal_lines(results)
    for workload in results["workloads"]:
        yield ""
        yield from workload_lines(workload)
    yield ""
    yield from notes(results)


def head(results):
    machine, versions = results["machine"], results["versions"]
    yield f"Ottla and Apache Kafka on this machine, {results['date']}, {results['mode']}: {results['rounds']} rounds, {results['seconds']:g} s each after {results['warmup_seconds']:g} s of warm-up"
    yield ", ".join(f"{key} {value}" for key, value in machine.items())
    yield ", ".join(f"{key}: {value}" for key, value in versions.items())
    yield "Every run: a fresh process, an empty folder, its own port; order A B A B. Medians, in brackets lowest to highest. A ratio above 1 is good for Ottla. MB, GB: 10^6, 10^9 bytes of records."
    if results["interrupted"]:
        yield "INTERRUPTED: not everything was measured."


def goal_lines(results):
    yield f"{'goal':<62} {'at least':>8} {'aim':>5} {'figure':>7}  {'verdict':<13} of"
    for v in goals.verdicts(results):
        figure = f"{v.figure:.2f}" if v.figure is not None else "-"
        medians = f": Kafka {v.kafka}, Ottla {v.ottla}" if v.figure is not None else ""
        yield f"{v.goal.title:<62} {v.goal.least:>8g} {v.goal.aim:>5g} {figure:>7}  {v.word:<13} {v.of}{medians}"


def ranged(summary, wide=True):
    if summary is None:
        return "-"
    text = figures.shown(summary.median)
    return f"{text} [{figures.shown(summary.low)}-{figures.shown(summary.high)}]" if wide and len(summary.values) > 1 else text


def workload_lines(workload):
    guarantee = contenders.GUARANTEES[workload["guarantee"]]["title"]
    yield f"{workload['name']}: {workload['title']} ({guarantee})"
    yield f"    {'':<58} {'Kafka':>26} {'Ottla':>26} {'ratio':>7}"
    measured = False
    for figure in workload["figures"]:
        kafka, ottla, ratio, _ = figures.compared(workload, figure)
        if kafka is None and ottla is None:
            continue
        measured = True
        label = f"{figure['label']}, {figure['unit']}"
        told = f"{ratio:>7.2f} {figures.ratio_name(figure['better'])}" if ratio is not None else f"{'-':>7}"
        yield f"    {label:<58} {ranged(kafka):>26} {ranged(ottla):>26} {told}"
    if not measured:
        yield "    no figures"
    for run in workload["runs"]:
        if run["failed"]:
            yield f"    FAILED: {run['broker']}, round {run['round']}: {' '.join(run['failed'].split())}"


def notes(results):
    """Warnings, each once with how often it came."""
    counted = {}
    for workload in results["workloads"]:
        for run in workload["runs"]:
            for warning in run["warnings"]:
                counted.setdefault(f"{workload['name']}, {run['broker']}", []).append(warning)
    if counted:
        yield "To be taken with a grain of salt:"
    for who, warnings in counted.items():
        for warning in warnings:
            yield f"    {who}: {warning}"
    for remark in results["remarks"]:
        yield remark
    yield f"Again: {results['command']}"
    for side in results["brokers"]:
        settings = " ".join(f"{key}={value}" for key, value in sorted(side["settings"].items()))
        yield f"{contenders.NAMES[side['broker']]}, {contenders.GUARANTEES[side['guarantee']]['title']}: {side['command']}"
        yield f"    with {settings}"


def failures(results):
    return sum(1 for workload in results["workloads"] for run in workload["runs"] if run["failed"])
