"""The measurement as one HTML page that needs nothing else: no network, no script. Pure."""

import html

from . import contenders, figures, goals, plots, table

STYLE = """
:root { color-scheme: light dark; --surface: #fcfcfb; --card: #ffffff; --ink: #16191d; --muted: #5b636e; --rule: #e1e4e8; --grid: #e6e8eb; --minor: #f2f3f5;
  --ottla: #1769c4; --kafka: #c2540a; --good: #13733a; --good-back: #e2f4e8; --bad: #a5231c; --bad-back: #fbe6e4; --none-back: #eceef0; }
@media (prefers-color-scheme: dark) { :root { --surface: #14171a; --card: #1b1f24; --ink: #e8eaed; --muted: #a0a8b2; --rule: #30363d; --grid: #343a42; --minor: #252a30;
  --ottla: #6cacf5; --kafka: #f09a5b; --good: #7ddb9c; --good-back: #163322; --bad: #ff9d94; --bad-back: #3c1d1b; --none-back: #2a2f36; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--surface); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; line-height: 1.25; margin: 0 0 6px; } h2 { font-size: 19px; margin: 40px 0 10px; } h3 { font-size: 15px; margin: 0 0 8px; }
p { margin: 6px 0; } .muted { color: var(--muted); } .wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
th { color: var(--muted); font-weight: 600; font-size: 13px; } td.n, th.n { text-align: right; white-space: nowrap; }
tr.head td { padding-top: 18px; font-weight: 600; border-bottom: 2px solid var(--rule); } .range { color: var(--muted); font-size: 12px; }
.word { display: inline-block; padding: 1px 9px; border-radius: 10px; font-weight: 600; font-size: 13px; white-space: nowrap; background: var(--none-back); }
.word.holds { color: var(--good); background: var(--good-back); } .word.missed, .failed { color: var(--bad); } .word.missed { background: var(--bad-back); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 16px; }
.plot { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 14px 16px; align-self: start; } .plot svg { width: 100%; height: auto; display: block; }
svg text { font: 12px system-ui, sans-serif; fill: var(--muted); } svg text.label, svg text.value { fill: var(--ink); } svg text.strong { font-weight: 600; }
svg .grid { stroke: var(--grid); stroke-width: 1; } svg .minor { stroke: var(--minor); } svg .axis { stroke: var(--muted); } svg line.range { stroke: var(--ink); stroke-width: 1.5; opacity: .55; }
svg .ottla { fill: var(--ottla); stroke: var(--ottla); } svg .kafka { fill: var(--kafka); stroke: var(--kafka); } svg .bar { stroke: none; }
svg .mark { stroke: var(--card); stroke-width: 1.5; } svg .line { fill: none; stroke-width: 2; } svg .dashed { stroke-dasharray: 5 4; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 4px 18px; margin: 0; } dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
code, pre { font: 12.5px/1.5 ui-monospace, monospace; } pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: 10px 12px; margin: 6px 0; }
details { border-bottom: 1px solid var(--rule); padding: 8px 0; } summary { cursor: pointer; } li { margin: 4px 0; }
"""


NOT_MEASURED = "<p class='muted'>Not measured in this run.</p>"


def esc(words):
    return html.escape(str(words))


def page(results):
    parts = [head(results), goal_table(results), "<h2>Plots</h2>", plot_grid(results), "<h2>Every workload</h2>", workload_table(results), warned(results), method(results), runs(results)]
    return f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width, initial-scale=1'><title>Ottla and Apache Kafka, {esc(results['date'][:10])}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"


def head(results):
    versions, machine = results["versions"], results["machine"]
    interrupted = "<p class='failed'>Interrupted: not everything was measured.</p>" if results["interrupted"] else ""
    failed = table.failures(results)
    told = f"<p class='failed'>{failed} run{'s' if failed > 1 else ''} failed; the reasons are with the workloads.</p>" if failed else ""
    return (
        "<h1>Ottla and Apache Kafka, side by side</h1>"
        f"<p class='muted'>{esc(results['date'])}. {esc(machine['cores'])} cores, {esc(machine['CPU'])}, {esc(machine['memory'])}. "
        f"{esc(versions.get('ottla', 'Ottla was not measured'))}{esc(' (' + versions['commit of the sources'] + ')' if 'commit of the sources' in versions else '')}; "
        f"{esc('Apache Kafka ' + versions['kafka'] if 'kafka' in versions else 'Kafka was not measured')}. "
        f"{results['rounds']} rounds, {results['seconds']:g} s each after {results['warmup_seconds']:g} s of warm-up.</p>{interrupted}{told}"
    )


def goal_table(results):
    rows = []
    for v in goals.verdicts(results):
        figure = f"{v.figure:.2f}" if v.figure is not None else "-"
        medians = f"<br><span class='range'>Kafka {esc(v.kafka)}, Ottla {esc(v.ottla)}</span>" if v.figure is not None else ""
        word = f"<span class='word {v.word.split()[0]}'>{v.word}</span>"
        rows.append(f"<tr><td>{esc(v.goal.title)}</td><td class='n'>{v.goal.least:g}</td><td class='n'>{v.goal.aim:g}</td><td class='n'><b>{figure}</b></td><td>{word}</td><td>{esc(v.of)}{medians}</td></tr>")
    return (
        "<h2>Goals</h2><div class='wide'><table><thead><tr><th>goal</th><th class='n'>at least</th><th class='n'>aim</th><th class='n'>measured</th><th></th><th>of</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def plot_grid(results):
    cards = [f"<div class='plot'><h3>{esc(title)}</h3>{drawn or NOT_MEASURED}</div>" for title, drawn in plots.all_plots(results)]
    return f"<div class='plots'>{''.join(cards)}</div>"


def side(summary):
    if summary is None:
        return "<td class='n'>-</td>"
    spread = f"<br><span class='range'>{figures.shown(summary.low)} to {figures.shown(summary.high)}</span>" if len(summary.values) > 1 else ""
    return f"<td class='n'>{figures.shown(summary.median)}{spread}</td>"


def workload_table(results):
    rows = []
    for workload in results["workloads"]:
        guarantee = contenders.GUARANTEES[workload["guarantee"]]["title"]
        rows.append(f"<tr class='head'><td colspan='5'>{esc(workload['name'])} <span class='muted'>{esc(workload['title'])}; {esc(guarantee)}</span></td></tr>")
        for figure in workload["figures"]:
            kafka, ottla, ratio, per_round = figures.compared(workload, figure)
            if kafka is None and ottla is None:
                continue
            if ratio is not None:
                spread = f"<br><span class='range'>{figures.ratio_name(figure['better'])}, {per_round[0]:.2f} to {per_round[1]:.2f} by round</span>" if per_round else ""
                told = f"<td class='n'><b class='{'failed' if ratio < 1 else ''}'>{ratio:.2f}</b>{spread}</td>"
            else:
                told = f"<td><span class='range'>{esc(figure['why'] or 'measured on one broker only')}</span></td>"
            rows.append(f"<tr><td>{esc(figure['label'])}</td><td class='muted'>{esc(figure['unit'])}</td>{side(kafka)}{side(ottla)}{told}</tr>")
        rows += [f"<tr><td colspan='5' class='failed'>FAILED: {esc(run['broker'])}, round {run['round']}: {esc(run['failed'])}</td></tr>" for run in workload["runs"] if run["failed"]]
    return (
        "<p class='muted'>Medians, below them lowest to highest. A ratio above 1 is good for Ottla. MB and GB are 10<sup>6</sup> and 10<sup>9</sup> bytes of records, before compression.</p>"
        "<div class='wide'><table><thead><tr><th>figure</th><th>unit</th><th class='n'>Kafka</th><th class='n'>Ottla</th><th class='n'>ratio</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def warned(results):
    items = [
        f"<li>{esc(workload['name'])}, {esc(run['broker'])}, round {run['round']}: {esc(warning)}</li>"
        for workload in results["workloads"] for run in workload["runs"] for warning in run["warnings"]
    ]
    return f"<h2>To be taken with a grain of salt</h2><ul>{''.join(items)}</ul>" if items else ""


def pairs(facts):
    return f"<dl>{''.join(f'<dt>{esc(key)}</dt><dd>{esc(value)}</dd>' for key, value in facts.items())}</dl>"


def method(results):
    guarantees = "".join(
        f"<li><b>{esc(g['title'])}</b>: {esc(g['means'])}. Kafka: {esc(settings(g['kafka']))}. Ottla: {esc(settings(g['ottla']))}.</li>" for g in contenders.GUARANTEES.values()
    )
    brokers = "".join(
        f"<h3>{esc(contenders.NAMES[s['broker']])}, {esc(contenders.GUARANTEES[s['guarantee']]['title'])}</h3><pre>{esc(s['command'])}</pre>"
        f"<pre>{esc(chr(10).join(f'{key}={value}' for key, value in sorted(s['settings'].items())))}</pre>"
        for s in results["brokers"]
    )
    remarks = "".join(f"<li>{esc(remark)}</li>" for remark in results["remarks"])
    return (
        f"<h2>Machine and versions</h2>{pairs({**results['machine'], **results['versions']})}"
        f"<h2>How it was measured</h2><ul>{guarantees}{remarks}</ul><p>Again: <code>{esc(results['command'])}</code></p><h2>The brokers</h2>{brokers}"
    )


def settings(these):
    return ", ".join(f"{key}={value}" for key, value in these.items()) or "its presets"


def runs(results):
    """Every run with its commands, so that each figure can be followed to what was typed."""
    parts = []
    for workload in results["workloads"]:
        for run in workload["runs"]:
            told = "failed" if run["failed"] else f"{run['seconds']:g} s"
            steps = "".join(f"<pre>{esc(step['step'])}: {esc(step['command'])}{esc(machine(step['machine']))}</pre>" for step in run["steps"])
            parts.append(f"<details><summary>{esc(workload['name'])}, {esc(run['broker'])}, round {run['round']} <span class='muted'>{told}, load average before {run.get('load average', 0):.2f}</span></summary>{steps or 'nothing was loaded'}</details>")
    return f"<h2>Every run and its commands</h2><p class='muted'>$BROKER is the broker's address, $PID its process.</p>{''.join(parts)}"


def machine(seen):
    if not seen:
        return ""
    return f"\n{seen['wall_s']:.1f} s; CPU seconds: broker {seen['broker_cpu_s']:.2f}, load {seen['load_cpu_s']:.2f}; cores used by others {seen['others_cores']:.2f}, stolen {seen['stolen_cores']:.2f}"
