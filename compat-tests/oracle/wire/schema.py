"""Kafka's message schemas, read from the JSON files in the kafka-clients jar of the reference broker. Nothing about a message is written down here."""

import dataclasses
import functools
import json
import os
import re
import zipfile

import brokers

NO_VERSIONS = (1, 0)


@dataclasses.dataclass(frozen=True)
class Field:
    """One field of a message. `type` is Kafka's type name; of an array it is the element's. Ranges are inclusive pairs of versions."""

    name: str
    type: str
    array: bool
    versions: tuple
    nullable: tuple
    tagged: tuple
    tag: int | None
    default: object
    fields: tuple  # of a structure, else ()
    flexible: tuple | None  # only where it differs from the message's


@dataclasses.dataclass(frozen=True)
class Message:
    name: str
    key: int | None
    versions: tuple
    flexible: tuple
    fields: tuple


def within(version, versions):
    return versions[0] <= version <= versions[1]


def version_range(text):
    """'3+' -> (3, 32767), '1-4' -> (1, 4), '2' -> (2, 2), 'none' -> an empty range."""
    if not text or text == "none":
        return NO_VERSIONS
    low, dash, high = text.partition("-")
    if low.endswith("+"):
        return int(low[:-1]), 32767
    return int(low), int(high) if dash else int(low)


def field_of(spec, structs):
    kind = spec["type"]
    array = kind.startswith("[]")
    kind = kind[2:] if array else kind
    members = spec.get("fields") or structs.get(kind) or ()
    return Field(
        name=spec["name"], type=kind, array=array, versions=version_range(spec["versions"]), nullable=version_range(spec.get("nullableVersions")),
        tagged=version_range(spec.get("taggedVersions")), tag=spec.get("tag"), default=spec.get("default"),
        fields=tuple(field_of(m, structs) for m in members),
        flexible=version_range(spec["flexibleVersions"]) if "flexibleVersions" in spec else None,
    )


def message_of(spec):
    structs = {s["name"]: s["fields"] for s in spec.get("commonStructs", [])}
    fields = tuple(field_of(f, structs) for f in spec.get("fields", []))
    return Message(spec["name"], spec.get("apiKey"), version_range(spec["validVersions"]), version_range(spec["flexibleVersions"]), fields)


@functools.cache
def messages():
    """name -> Message, for all that the jar has."""
    [jar] = [p for p in brokers.kafka_class_path().split(os.pathsep) if os.path.basename(p).startswith("kafka-clients-")]
    found = {}
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if re.fullmatch(r"common/message/\w+\.json", name):
                text = re.sub(r"^\s*//.*$", "", archive.read(name).decode(), flags=re.MULTILINE)
                spec = json.loads(text)
                if spec["type"] in ("request", "response", "data", "header") and spec.get("fields") is not None:
                    found[spec["name"]] = message_of(spec)
    return found


def request(api):
    return messages()[api + "Request"]


def response(api):
    return messages()[api + "Response"]
