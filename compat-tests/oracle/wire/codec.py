"""Encodes and decodes any message of wire.schema. Decoding is strict: what a schema does not account for is returned, never dropped."""

import struct
import uuid

from wire.schema import within

FIXED = {"int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d"}
ZERO_UUID = "00000000-0000-0000-0000-000000000000"


class Raw(bytes):
    """Bytes that take the place of a field's encoding: how a scenario writes a field wrongly."""


class Undecodable(Exception):
    """An answer that the schema of its version cannot be read from."""


def unsigned_varint(value):
    out = bytearray()
    value &= 0xFFFFFFFF
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def default_of(field, version):
    text = field.default
    if field.array:
        return None if text == "null" else []
    if field.fields:
        return None if text == "null" else {}
    if field.type == "string":
        return None if text == "null" else text or ""
    if field.type in ("bytes", "records"):
        return None if text == "null" or within(version, field.nullable) else b""
    if field.type == "bool":
        return text in ("true", True)
    if field.type == "uuid":
        return ZERO_UUID
    if field.type == "float64":
        return float(text or 0)
    return int(str(text or "0"), 0)


class Encoder:
    def __init__(self, version, flexible):
        self.version, self.flexible = version, flexible

    def struct(self, fields, values):
        """`values`: field name -> value; absent names take their defaults, names that this version does not have are left out."""
        known = {f.name for f in fields}
        unknown = set(values) - known
        if unknown:
            raise ValueError(f"no such fields: {sorted(unknown)}, there are {sorted(known)}")
        out, tagged = [], {}
        for field in fields:
            if not within(self.version, field.versions):
                continue
            value = values.get(field.name, default_of(field, self.version))
            if within(self.version, field.tagged) and self.flexible:
                if field.name in values:
                    tagged[field.tag] = self.value(field, value)
                continue
            out.append(self.value(field, value))
        if self.flexible:
            out.append(unsigned_varint(len(tagged)))
            for tag in sorted(tagged):
                out.append(unsigned_varint(tag) + unsigned_varint(len(tagged[tag])) + tagged[tag])
        return b"".join(out)

    def value(self, field, value):
        if isinstance(value, Raw):
            return bytes(value)
        if field.array:
            if value is None:
                return self.length(-1, ">i")
            return self.length(len(value), ">i") + b"".join(v if isinstance(v, Raw) else self.element(field, v) for v in value)
        return self.element(field, value)

    def element(self, field, value):
        flexible = self.flexible if field.flexible is None else within(self.version, field.flexible)
        if field.fields:
            if within(self.version, field.nullable) and not field.array:
                return b"\xff" if value is None else b"\x01" + self.struct(field.fields, value)
            return self.struct(field.fields, value)
        if field.type == "bool":
            return bytes([bool(value)])
        if field.type == "uuid":
            return uuid.UUID(str(value)).bytes
        if field.type == "string":
            data = None if value is None else value.encode() if isinstance(value, str) else value
            return self.length(-1 if data is None else len(data), ">h", flexible) + (data or b"")
        if field.type in ("bytes", "records"):
            return self.length(-1 if value is None else len(value), ">i", flexible) + (value or b"")
        return struct.pack(FIXED[field.type], value)

    def length(self, length, fixed, flexible=None):
        flexible = self.flexible if flexible is None else flexible
        return unsigned_varint(length + 1) if flexible else struct.pack(fixed, length)


class Decoder:
    def __init__(self, data, version, flexible):
        self.data, self.at, self.version, self.flexible = data, 0, version, flexible

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise Undecodable(f"{count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count:self.at]

    def fixed(self, form):
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def unsigned_varint(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
            if shift > 28:
                raise Undecodable(f"a varint longer than five bytes at {self.at}")

    def length(self, fixed, flexible):
        return self.unsigned_varint() - 1 if flexible else self.fixed(fixed)

    def struct(self, fields):
        out = {}
        tagged = {}
        for field in fields:
            if not within(self.version, field.versions):
                continue
            if self.flexible and within(self.version, field.tagged):
                tagged[field.tag] = field
                continue
            out[field.name] = self.value(field)
        if self.flexible:
            self.tags(tagged, out)
        return out

    def tags(self, known, out):
        """Fields under tags; an unknown tag is kept as hex, because sending one is a difference too."""
        for _ in range(self.unsigned_varint()):
            tag = self.unsigned_varint()
            size = self.unsigned_varint()
            end = self.at + size
            if tag in known:
                out[known[tag].name] = self.value(known[tag])
            else:
                out[f"<tag {tag}>"] = self.take(size).hex()
            if self.at != end:
                raise Undecodable(f"tag {tag} says {size} bytes, its field has another size")

    def value(self, field):
        if not field.array:
            return self.element(field)
        count = self.length(">i", self.flexible)
        if count < 0:
            return None
        if count > len(self.data):
            raise Undecodable(f"an array of {count} elements in {len(self.data)} bytes")
        return [self.element(field) for _ in range(count)]

    def element(self, field):
        if field.fields:
            if within(self.version, field.nullable) and not field.array:
                return None if self.fixed(">b") < 0 else self.struct(field.fields)
            return self.struct(field.fields)
        if field.type == "bool":
            return self.take(1)[0] != 0
        if field.type == "uuid":
            return str(uuid.UUID(bytes=bytes(self.take(16))))
        if field.type == "string":
            size = self.length(">h", self.flexible)
            return None if size < 0 else bytes(self.take(size)).decode()
        if field.type in ("bytes", "records"):
            size = self.length(">i", self.flexible)
            return None if size < 0 else bytes(self.take(size))
        return self.fixed(FIXED[field.type])


def encode(message, version, values):
    return Encoder(version, within(version, message.flexible)).struct(message.fields, values)


def decode(message, version, data):
    """The fields by name; bytes that are left over are under '<trailing>'."""
    decoder = Decoder(data, version, within(version, message.flexible))
    try:
        out = decoder.struct(message.fields)
    except UnicodeDecodeError as e:
        raise Undecodable(str(e)) from e
    if decoder.at != len(data):
        out["<trailing>"] = data[decoder.at:].hex()
    return out
