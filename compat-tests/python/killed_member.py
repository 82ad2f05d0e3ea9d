"""A consumer in a process of its own, so that a test can kill -9 it: killed_member.py TOPIC GROUP SESSION_TIMEOUT_MS. Prints what it is assigned, then polls for ever."""

import sys

import kp

topic, group, session_timeout_ms = sys.argv[1:]
with kp.consumer(topic, group_id=group, session_timeout_ms=int(session_timeout_ms)) as c:
    told = None
    while True:
        c.poll(timeout_ms=kp.POLL_MS)
        if c.assignment() != told:
            told = c.assignment()
            print(len(told), flush=True)
