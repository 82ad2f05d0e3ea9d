"""ApiVersions, and what a broker does with requests that it cannot serve: unknown APIs and versions, broken frames."""

import struct
import time

from scenarios import PROMISED, scenario
from wire import schema
from wire.schema import within



@scenario("ApiVersions")
def asked(s):
    s.ask("named", "ApiVersions", {"ClientSoftwareName": "compare", "ClientSoftwareVersion": "1.0"})
    s.ask("asked again on the same connection", "ApiVersions", {"ClientSoftwareName": "compare", "ClientSoftwareVersion": "1.0"})


@scenario("ApiVersions", versions=(3, 4))
def client_names(s):
    for label, name, version in [("empty name", "", "1"), ("empty version", "x", ""), ("spaces", "a b", "1"), ("leading dash", "-a", "1"), ("unicode", "ż", "1"),
                                 ("dots and dashes", "a.b-c", "1.0-rc.1"), ("long", "x" * 300, "1")]:
        s.ask(label, "ApiVersions", {"ClientSoftwareName": name, "ClientSoftwareVersion": version})


@scenario("ApiVersions", once=True)
def unknown_version(s):
    """Answered in version 0 with UNSUPPORTED_VERSION and the ApiVersions row, so that a newer client can go down."""
    for version in (5, 9, 100, 32767):
        s.frame(f"version {version}", s.raw_header(18, version, flexible=True) + b"\x08compare\x041.0\x00")
    s.frame("version -1", s.raw_header(18, -1))


@scenario("ApiVersions", once=True)
def broken_frames(s):
    s.frame("empty frame", b"")
    s.frame("negative size", struct.pack(">i", -1), raw=True)
    s.frame("size beyond the limit", struct.pack(">i", 0x7FFFFFFF) + b"xxxx", raw=True)
    s.frame("http", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", raw=True)
    s.frame("tls hello", bytes.fromhex("16030100c8010000c40303") + bytes(100), raw=True)
    s.frame("half a header", b"\x00\x12\x00")
    s.frame("client id longer than the frame", struct.pack(">hhih", 18, 0, 7, 500) + b"abc")
    s.frame("null client id", s.raw_header(18, 0, client=None))
    s.frame("client id that is not utf-8", s.raw_header(18, 0, client=b"\xff\xfe"))
    s.frame("trailing bytes", s.raw_header(18, 0) + b"extra")
    s.frame("header tag unknown", s.raw_header(18, 3) + b"\x01\x63\x02ab" + b"\x08compare\x041.0\x00", version=3)


@scenario("ApiVersions", once=True)
def apis_that_do_not_exist(s):
    for key in (-1, 4, 5, 6, 7, 93, 999, 32767):
        s.frame(f"api key {key}", s.raw_header(key, 0))


def around(api):
    """The versions on both sides of what is promised."""
    low, high = PROMISED[api]
    return [v for v in (low - 1, high + 1, high + 7) if v >= 0]


@scenario("ApiVersions", once=True)
def unpromised_versions_of_each_api(s):
    for api in PROMISED:
        if api == "ApiVersions":
            continue
        message = schema.request(api)
        for version in around(api):
            if version > message.versions[1] or version < message.versions[0]:
                flexible = within(version, message.flexible)
                s.frame(f"{api} version {version}", s.raw_header(message.key, version, flexible) + bytes(64), api=api, version=min(max(version, 0), message.versions[1]))


@scenario("ApiVersions", once=True)
def bodies_that_end_early_or_late(s):
    """An empty body, and one byte too many, for every API at its newest promised version."""
    for api, (_, high) in PROMISED.items():
        message = schema.request(api)
        header = s.raw_header(message.key, high, within(high, message.flexible))
        if message.fields:
            s.frame(f"{api}: no body", header, api=api, version=high)
            s.frame(f"{api}: an absurd length", header + b"\xff\xff\xff\xff\x07" * 4, api=api, version=high)


@scenario("ApiVersions", once=True)
def frames_in_pieces(s):
    """A request may come byte by byte, and several in one packet."""
    whole = struct.pack(">i", 17) + s.raw_header(18, 0)
    connection = s.connect()
    connection.correlation = 7
    for byte in whole[:-1]:
        connection.send_bytes(bytes([byte]))
        time.sleep(0.001)
    s.frame("the last byte", whole[-1:], raw=True, connection=connection)
    s.frame("three in one packet: the first answer", whole * 3, raw=True, connection=connection)
    for i in (2, 3):
        s.frame(f"three in one packet: answer {i}", b"", raw=True, connection=connection)
