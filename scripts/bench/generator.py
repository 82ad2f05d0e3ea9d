"""Runs the native load generator, `ottla bench`, and checks what it answers before anybody computes with it.

It never changes an answer: what a field is missing from, or what a failed run printed, is a fault that is told.
"""

import json
import shlex
import signal
import subprocess

PERCENTILES = ("p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "max")
# Fields that an answer must have, by subcommand; what may be null is not in here.
NEEDED = {
    "load": ("seconds", "produced.records", "produced.bytes", "produced.bytes_per_second", *(f"produced.latency_us.{p}" for p in PERCENTILES)),
    "read": ("seconds", "consumed.records", "consumed.bytes", "consumed.bytes_per_second"),
    "group": ("members", "join_ms"),
    "commits": ("commits", "per_second", "latency_us.p50", "latency_us.p99"),
    "connections": ("opened", "open_ms"),
}
BROKER = ("cpu_user_s", "cpu_system_s", "rss_bytes", "peak_rss_bytes")


class LoadError(Exception):
    """A generator or tool that failed, took too long or answered what cannot be; the message says which and why."""


def field(answer, path):
    """The number at a dotted path whose last part may itself hold a dot (p99.9); None when it is not there or no number."""
    here, parts = answer, path.split(".")
    while parts:
        if not isinstance(here, dict):
            return None
        whole = ".".join(parts)
        if whole in here:
            here, parts = here[whole], []
        else:
            here, parts = here.get(parts[0]), parts[1:]
    return here if isinstance(here, (int, float)) and not isinstance(here, bool) else None


def checked(answer, subcommand, options):
    """The answer, when it is whole and tells of a load that took place."""
    if not isinstance(answer, dict) or answer.get("workload") != subcommand:
        raise LoadError(f"bench {subcommand} answered something else than a result of {subcommand}")
    needed = list(NEEDED[subcommand])
    if subcommand == "load" and options.get("consumers", 0):
        needed += ["consumed.records", "consumed.bytes", *(f"consumed.latency_us.{p}" for p in PERCENTILES)]
    needed += [f"broker.{name}" for name in BROKER]
    missing = [path for path in needed if field(answer, path) is None]
    if missing:
        raise LoadError(f"bench {subcommand} answered without {', '.join(missing[:4])}")
    for counted in ("produced.records", "consumed.records", "commits", "opened", "members"):
        if counted in needed and field(answer, counted) <= 0:
            raise LoadError(f"bench {subcommand} ended well, but {counted} is {field(answer, counted):g}: nothing was measured")
    if subcommand == "connections" and answer["opened"] < options["count"]:
        raise LoadError(f"bench connections opened {answer['opened']} of {options['count']} connections")
    return answer


def words(options):
    """--name value for each option; a list repeats the option, True is a flag, None and False leave it out."""
    found = []
    for name, value in options.items():
        option = "--" + name.replace("_", "-")
        if value is True:
            found.append(option)
        elif isinstance(value, (list, tuple)):
            for one in value:
                found += [option, str(one)]
        elif value is not None and value is not False:
            found += [option, str(value)]
    return found


class Running:
    """A program of a load that is under way. It is in the terminal's group, so that Ctrl-C reaches it as well."""

    def __init__(self, argv):
        self.argv = argv
        try:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        except OSError as e:
            raise LoadError(f"{argv[0]} cannot be run: {e.strerror}") from e

    def output(self, within_s, quitting=None):
        """What it printed when it ended well. `quitting`, called every second, gives a reason to stop waiting, such as a broker that died."""
        left = within_s
        while True:
            try:
                out, err = self.process.communicate(timeout=min(1.0, max(left, 0.01)))
                break
            except subprocess.TimeoutExpired:
                left -= 1
                reason = quitting() if quitting else None
                if reason is None and left > 0:
                    continue
                self.stop()
                raise LoadError(reason or f"{self.shown()} did not end within {within_s:.0f} s") from None
        if self.process.returncode != 0:
            said = " ".join((err.strip() or out.strip() or "without a word").split())[-600:]
            reason = quitting() if quitting else None
            raise LoadError(f"{self.shown()} ended with {self.process.returncode}: {said}" + (f"; {reason}" if reason else ""))
        return out

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.communicate(timeout=3)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()

    def shown(self):
        return " ".join(str(word) for word in self.argv[:3]).rpartition("/")[2]


class Generator:
    """`program` is the start of a command line: the binary and `bench`."""

    def __init__(self, program):
        self.program = list(program)

    def command(self, subcommand, broker, options):
        to = ["--bootstrap-server", broker.bootstrap, "--broker-pid", str(broker.pid)]
        return [*self.program, subcommand, *to, *words(options), "--json"]

    def start(self, subcommand, broker, options):
        running = Running(self.command(subcommand, broker, options))
        running.subcommand, running.options = subcommand, options
        return running

    def finish(self, running, within_s, quitting=None):
        out = running.output(within_s, quitting)
        try:
            answer = json.loads(out)
        except ValueError as e:
            raise LoadError(f"{running.shown()} printed no JSON object ({e})") from e
        return checked(answer, running.subcommand, running.options)


def shown(argv, broker):
    """A command line as somebody would repeat it: the address and the process in general terms."""
    general = {broker.bootstrap: "$BROKER", str(broker.pid): "$PID"}
    return " ".join(general.get(word) or shlex.quote(word.rpartition("/")[2] if at == 0 else word) for at, word in enumerate(map(str, argv)))
