"""Counts the instructions and allocations of benches/hot_paths under callgrind, and shows them beside those in benches/counts.json.

Times differ from run to run, and from machine to machine; instructions hardly do. What could make them differ is held still: each path has a process of its own,
random bytes are the same ones (same_chance.c), jemalloc gives nothing back by the clock, and addresses are callgrind's own.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COUNTS = ROOT / "benches" / "counts.json"
COMMAND = "scripts/bench-paths.sh"

# In benches/hot_paths/main.rs: collecting begins in the first and is interrupted by the second.
TOGGLES = ["*collected_run*", "*left_out*"]
RUNS = 100
# Counts that go into the file are the median of so many processes.
UPDATE_ROUNDS = 3
# From this difference on a change is marked.
MARKED_PERCENT = 1.0
# A spread below this is not worth telling.
TOLD_SPREAD_PERCENT = 0.1

# What the allocator's callers call.
ALLOCATING = re.compile(r"^(_rjem_)?(malloc|mallocx|calloc|realloc|rallocx|aligned_alloc|posix_memalign|memalign)$")


class Failed(Exception):
    pass


def run(command, **more):
    """What a command prints; its complaint is the error where it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return done.stdout


def built():
    """Builds the benchmark; where its program is."""
    command = ["cargo", "bench", "--locked", "--bench", "hot_paths", "--no-run", "--message-format=json-render-diagnostics"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise Failed("the benchmark does not build")
    for line in done.stdout.splitlines():
        said = json.loads(line)
        if said.get("reason") == "compiler-artifact" and said["target"]["name"] == "hot_paths":
            return said["executable"]
    raise Failed("cargo does not tell where the benchmark is")


def totals(text):
    """Instructions and allocations of a callgrind output file."""
    summary = re.search(r"^(?:summary|totals): (\d+)", text, re.MULTILINE)
    if not summary:
        raise Failed("callgrind's output has no total")
    # Calls are counted there while nothing is collected, too. The first instruction of a function is run once for each call, and only counted when collected.
    names, first, name, is_call = {}, {}, "", False
    for line in text.splitlines():
        # A name stands behind its number where it comes first; then the number is enough.
        if found := re.match(r"c?fn=\((\d+)\)(?: (.*))?$", line):
            if found[2]:
                names[found[1]] = found[2]
            if line.startswith("f"):
                name = names.get(found[1], "")
        elif line.startswith("calls="):
            is_call = True
        elif found := re.match(r"0x([0-9a-f]+) \d+ (\d+)$", line):
            # Behind a call comes what it cost.
            if not is_call and ALLOCATING.match(name):
                address, known = int(found[1], 16), first.get(name)
                if known is None or address < known[0]:
                    first[name] = (address, int(found[2]))
                elif address == known[0]:
                    first[name] = (address, known[1] + int(found[2]))
            is_call = False
    return int(summary[1]), sum(calls for _, calls in first.values())


class Counter:
    """Counts paths of a program, in a folder for what comes up meanwhile."""

    def __init__(self, program, folder, runs=RUNS):
        self.program, self.folder, self.runs = program, pathlib.Path(folder), runs
        library = self.folder / "same_chance.so"
        run(["cc", "-O1", "-shared", "-fPIC", "-o", library, pathlib.Path(__file__).with_name("same_chance.c")])
        # Nothing else of the environment: its length moves the stack.
        self.environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "TMPDIR": str(self.folder), "LD_PRELOAD": str(library),
            "_RJEM_MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1",
        }

    def names(self):
        return run([self.program, "--names"]).split()

    def collect(self, name, number=0):
        """The file that callgrind leaves of a path."""
        out = self.folder / f"{name.replace('/', '-')}.{number}.callgrind"
        toggles = [f"--toggle-collect={toggle}" for toggle in TOGGLES]
        # Positions are instructions' addresses, in full.
        run(["valgrind", "--tool=callgrind", "--dump-instr=yes", "--compress-pos=no", *toggles, f"--callgrind-out-file={out}", self.program, "--count", name, str(self.runs)], env=self.environment)
        return out

    def count(self, name, number=0):
        """Instructions and allocations of one run."""
        out = self.collect(name, number)
        instructions, allocations = totals(out.read_text())
        out.unlink()
        return instructions / self.runs, allocations / self.runs

    def count_all(self, names, rounds):
        """For each name its counts, with the spread over the rounds."""
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            jobs = {name: [pool.submit(self.count, name, number) for number in range(rounds)] for name in names}
            return {name: combined([job.result() for job in of]) for name, of in jobs.items()}


def combined(rounds):
    """The median of several counts of a path, and how far they are apart."""
    instructions = [counted for counted, _ in rounds]
    median = statistics.median(instructions)
    spread = 100 * (max(instructions) - min(instructions)) / median if median else 0
    found = {"instructions": round(median), "allocations": round(statistics.median(allocations for _, allocations in rounds), 1)}
    if spread >= TOLD_SPREAD_PERCENT:
        found["spread_percent"] = round(spread, 2)
    return found


def taken_with():
    """What the counts depend on besides the sources."""
    flags = set(re.findall(r"\w+", (re.search(r"^(?:flags|Features)\s*:(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.MULTILINE) or ["", ""])[1]))
    # Of these libraries choose their code by; callgrind has none of the newer ones.
    chosen_by = ["sse4_2", "pclmulqdq", "avx", "avx2", "bmi2", "asimd", "crc32", "sve"]
    return {
        "rustc": run(["rustc", "--version"]).strip(),
        "valgrind": run(["valgrind", "--version"]).strip(),
        "libc": " ".join(platform.libc_ver()),
        "machine": platform.machine(),
        "cpu": " ".join(flag for flag in chosen_by if flag in flags),
        "RUSTFLAGS": os.environ.get("RUSTFLAGS", ""),
    }


def difference(now, before):
    return 100 * (now - before) / before if before else 0.0


def is_change(now, before):
    """Whether a path costs something else than the file says, beyond what its counts vary by anyway."""
    noise = max(now.get("spread_percent", 0), before.get("spread_percent", 0))
    return abs(difference(now["instructions"], before["instructions"])) > max(MARKED_PERCENT, 2 * noise) or (
        abs(now["allocations"] - before["allocations"]) >= 0.5
    )


def table(now, before):
    """The lines that are printed."""
    rows = [("path", "instructions", "in the file", "difference", "allocations", "in the file", "")]
    for name, found in now.items():
        known = before.get(name)
        row = [name, f"{found['instructions']:,}", "-", "new", f"{found['allocations']:g}", "-", ""]
        if known:
            row[2], row[5] = f"{known['instructions']:,}", f"{known['allocations']:g}"
            row[3] = f"{difference(found['instructions'], known['instructions']):+.2f} %"
            row[6] = "<- changed" if is_change(found, known) else ""
        if "spread_percent" in found:
            row[6] += f" (spread {found['spread_percent']} %)"
        rows.append(tuple(row))
    widths = [max(len(row[column]) for row in rows) for column in range(7)]
    for row in rows:
        yield "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:6], widths[1:6])), row[6]]).rstrip()


def read(file):
    return json.loads(file.read_text()) if file.exists() else {"taken_with": {}, "paths": {}}


def write(file, paths):
    stored = {
        "what": "instructions and allocations of one run of each path in benches/hot_paths, under callgrind",
        "repeat": COMMAND, "update": f"{COMMAND} --update", "taken_with": taken_with(), "paths": paths,
    }
    file.write_text(json.dumps(stored, indent=2) + "\n")


def compare(options, counter, names):
    """Counts, shows, and stores where that is asked for."""
    stored = read(options.file)
    rounds = options.rounds or (UPDATE_ROUNDS if options.update else 1)
    found = counter.count_all(names, rounds)
    print("\n".join(table(found, stored["paths"])))
    for what, now in taken_with().items():
        if stored["taken_with"] and stored["taken_with"].get(what) != now:
            print(f"the file's counts are of another {what}: {stored['taken_with'].get(what)!r}, here {now!r}")
    if not options.only:
        for name in stored["paths"].keys() - found.keys():
            print(f"{name} is in the file, and no path any more")
    if options.update:
        write(options.file, found if not options.only else {**stored["paths"], **found})
        print(f"written to {options.file}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", metavar="PATH", help="only paths that have one of these in their names")
    parser.add_argument("--update", action="store_true", help=f"put the counts into the file (the median of {UPDATE_ROUNDS} processes)")
    parser.add_argument("--profile", metavar="PATH", help="show which functions a path's instructions are spent in, instead")
    parser.add_argument("--rounds", type=int, help="processes for each path")
    parser.add_argument("--list", action="store_true", help="name the paths")
    parser.add_argument("--file", type=pathlib.Path, default=COUNTS, help="where counts are kept (benches/counts.json)")
    options = parser.parse_args(arguments)
    try:
        program = built()
        with tempfile.TemporaryDirectory(prefix="bench-paths-") as folder:
            counter = Counter(program, folder)
            names = [name for name in counter.names() if not options.only or any(part in name for part in options.only)]
            if not names:
                raise Failed(f"no path has {' or '.join(options.only)} in its name; --list names them")
            if options.list:
                print("\n".join(names))
            elif options.profile:
                out = counter.collect(options.profile)
                subprocess.run(["callgrind_annotate", "--threshold=95", "--show-percs=yes", "--auto=no", out], check=False)
            else:
                compare(options, counter, names)
    except Failed as error:
        print(f"{COMMAND}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
