"""The measurement as the README's table. Pure."""

from . import contenders, figures, goals


def table(results):
    versions, machine = results["versions"], results["machine"]
    rounds = f"{results['rounds']} rounds of {results['seconds']:g} s after {results['warmup_seconds']:g} s of warm-up"
    lines = [
        f"{results['date'][:10]}, {machine['cores']} cores ({machine['CPU']}), {machine['memory']}, {machine['kernel']}, {machine['file system of the data'].split()[0]}; "
        f"{versions.get('ottla', 'Ottla')} ({versions.get('commit of the sources', 'unknown')}), Apache Kafka {versions.get('kafka', '(not measured)')}; `scripts/bench.sh --{results['mode']}`, {rounds}"
        + (", interrupted." if results["interrupted"] else "."),
        "",
        "| goal | at least | aim | measured | |",
        "|---|---|---|---|---|",
    ]
    for v in goals.verdicts(results):
        lines.append(f"| {v.goal.title} | {v.goal.least:g} | {v.goal.aim:g} | {f'{v.figure:.2f}' if v.figure is not None else '-'} | {v.word} |")
    lines += ["", "| workload | figure | Kafka | Ottla | ratio |", "|---|---|---|---|---|"]
    for workload in results["workloads"]:
        lines += rows(workload)
    return "\n".join(lines)


def rows(workload):
    title = cell(f"{workload['title']} ({contenders.GUARANTEES[workload['guarantee']]['title']})")
    found = []
    for figure in workload["figures"]:
        if figure["better"] is None:
            continue
        kafka, ottla, ratio, _ = figures.compared(workload, figure)
        if kafka is None and ottla is None:
            continue
        medians = [figures.shown(side.median) if side else "-" for side in (kafka, ottla)]
        found.append(f"| {'' if found else title} | {cell(figure['label'])}, {figure['unit']} | {medians[0]} | {medians[1]} | {f'{ratio:.2f}' if ratio is not None else '-'} |")
    failed = sum(1 for run in workload["runs"] if run["failed"])
    if failed:
        found.append(f"| {'' if found else title} | {failed} of {len(workload['runs'])} runs failed | | | |")
    return found


def cell(text):
    return text.replace("|", "\\|")
