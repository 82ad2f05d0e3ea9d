"""kafka-dump-log, on segments as Kafka writes them. (What Ottla's own record files look like, Kafka's tool cannot know.)"""

import gzip
import pathlib
import struct

from . import scenario

TOOL = "kafka-dump-log"


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(value):
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def nullable(data):
    return varint(-1) if data is None else varint(len(data)) + data


def batch(base_offset, records, attributes=0, producer=(-1, -1, -1)):
    """A batch of (key, value, headers)."""
    body = b""
    for index, (key, value, headers) in enumerate(records):
        record = b"\0" + varint(index) + varint(index) + nullable(key) + nullable(value) + varint(len(headers))
        record += b"".join(nullable(name) + nullable(text) for name, text in headers)
        body += varint(len(record)) + record
    if attributes & 7 == 1:
        body = gzip.compress(body, mtime=0)  # or each run has another checksum
    last = len(records) - 1
    checked = struct.pack(">hiqqqhii", attributes, last, 1000, 1000 + last, *producer, len(records)) + body
    rest = struct.pack(">ibI", 3, 2, crc32c(checked)) + checked
    return struct.pack(">qi", base_offset, len(rest)) + rest


@scenario("dump_log.segments")
def segments(run):
    whole = batch(5, [(b"k", b"v", []), (None, "ö".encode(), [(b"h", b"1"), (b"i", None)]), (b"", None, [])])
    whole += batch(8, [(b"zipped", b"x" * 50, [])] * 2, attributes=1, producer=(77, 2, 0))
    whole += batch(12, [(struct.pack(">hh", 0, 1), struct.pack(">hi", 0, 9), [])], attributes=0x30, producer=(77, 2, -1))
    whole += batch(13, [(b"k", struct.pack(">q", 300), [])], attributes=8)
    broken = bytearray(batch(14, [(b"k", b"v", [])]))
    broken[-1] ^= 1
    folder = pathlib.Path(run.path("t-one-0"))
    folder.mkdir()
    for name, data in {"00000000000000000005.log": whole, "00000000000000000014.log": bytes(broken), "00000000000000000015.log": whole + b"\0\0\0trailing" * 9}.items():
        (folder / name).write_bytes(data)
    one = str(folder / "00000000000000000005.log")
    # The path in a message on standard error is absolute in both.
    for more in ([], ["--deep-iteration"], ["--print-data-log"], ["--print-data-log", "--skip-record-metadata"], ["--deep-iteration", "--max-bytes", "200"]):
        run.tool(TOOL, "--files", one, *more, bare=True, err="all")
    run.tool(TOOL, "--files", str(folder / "00000000000000000014.log"), bare=True)
    run.tool(TOOL, "--files", ",".join([one, str(folder / "00000000000000000015.log")]), bare=True, err="all")
    run.tool(TOOL, "--files", run.path("unknown.txt", ""), bare=True)


def text(value):
    return struct.pack(">h", -1) if value is None else struct.pack(">h", len(value)) + value.encode()


@scenario("dump_log.offsets")
def offsets(run):
    """Records of __consumer_offsets, of every age, and some that are none."""
    commit = struct.pack(">h", 1) + text("g") + text("t") + struct.pack(">i", 3)
    group = struct.pack(">h", 2) + text("g")
    subscription = struct.pack(">hi", 1, 1) + text("t") + struct.pack(">ii", -1, 1) + text("t") + struct.pack(">ii", 1, 0)
    assignment = struct.pack(">hi", 0, 1) + text("t") + struct.pack(">iii", 2, 0, 1) + struct.pack(">i", 2) + b"xy"

    def member(subscription, instance=b""):
        return text("m-1") + instance + text("c") + text("/h") + struct.pack(">ii", 1, 2) + b"".join(struct.pack(">i", len(part)) + part for part in (subscription, assignment))

    values = [
        (commit, struct.pack(">hq", 0, 7) + text('quoted " \\ \x01\t\u00f6') + struct.pack(">q", 1000)),
        (commit, struct.pack(">hq", 1, 7) + text("") + struct.pack(">qq", 1000, 2000)),
        (struct.pack(">h", 0) + commit[2:], struct.pack(">hqi", 3, 7, 4) + text("m") + struct.pack(">q", 1000)),
        (commit, struct.pack(">hqi", 4, 7, -1) + b"\x02m" + struct.pack(">q", 1000) + b"\0"),
        (commit, struct.pack(">hqi", 4, 7, -1) + b"\x02m" + struct.pack(">q", 1000) + b"\x01\0\x10" + bytes(range(240, 256))),
        (commit, None),
        (group, struct.pack(">h", 3) + text("consumer") + struct.pack(">i", 5) + text("range") + text(None) + struct.pack(">qi", 1000, 2)
         + member(subscription, text("i")) + member(b"odd", text(None))),
        (group, struct.pack(">h", 2) + text("connect") + struct.pack(">i", 5) + text(None) + text(None) + struct.pack(">qi", 1000, 1) + member(subscription)),
        (group, None),
        (struct.pack(">h", 3) + text("g"), struct.pack(">hi", 0, 8) + b"\x01\0\x08" + struct.pack(">q", 77)),
        (struct.pack(">h", 5) + text("g") + text("m"), struct.pack(">h", 0) + b"\0\0\x02c\x02h\x02\x02t\0" + struct.pack(">i", 9) + b"\x08uniform\x01\0\x07\x01" + struct.pack(">i", 8) + b"\x01\0"),
        (struct.pack(">h", 8) + text("g") + text("m"), struct.pack(">hii", 0, 4, 3) + b"\0\x02" + bytes(16) + b"\x02" + struct.pack(">i", 1) + b"\0\x01\0"),
        (struct.pack(">h", 99), b"x"),
    ]
    folder = pathlib.Path(run.path("__consumer_offsets-0"))
    folder.mkdir()
    whole = folder / "00000000000000000000.log"
    whole.write_bytes(batch(0, [(key, value, []) for key, value in values]))
    run.tool(TOOL, "--files", str(whole), "--offsets-decoder", bare=True, err="all")
    run.tool(TOOL, "--files", str(whole), "--offsets-decoder", "--skip-record-metadata", bare=True, err="all")
    broken = folder / "00000000000000000100.log"
    broken.write_bytes(batch(100, [(commit, struct.pack(">h", 9), []), (group[:4], None, []), (b"", None, [])]))
    # What Java says of bytes that are missing.
    run.tool(TOOL, "--files", str(broken), "--offsets-decoder", bare=True, err="all", ignore=[r"due to: .*"])


@scenario("dump_log.mistakes")
def mistakes(run):
    run.tool(TOOL, "--deep-iteration", bare=True)
    run.tool(TOOL, "--files", "/no/such/00000000000000000000.log", bare=True, err="no")
    run.tool(TOOL, bare=True, err="no")
    run.tool(TOOL, "--version", bare=True)
