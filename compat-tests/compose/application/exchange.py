"""Somebody's application: writes to a topic under its own name, and reads in a group until it has all of its own and of another one's messages.

exchange.py OWN OTHER, with the brokers in BOOTSTRAP_SERVERS. Ends with 0 when nothing is missing and nothing came twice.
"""

import os
import sys
import time

from kafka import KafkaConsumer, KafkaProducer

TOPIC = "orders"
MESSAGES = 200
SECONDS = 40


def run(bootstrap, own, other):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5)
    sent = [producer.send(TOPIC, key=f"{own}-{n}".encode(), value=f"message {n} of {own}".encode()) for n in range(MESSAGES)]
    for future in sent:
        future.get(timeout=SECONDS)
    producer.close()

    consumer = KafkaConsumer(TOPIC, bootstrap_servers=bootstrap, group_id=f"readers-{own}", auto_offset_reset="earliest", enable_auto_commit=False)
    wanted = {f"{side}-{n}".encode() for side in (own, other) for n in range(MESSAGES)}
    seen, twice = set(), set()
    end = time.monotonic() + SECONDS
    while seen != wanted and time.monotonic() < end:
        for records in consumer.poll(timeout_ms=500).values():
            for record in records:
                (twice if record.key in seen else seen).add(record.key)
    consumer.commit()
    consumer.close()
    if seen != wanted or twice:
        sys.exit(f"{own}: {len(wanted - seen)} messages are missing, {len(seen - wanted)} are unknown, {len(twice)} came twice")
    print(f"{own}: read {len(seen)} messages")


if __name__ == "__main__":
    run(os.environ["BOOTSTRAP_SERVERS"].split(","), *sys.argv[1:3])
