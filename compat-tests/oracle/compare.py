"""Sends the same requests to Apache Kafka and to Ottla and compares their answers field by field: every promised API at every version, good, bad and odd.

    compare.py --start                    starts both brokers itself
    compare.py --oracle H:P --ottla H:P   uses brokers that run already
    compare.py --self-check               Kafka against Kafka: whatever differs needs a rule in wire/normal.py, or a steadier scenario
    compare.py --self-check --prove       and then changes every field of every answer, one at a time: each change must be noticed
    compare.py ... --alter Produce:BaseOffset   changes that field in the second broker's answers: the table must show it

Prints a table of APIs and versions, then each difference with its path and both values. Exit code 0: no difference that permitted.toml doesn't list.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import dataclasses
import json
import pathlib
import sys
import traceback
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import brokers  # noqa: E402
import scenarios  # noqa: E402
from wire.difference import Difference, Permitted, differences  # noqa: E402
from wire.normal import State, normalise  # noqa: E402
from wire.session import Session  # noqa: E402

BROKER_SETTINGS = {"num.partitions": "2", "auto.create.topics.enable": "true", "group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "0",
    # The scenarios write records of 2023: a slow run must not see them expire.
    "log.initial.task.delay.ms": "86400000"}


@dataclasses.dataclass
class Outcome:
    """What one scenario at one version came to: the steps compared, or why it did not run to its end on a broker."""

    scenario: scenarios.Scenario
    version: int
    steps: list = dataclasses.field(default_factory=list)
    differences: list = dataclasses.field(default_factory=list)
    transcript: list = dataclasses.field(default_factory=list)
    session: Session = None


def play(scenario, version, address, run_id):
    """Runs a scenario on one broker. Returns (its session or None, error text or None); the steps up to an error count."""
    try:
        session = Session(address, scenario.name.replace(".", "-").replace("_", "-"), version, run_id)
    except OSError as e:
        return None, f"cannot connect to {address}: {e}"
    try:
        scenario.run(session)
        return session, None
    except Exception as e:  # a scenario that breaks on an odd answer is a finding, and the others must go on
        where = traceback.extract_tb(e.__traceback__)[-1]
        spot = next((f for f in reversed(traceback.extract_tb(e.__traceback__)) if "/scenarios/" in f.filename), where)
        return session, f"{type(e).__name__}: {e} (line {spot.lineno} of {pathlib.Path(spot.filename).name})"
    finally:
        session.close()


def other_value(value):
    """A value that differs from `value` under every rule of wire/normal.py."""
    if isinstance(value, list):
        return [] if value else ["<altered>"]
    if value is None or value == "":
        return "<altered>"
    if isinstance(value, (str, bytes)):
        return None
    return -77 if value != -77 else -78


def alter(answer, name):
    """`answer` with every field `name` changed. Returns (the new answer, how many were changed)."""
    if isinstance(answer, dict):
        out, count = {}, 0
        for field, value in answer.items():
            out[field], changed = (other_value(value), 1) if field == name else alter(value, name)
            count += changed
        return out, count
    if isinstance(answer, list):
        pairs = [alter(value, name) for value in answer]
        return [value for value, _ in pairs], sum(count for _, count in pairs)
    return answer, 0


def field_names(answer):
    if isinstance(answer, dict):
        return set(answer) | set().union(*map(field_names, answer.values())) if answer else set()
    return set().union(*map(field_names, answer)) if isinstance(answer, list) else set()


def prove(outcomes, oracle):
    """For every field of every API that was answered: changes it in one answer after the other, and demands that each change is noticed. Returns the fields that were not."""
    unnoticed, tried = collections.Counter(), 0
    for outcome in outcomes:
        for step in outcome.session.steps:
            normal = normalise(State(oracle, outcome.session), step.api, step.answer)
            for name in sorted(field_names(step.answer)):
                changed, count = alter(step.answer, name)
                tried += bool(count)
                if count and not any(differences(step.api, normal, normalise(State(oracle, outcome.session), step.api, changed))):
                    unnoticed[(step.api, name)] += 1
    print(f"{tried} altered answers compared, {sum(unnoticed.values())} not noticed")
    return unnoticed


def compare_one(scenario, version, oracle, ottla, altered):
    run_id = uuid.uuid4().hex[:6]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        (asked, left_error), (asked_too, right_error) = pool.map(lambda address: play(scenario, version, address, run_id), (oracle, ottla))
    left, right = (session.steps if session else [] for session in (asked, asked_too))
    outcome = Outcome(scenario, version, session=asked)
    if altered:
        api, _, field = altered.partition(":")
        for step in right:
            if step.api == api:
                step.answer, _ = alter(step.answer, field)
    here = lambda api, v, label, path, a, b: outcome.differences.append(Difference(api, v, scenario.name, label, path, a, b))  # noqa: E731
    if left_error or right_error:
        if left_error != right_error or left_error:
            here(scenario.api, version, "(the scenario)", "<scenario>", left_error or "ran to its end", right_error or "ran to its end")
    if not (asked and asked_too):
        return outcome
    left_state, right_state = State(oracle, asked), State(ottla, asked_too)
    for a, b in zip(left, right):
        outcome.steps.append((a.api, a.version, a.label))
        if (a.label, a.api, a.version) != (b.label, b.api, b.version):
            here(scenario.api, version, a.label, "<next step>", a.label, b.label)
            break
        answers = normalise(left_state, a.api, a.answer), normalise(right_state, b.api, b.answer)
        outcome.transcript.append({"scenario": scenario.name, "step": a.label, "api": a.api, "version": a.version, "request": a.request, "oracle": answers[0], "ottla": answers[1]})
        for path, x, y in differences(a.api, *answers):
            here(a.api, a.version, a.label, path or "<answer>", x, y)
    return outcome


def spans(versions):
    """[3, 4, 5, 9] -> '3-5,9'."""
    out = []
    for v in sorted(versions):
        if out and out[-1][1] == v - 1:
            out[-1][1] = v
        else:
            out.append([v, v])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def short(value, width=160):
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= width else text[:width] + "…"


def report(outcomes, permitted, names):
    """Prints the table and the differences. Returns how many are not permitted."""
    compared, found = collections.Counter(), collections.Counter()
    details, allowed = collections.OrderedDict(), collections.Counter()
    for outcome in outcomes:
        for api, version, _ in outcome.steps:
            compared[(api, version)] += 1
        for d in outcome.differences:
            reason = permitted.reason(d)
            if reason:
                allowed[reason] += 1
                continue
            found[(d.api, d.version)] += 1
            details.setdefault((d.api, d.scenario, d.label, d.path, short(d.oracle), short(d.other)), []).append(d.version)
    width = max(map(len, scenarios.PROMISED))
    for api, (low, high) in scenarios.PROMISED.items():
        cells = [f"{v}:{'not asked' if not compared[(api, v)] and not found[(api, v)] else f'DIFFERS({found[(api, v)]})' if found[(api, v)] else 'same'}" for v in range(low, high + 1)]
        print(f"{api:{width}}  {'  '.join(cells)}")
    for (api, scenario, label, path, oracle, other), versions in details.items():
        print(f"\n{api} v{spans(versions)}  {scenario} / {label}\n    {path}\n      {names[0]}: {oracle}\n      {names[1]}: {other}")
    for reason, count in allowed.items():
        print(f"\npermitted {count} times: {reason}")
    total = sum(compared.values())
    unasked = [f"{api} v{v}" for api, (low, high) in scenarios.PROMISED.items() for v in range(low, high + 1) if not compared[(api, v)]]
    print(f"\n{total} answers compared, {sum(found.values())} fields differ ({len(details)} kinds), {sum(allowed.values())} permitted, {len(unasked)} of the promised versions not asked")
    return sum(found.values())


@contextlib.contextmanager
def addresses(args):
    if args.start or args.self_check:
        second = brokers.Kafka if args.self_check else brokers.Ottla
        with brokers.Kafka(settings=BROKER_SETTINGS) as oracle, second(settings=BROKER_SETTINGS) as other:
            yield oracle.bootstrap, other.bootstrap
    else:
        yield args.oracle, args.ottla


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", default="127.0.0.1:9093")
    parser.add_argument("--ottla", default="127.0.0.1:9092")
    parser.add_argument("--start", action="store_true")
    parser.add_argument("--self-check", action="store_true")
    parser.add_argument("--prove", action="store_true")
    parser.add_argument("--alter", metavar="API:FIELD")
    parser.add_argument("--api", action="append", help="only scenarios of this API (may be repeated)")
    parser.add_argument("--scenario", action="append", help="only scenarios whose name contains this (may be repeated)")
    parser.add_argument("--jobs", type=int, default=3, help="scenarios at the same time (default 3)")
    parser.add_argument("--transcript", metavar="FILE", help="write every step, as JSON lines with both normalised answers")
    parser.add_argument("--no-permitted", action="store_true", help="show the permitted differences too")
    args = parser.parse_args()

    chosen = [s for s in scenarios.load() if (not args.api or s.api in args.api) and (not args.scenario or any(t in s.name for t in args.scenario))]
    work = [(s, v) for s in chosen for v in s.versions]
    if not work:
        sys.exit("no scenario chosen")
    permitted = Permitted("/dev/null" if args.no_permitted or args.self_check else HERE / "permitted.toml")
    with addresses(args) as (oracle, ottla), concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        outcomes = list(pool.map(lambda w: compare_one(*w, oracle, ottla, args.alter), work))
    if args.transcript:
        with open(args.transcript, "w") as file:
            for outcome in outcomes:
                file.writelines(json.dumps(step, default=lambda v: v.hex() if isinstance(v, bytes) else str(v)) + "\n" for step in outcome.transcript)
    bad = report(outcomes, permitted, ("kafka", "kafka too" if args.self_check else "ottla"))
    if args.prove:
        unnoticed = prove(outcomes, oracle)
        for (api, name), count in sorted(unnoticed.items()):
            print(f"not noticed: {api} {name}, {count} times")
        bad += len(unnoticed)
    if not args.api and not args.scenario:
        for entry in permitted.unused():
            print(f"permitted.toml: nothing differs any more by this entry: {entry['api']} {entry['path']} ({entry['reason']})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
