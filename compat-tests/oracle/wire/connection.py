"""One connection to a broker: requests out, answers in, and what happens when there is none."""

import socket
import struct

from wire import codec, schema
from wire.schema import within


class Closed(Exception):
    """The broker closed the connection instead of answering."""


class Silent(Exception):
    """The broker neither answered nor closed the connection in time."""


class Connection:
    def __init__(self, address, client_id="compare", timeout_s=10):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.client_id = client_id
        self.correlation = 0

    def close(self):
        self.stream.close()
        self.socket.close()

    def header(self, key, version, flexible):
        self.correlation += 1
        name = self.client_id if self.client_id is None else self.client_id.encode()
        text = struct.pack(">h", -1) if name is None else struct.pack(">h", len(name)) + name
        return struct.pack(">hhi", key, version, self.correlation) + text + (b"\x00" if flexible else b"")

    def send(self, api, version, values, tail=b""):
        """Sends a request of `api` at `version`, which the schema need not have: then the newest one's fields are used. `tail` is appended."""
        message = schema.request(api)
        frame = self.header(message.key, version, within(version, message.flexible)) + codec.encode(message, version, values) + tail
        self.send_frame(frame)

    def send_frame(self, frame):
        self.send_bytes(struct.pack(">i", len(frame)) + frame)

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed(str(e)) from e

    def receive_frame(self, timeout_s=10):
        self.socket.settimeout(timeout_s)
        try:
            size = self.stream.read(4)
            if len(size) < 4:
                raise Closed("in place of an answer")
            size = struct.unpack(">i", size)[0]
            frame = self.stream.read(size)
            if len(frame) < size:
                raise Closed("in the middle of an answer")
            return frame
        except TimeoutError as e:
            raise Silent(f"no answer within {timeout_s} s") from e
        except ConnectionResetError as e:
            raise Closed(str(e)) from e

    def receive(self, api, version, timeout_s=10, correlation=None):
        """The answer's fields; the header's correlation id and unknown tags are checked on the way."""
        frame = self.receive_frame(timeout_s)
        message = schema.response(api)
        # ApiVersions is answered with the oldest header, so that a client can read it before it knows anything.
        flexible = within(version, message.flexible) and api != "ApiVersions"
        expected = self.correlation if correlation is None else correlation
        if len(frame) < 4 or struct.unpack(">i", frame[:4])[0] != expected:
            raise codec.Undecodable(f"correlation id {frame[:4].hex()} for {expected:08x}")
        at = 4
        if flexible:
            if frame[4:5] != b"\x00":
                raise codec.Undecodable(f"header tags: {frame[4:20].hex()}")
            at = 5
        return codec.decode(message, version, frame[at:])
