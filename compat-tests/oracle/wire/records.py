"""Record batches (magic 2, with every header field open to change) and their reading back. Older magics exist only as bytes to be refused."""

import gzip
import struct

import crc32c

from wire.codec import Undecodable

HEADER = struct.Struct(">qiibIhiqqqhii")  # up to the number of records
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)


def varint(value):
    """Zigzag, up to 64 bits."""
    value = (value << 1) ^ (value >> 63)
    out = bytearray()
    while value > 0x7F or value < 0:
        value &= 0xFFFFFFFFFFFFFFFF
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def blob(data):
    return varint(-1) if data is None else varint(len(data)) + data


def record(offset_delta, timestamp_delta=0, key=None, value=b"v", headers=()):
    body = b"\x00" + varint(timestamp_delta) + varint(offset_delta) + blob(key) + blob(value) + varint(len(headers))
    for name, content in headers:
        body += varint(len(name)) + name + blob(content)
    return varint(len(body)) + body


def compress(codec, data):
    if codec == GZIP:
        return gzip.compress(data, mtime=0)
    if codec == SNAPPY:
        import cramjam

        return bytes(cramjam.snappy.compress_raw(data))
    if codec == LZ4:
        import lz4.frame

        return lz4.frame.compress(data)
    if codec == ZSTD:
        import zstandard

        return zstandard.compress(data)
    return data


def batch(values=(b"v",), *, base_offset=0, epoch=-1, magic=2, attributes=0, codec=NONE, base_timestamp=1_700_000_000_000, timestamps=None, max_timestamp=None,
          producer_id=-1, producer_epoch=-1, base_sequence=-1, keys=None, headers=(), last_offset_delta=None, count=None, crc=None, records=None, length=None):
    """One batch of `values`. Whatever is given overrides what would be right: crc, count, length, last_offset_delta, records (their raw bytes)."""
    timestamps = timestamps or [base_timestamp + i for i in range(len(values))]
    keys = keys or [None] * len(values)
    if records is None:
        records = b"".join(record(i, t - base_timestamp, k, v, headers) for i, (v, t, k) in enumerate(zip(values, timestamps, keys)))
    records = compress(codec, records)
    last = len(values) - 1 if last_offset_delta is None else last_offset_delta
    top = max(timestamps, default=base_timestamp) if max_timestamp is None else max_timestamp
    tail = struct.pack(">hiqqqhii", attributes | codec, last, base_timestamp, top, producer_id, producer_epoch, base_sequence, len(values) if count is None else count) + records
    crc = crc32c.crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", base_offset, len(tail) + 9 if length is None else length, epoch, magic, crc) + tail


def old_message(magic, value=b"v", key=None):
    """A message set of one message in the formats before 0.11, which brokers of today refuse in Produce v3 and later."""
    import zlib

    stamp = struct.pack(">q", 1_700_000_000_000) if magic == 1 else b""
    body = bytes([magic, 0]) + stamp + (struct.pack(">i", -1) if key is None else struct.pack(">i", len(key)) + key) + struct.pack(">i", len(value)) + value
    message = struct.pack(">I", zlib.crc32(body)) + body
    return struct.pack(">qi", 0, len(message)) + message


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise Undecodable(f"record: {count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)

    def blob(self):
        size = self.varint()
        return None if size < 0 else bytes(self.take(size)).hex()


def read_records(data, count):
    reader, out = Reader(data), []
    for _ in range(count):
        reader.varint()
        attributes, stamp, offset = reader.take(1)[0], reader.varint(), reader.varint()
        key, value = reader.blob(), reader.blob()
        headers = [(bytes(reader.take(reader.varint())).decode(), reader.blob()) for _ in range(reader.varint())]
        out.append({"Attributes": attributes, "TimestampDelta": stamp, "OffsetDelta": offset, "Key": key, "Value": value, "Headers": headers})
    if reader.at != len(data):
        raise Undecodable(f"{len(data) - reader.at} bytes after the last record")
    return out


def decode(data):
    """The batches in `data` as dictionaries; an incomplete batch at the end is left out (a fetch limit may cut there, and clients drop it)."""
    out, at = [], 0
    while len(data) - at >= HEADER.size:
        base, length, epoch, magic, crc, attributes, last, first_stamp, max_stamp, pid, pepoch, sequence, count = HEADER.unpack_from(data, at)
        end = at + 12 + length
        if end > len(data):
            break
        body = data[at + HEADER.size:end]
        told = {"BaseOffset": base, "PartitionLeaderEpoch": epoch, "Magic": magic, "CrcIsRight": crc32c.crc32c(data[at + 21:end]) == crc, "Attributes": attributes,
                "LastOffsetDelta": last, "BaseTimestamp": first_stamp, "MaxTimestamp": max_stamp, "ProducerId": pid, "ProducerEpoch": pepoch, "BaseSequence": sequence,
                "Count": count, "BatchLength": length}
        told["Records"] = read_records(body, count) if attributes & 7 == NONE else body.hex()
        out.append(told)
        at = end
    return out
