"""Runs the suites of all Python clients and kafka-python's own integration tests, and prints one line for each client: what the README's table is made from.

run.py --with ottla (or kafka) starts a broker for the run; without it the suites go to OTTLA_BOOTSTRAP. Further arguments go to pytest.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "oracle"))
import brokers  # noqa: E402

CLIENTS = {"kafka-python": "test_kafka_python_*.py", "confluent-kafka": "test_confluent_*.py", "aiokafka": "test_aiokafka.py"}
SUITES = {**CLIENTS, "restarts": "test_restarts.py"}  # the last starts its brokers itself

BROKER_SETTINGS = {"num.partitions": "2", "group.min.session.timeout.ms": "1000", "group.initial.rebalance.delay.ms": "0"}


def version(client):
    return re.search(rf"^{client}==(\S+)$", (HERE / "requirements.txt").read_text(), re.MULTILINE).group(1)


def run(client, bootstrap, arguments, kind=None):
    """(passed, failed, skipped) of one client's suite, printed as pytest prints them. No test at all counts as one failure."""
    files = sorted(str(p) for p in HERE.glob(SUITES[client]))
    report = brokers.CACHE / f"suite-{os.getpid()}.xml"
    command = [sys.executable, "-m", "pytest", "--show-capture=no", f"--junitxml={report}", *files, *arguments]
    code = subprocess.run(command, cwd=HERE, env=dict(os.environ, OTTLA_BOOTSTRAP=bootstrap, **({"OTTLA_KIND": kind} if kind else {}))).returncode
    try:
        suite = next(xml.parse(report).iter("testsuite"))
        failed = int(suite.get("failures")) + int(suite.get("errors"))
        skipped = int(suite.get("skipped"))
        passed = int(suite.get("tests")) - failed - skipped
    except (OSError, xml.ParseError, StopIteration):
        passed, failed, skipped = 0, 1, 0
    report.unlink(missing_ok=True)
    return passed, max(failed, int(code != 0)), skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with", dest="kind", choices=sorted(brokers.KINDS))
    parser.add_argument("--client", choices=sorted(SUITES), action="append", help="only this suite (may be repeated)")
    args, rest = parser.parse_known_args()
    lines, bad = [], 0
    for client in [c for c in args.client or CLIENTS if c in CLIENTS]:
        if args.kind:
            with brokers.KINDS[args.kind](settings=BROKER_SETTINGS) as broker:
                passed, failed, skipped = run(client, broker.bootstrap, rest)
        else:
            passed, failed, skipped = run(client, os.environ.get("OTTLA_BOOTSTRAP", "127.0.0.1:9092"), rest)
        bad += failed
        lines.append(f"{client} {version(client)}: {passed} passed, {failed} failed, {skipped} skipped")
    if args.kind and (not args.client or "restarts" in args.client):
        passed, failed, skipped = run("restarts", "", rest, kind=args.kind)
        bad += failed
        lines.append(f"stop, kill -9 and start again: {passed} passed, {failed} failed, {skipped} skipped")
    if not args.client:
        own = [sys.executable, str(HERE / "own_tests.py"), *(["--with", args.kind] if args.kind else [])]
        bad += subprocess.run(own).returncode != 0
    print("\n".join(lines))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
