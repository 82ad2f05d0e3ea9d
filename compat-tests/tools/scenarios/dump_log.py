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


@scenario("dump_log.mistakes")
def mistakes(run):
    run.tool(TOOL, "--deep-iteration", bare=True)
    run.tool(TOOL, "--files", "/no/such/00000000000000000000.log", bare=True, err="no")
    run.tool(TOOL, bare=True, err="no")
    run.tool(TOOL, "--version", bare=True)
