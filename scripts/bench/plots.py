"""Plots as inline SVG: no script, no network, colours from the page's style, so that they follow light and dark. Pure.

Every mark has a title with its numbers; colour is never the only difference (circles are Ottla's, squares Kafka's, and each is named in words).
"""

import html
import math

from . import contenders, figures

WIDTH = 560
KINDS = ("kafka", "ottla")


def svg(width, height, label, body):
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(label)}" xmlns="http://www.w3.org/2000/svg">{"".join(body)}</svg>'


def text(x, y, words, anchor="start", cls="tick"):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{cls}">{html.escape(words)}</text>'


def line(x1, y1, x2, y2, cls="grid"):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{cls}"/>'


def mark(kind, x, y, title):
    shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"' if kind == "ottla" else f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"'
    return f'{shape} class="{kind} mark"><title>{html.escape(title)}</title>{"</circle>" if kind == "ottla" else "</rect>"}'


def path(kind, points, cls=""):
    steps = " ".join(f"{'M' if at == 0 else 'L'}{x:.1f} {y:.1f}" for at, (x, y) in enumerate(points))
    return f'<path d="{steps}" class="{kind} line {cls}"/>'


def nice_step(span, ticks=5):
    """A step of 1, 2 or 5 times a power of ten that gives about `ticks` ticks over `span`."""
    raw = max(span, 1e-9) / ticks
    power = 10 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= raw - 1e-12)


class LogAxis:
    """Latencies, upwards: whole decades around the values."""

    def __init__(self, values, top, bottom):
        self.low = math.floor(math.log10(min(values)))
        self.high = max(math.ceil(math.log10(max(values)) - 1e-9), self.low + 1)
        self.top, self.bottom = top, bottom

    def y(self, value):
        part = (math.log10(value) - self.low) / (self.high - self.low)
        return self.bottom - part * (self.bottom - self.top)

    def grid(self, left, right, unit):
        for power in range(self.low, self.high + 1):
            y = self.y(10**power)
            yield line(left, y, right, y)
            yield text(left - 8, y + 4, f"{10**power:g} {unit}", "end")
            for part in range(2, 10) if power < self.high else ():
                yield line(left, self.y(part * 10**power), right, self.y(part * 10**power), "grid minor")


def legend(x, y, kinds=KINDS):
    for kind in kinds:
        yield mark(kind, x, y - 4, contenders.NAMES[kind])
        yield text(x + 10, y, contenders.NAMES[kind], cls="label")
        x += 24 + 7 * len(contenders.NAMES[kind])


def medians(workload, key):
    return {kind: got.median for kind, got in figures.by_broker(workload, key).items()}


def throughput_against_latency(workload):
    """p50 and p99 end to end over MB/s, at parts of each broker's own peak; None when there are no such points."""
    points = {}
    for figure in workload["figures"]:
        if figure["key"].startswith("own ") and figure["key"].endswith(" throughput"):
            part = figure["key"].removesuffix("throughput")
            x, p50, p99 = (medians(workload, part + name) for name in ("throughput", "e2e p50", "e2e p99"))
            for kind in x:
                if p50.get(kind, 0) > 0 and p99.get(kind, 0) > 0:
                    points.setdefault(kind, []).append((x[kind], p50[kind], p99[kind], part.split()[1]))
    if not points:
        return None
    left, right, top, bottom = 70, WIDTH - 20, 40, 300
    axis = LogAxis([value for series in points.values() for point in series for value in point[1:3]], top, bottom)
    step = nice_step(max(point[0] for series in points.values() for point in series))
    most = step * math.ceil(max(point[0] for series in points.values() for point in series) / step - 1e-9)
    across = lambda value: left + value / most * (right - left)  # noqa: E731
    body = [*axis.grid(left, right, "ms"), *legend(left, 20, sorted(points))]
    body += [text(across(at * step), bottom + 18, f"{at * step:g}", "middle") for at in range(round(most / step) + 1)]
    body.append(text((left + right) / 2, bottom + 38, "MB/s produced and read at the tail by one consumer; solid p99, dashed p50", "middle", "label"))
    for kind, series in points.items():
        series.sort()
        body.append(path(kind, [(across(x), axis.y(p50)) for x, p50, _, _ in series], "dashed"))
        body.append(path(kind, [(across(x), axis.y(p99)) for x, _, p99, _ in series]))
        for x, p50, p99, part in series:
            for name, value in (("p50", p50), ("p99", p99)):
                body.append(mark(kind, across(x), axis.y(value), f"{contenders.NAMES[kind]} at {part} of its peak: {figures.shown(x)} MB/s, {name} {figures.shown(value)} ms"))
    return svg(WIDTH, bottom + 48, "end-to-end latency over throughput", body)


PERCENTILES = (("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999))


def latency_percentiles(workload):
    """End-to-end latency at half load by percentile, both axes logarithmic (the distance to 100% across); None when nothing was measured."""
    series = {}
    for name, part in PERCENTILES:
        for kind, value in medians(workload, f"half e2e {name}").items():
            if value > 0:
                series.setdefault(kind, []).append((-math.log10(1 - part), value, name))
    if not series:
        return None
    left, right, top, bottom = 70, WIDTH - 20, 40, 300
    axis = LogAxis([value for points in series.values() for _, value, _ in points], top, bottom)
    first, last = -math.log10(0.5), 4
    across = lambda nines: left + (nines - first) / (last - first) * (right - left)  # noqa: E731
    body = [*axis.grid(left, right, "ms"), *legend(left, 20, sorted(series))]
    for name, part in PERCENTILES:
        x = across(-math.log10(1 - part))
        body += [line(x, top, x, bottom, "grid minor"), text(x, bottom + 18, name, "middle")]
    body.append(text((left + right) / 2, bottom + 38, "percentile of records, end to end from the scheduled time, the same rate for both", "middle", "label"))
    for kind, points in series.items():
        body.append(path(kind, [(across(nines), axis.y(value)) for nines, value, _ in points]))
        body += [mark(kind, across(nines), axis.y(value), f"{contenders.NAMES[kind]}, {name}: {figures.shown(value)} ms") for nines, value, name in points]
    return svg(WIDTH, bottom + 48, "end-to-end latency percentiles at half load", body)


def bars(rows, unit, label):
    """Two bars for each row (title, {broker: Summary}), from zero; a thin line spans lowest to highest. None without rows."""
    rows = [row for row in rows if row[1]]
    if not rows:
        return None
    left, right, top, group = 226, WIDTH - 64, 44, 44
    most = max(side.high for _, sides in rows for side in sides.values()) or 1
    wide = lambda value: value / most * (right - left)  # noqa: E731
    body = list(legend(left, 20))
    for at, (title, sides) in enumerate(rows):
        y = top + at * group
        workload, _, figure = title.partition(": ")
        body += [text(left - 10, y + 13, workload, "end", "label strong"), text(left - 10, y + 28, figure, "end", "tick")]
        for offset, kind in enumerate(KINDS):
            side, top_of_bar = sides.get(kind), y + 2 + offset * 16
            if side is None:
                body.append(text(left + 4, top_of_bar + 11, f"{contenders.NAMES[kind]}: no figure"))
                continue
            said = f"{contenders.NAMES[kind]}, {title}: {figures.shown(side.median, unit)}, {figures.shown(side.low)} to {figures.shown(side.high)}"
            body.append(f'<rect x="{left}" y="{top_of_bar}" width="{max(wide(side.median), 1):.1f}" height="14" rx="2" class="{kind} bar"><title>{html.escape(said)}</title></rect>')
            if len(side.values) > 1:
                body.append(line(left + wide(side.low), top_of_bar + 7, left + wide(side.high), top_of_bar + 7, "range"))
            body.append(text(left + wide(side.high) + 6, top_of_bar + 11, figures.shown(side.median), cls="value"))
    body.append(line(left, top - 4, left, top + len(rows) * group - 6, "axis"))
    return svg(WIDTH, top + len(rows) * group + 4, label, body)


def rows_of(results, wanted):
    """(title, {broker: Summary}) of the figures that `wanted(figure)` takes, of all workloads."""
    for workload in results["workloads"]:
        for figure in workload["figures"]:
            if wanted(figure):
                synced = ", every write synced" if workload["guarantee"] == "synced" and not workload["name"].endswith("-synced") else ""
                yield f"{workload['name']}{synced}: {figure['label']}", figures.by_broker(workload, figure["key"])


def all_plots(results):
    """(title, svg or None) in the page's order."""
    by_name = {workload["name"]: workload for workload in results["workloads"]}
    for name, words in (("latency", "nothing synced"), ("latency-synced", "every write synced")):
        if name in by_name:
            if name == "latency":
                yield f"Throughput against latency, {words}", throughput_against_latency(by_name[name])
            yield f"Latency percentiles at half load, {words}", latency_percentiles(by_name[name])
    yield "Broker CPU per GB, CPU seconds (less is better)", bars(rows_of(results, lambda f: f["unit"].startswith("CPU-s/GB")), "CPU-s/GB", "broker CPU per GB")
    yield "Broker memory, MB (less is better)", bars(rows_of(results, lambda f: f["unit"] == "MB" and "memory" in f["label"]), "MB", "broker memory")
    yield "Throughput, MB/s (more is better)", bars(rows_of(results, lambda f: f["unit"] == "MB/s" and f["better"] == "more"), "MB/s", "throughput")
