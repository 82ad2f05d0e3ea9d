"""Stands for `ottla bench` in tests: takes its command lines, loads nothing, and answers at once, by the address's port (1 is Kafka, else Ottla).

FAKE_FAULT=SUBCOMMAND:FAULT has a subcommand go wrong: exit (fails with a sentence), garbage (prints no JSON), missing (an answer without a field), empty (ends well
without a record), hang (stays until it is stopped), kill (kills the broker, then fails).
"""

import argparse
import json
import os
import signal
import sys
import time

PERCENTILES = {"mean": 1.0, "p50": 0.8, "p75": 1.0, "p90": 1.5, "p95": 2.0, "p99": 4.0, "p99.9": 9.0, "p99.99": 20.0, "max": 50.0}


def options():
    p = argparse.ArgumentParser()
    p.add_argument("subcommand", choices=["load", "read", "group", "commits", "connections"])
    for name in ("bootstrap-server", "broker-pid", "topic", "acks", "compression"):
        p.add_argument("--" + name)
    for name in ("partitions", "producers", "consumers", "record-bytes", "batch-bytes", "repeat", "members", "connections", "count", "rate"):
        p.add_argument("--" + name, type=int, default=0)
    for name in ("linger-ms", "seconds", "warmup-seconds"):
        p.add_argument("--" + name, type=float, default=0)
    p.add_argument("--topic-config", action="append", default=[])
    p.add_argument("--keys", action="store_true")
    p.add_argument("--json", action="store_true", required=True)
    return p.parse_args()


def side(records, record_bytes, seconds, factor):
    return {
        "records": records, "bytes": records * record_bytes, "bytes_per_second": records * record_bytes / seconds,
        "latency_us": {name: 1000 * factor * value for name, value in PERCENTILES.items()},
    }


def answer(args, slow):
    broker = {"cpu_user_s": 0.2 * slow, "cpu_system_s": 0.1 * slow, "rss_bytes": 100_000_000 * slow, "peak_rss_bytes": 120_000_000 * slow}
    generator = {"cpu_user_s": 0.1, "cpu_system_s": 0.1}
    found = {"workload": args.subcommand, "broker": broker}
    if args.subcommand == "load":
        records = int((args.rate or 400_000 / slow) * args.seconds)
        consumed = side(records * args.consumers, args.record_bytes, args.seconds, slow) if args.consumers else None
        # More consumers cost the broker more, so that reading at the tail has a price.
        broker["cpu_user_s"] += 0.05 * args.consumers * slow
        found.update(seconds=args.seconds, topic_created_ms=2.0 * slow, produced=side(records, args.record_bytes, args.seconds, slow), consumed=consumed, generator=generator)
    elif args.subcommand == "read":
        consumed = {"records": 500_000, "bytes": 512_000_000, "bytes_per_second": 512_000_000 / slow}
        found.update(seconds=float(slow), consumed=consumed, generator=generator)
    elif args.subcommand == "group":
        found.update(members=args.members, join_ms=100.0 * slow)
    elif args.subcommand == "commits":
        found.update(commits=10_000, per_second=10_000.0 / slow, latency_us={name: 1000 * slow * value for name, value in PERCENTILES.items()})
    else:
        found.update(opened=args.count, open_ms=50.0 * slow)
    return found


def main():
    args = options()
    subcommand, _, fault = os.environ.get("FAKE_FAULT", "").partition(":")
    fault = fault if subcommand == args.subcommand else ""
    slow = 4 if args.bootstrap_server.endswith(":1") else 1
    found = answer(args, slow)
    if fault == "kill":
        os.kill(int(args.broker_pid), signal.SIGKILL)
        time.sleep(0.1)
    if fault in ("exit", "kill"):
        print("the topic is gone", file=sys.stderr)
        return 1
    if fault == "hang":
        time.sleep(600)
    if fault == "missing":
        del found["broker"]["cpu_user_s"]
    if fault == "empty":
        found["produced"]["records"] = 0
    print("this is not JSON" if fault == "garbage" else json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
