"""A scenario's view of one broker: it sends requests, keeps what was answered as steps, and gives the scenario values to go on with."""

import contextlib
import dataclasses
import struct
import time

from wire import codec, records, schema
from wire.connection import Closed, Connection, Silent


class ScenarioFailed(Exception):
    """A scenario could not go on: its set-up did not work on this broker."""


@dataclasses.dataclass
class Step:
    """One answer: `label` is unique in its scenario; `answer` is a dictionary, or a string in angle brackets that says what came instead."""

    label: str
    api: str
    version: int
    request: object
    answer: object


class Session:
    """`version` is the one under test of the scenario's API; `name(x)` gives names that are the same on both brokers and new in each run."""

    def __init__(self, address, scenario, version, run_id):
        self.address, self.scenario, self.version, self.run_id = address, scenario, version, run_id
        self.steps = []
        self.names = {}
        self.producers = []
        self.connections = []
        self.controller_host = self.controller_port = None
        self.main = self.connect()
        self.quiet_connection = self.connect("setup")

    def connect(self, client_id="compare"):
        connection = Connection(self.address, client_id)
        self.connections.append(connection)
        return connection

    def controller(self):
        """A new connection to the broker's listener for controllers, where DescribeQuorum says that it is."""
        if self.controller_port is None:
            asked = {"Topics": [{"TopicName": "__cluster_metadata", "Partitions": [{"PartitionIndex": 0}]}]}
            listeners = self.quiet("DescribeQuorum", asked, 2)["Nodes"][0]["Listeners"]
            if not listeners:
                raise ScenarioFailed("set-up: DescribeQuorum names no listener of the controller")
            self.controller_host, self.controller_port = listeners[0]["Host"], listeners[0]["Port"]
        connection = Connection(f"{self.controller_host}:{self.controller_port}", "compare")
        self.connections.append(connection)
        return connection

    def close(self):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.close()

    def name(self, text):
        full = f"{self.scenario}-v{self.version}-{text}-{self.run_id}"
        self.names[full] = text
        return full

    def ask(self, label, api, values, version=None, connection=None, timeout_s=10, tail=b""):
        """Sends, waits, records the step and returns the answer. `version`: default the scenario's."""
        return self.later(label, api, values, version, connection, timeout_s, tail)()

    def later(self, label, api, values, version=None, connection=None, timeout_s=10, tail=b""):
        """Sends now; the function that is returned waits for the answer and records it. For requests that wait in the broker."""
        version = self.version if version is None else version
        connection = connection or self.main
        early = None
        try:
            connection.send(api, version, values, tail)
        except Closed:
            early = "<closed>"
        correlation = connection.correlation

        def wait():
            answer = early or self.outcome(lambda: connection.receive(api, version, timeout_s, correlation))
            if isinstance(answer, str) and connection is self.main:
                self.main = self.connect()
            return self.keep(label, api, version, values, answer)

        return wait

    def frame(self, label, frame, api="ApiVersions", version=0, connection=None, timeout_s=3, raw=False):
        """Sends bytes as a frame (`raw`: as they are) on a connection of its own and records what comes back, read as an answer of `api` at `version`."""
        connection = connection or self.connect()
        connection.correlation = 7
        try:
            connection.send_bytes(frame) if raw else connection.send_frame(frame)
        except Closed:
            return self.keep(label, api, version, frame.hex(), "<closed>")
        return self.keep(label, api, version, frame.hex(), self.outcome(lambda: connection.receive(api, version, timeout_s)))

    @staticmethod
    def outcome(receive):
        try:
            return receive()
        except Closed:
            return "<closed>"
        except Silent:
            return "<silent>"
        except codec.Undecodable as e:
            return f"<undecodable: {e}>"

    def raw_header(self, key, version, flexible=False, client=b"compare", correlation=7):
        """A request header for frame(), which may name APIs and versions that do not exist."""
        text = b"\xff\xff" if client is None else struct.pack(">h", len(client)) + client
        return struct.pack(">hhi", key, version, correlation) + text + (b"\x00" if flexible else b"")

    def keep(self, label, api, version, request, answer):
        self.steps.append(Step(label, api, version, request, answer))
        return answer

    def quiet(self, api, values, version):
        """A request of the set-up: not recorded."""
        self.quiet_connection.send(api, version, values)
        try:
            return self.quiet_connection.receive(api, version, 30)
        except (Closed, Silent, codec.Undecodable) as e:
            raise ScenarioFailed(f"set-up: {api} v{version}: {type(e).__name__} {e}") from e

    def until(self, condition, what, within_s=15):
        deadline = time.monotonic() + within_s
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise ScenarioFailed(f"set-up: not within {within_s} s: {what}")
            time.sleep(0.02)

    # What many scenarios begin with.

    def metadata(self, topic):
        answer = self.quiet("Metadata", {"Topics": [{"Name": topic}], "AllowAutoTopicCreation": False}, 12)
        return answer["Topics"][0]

    def topic(self, text, partitions=1, **configs):
        """A new topic that is ready to use. Returns (name, id). Configs: with _ for the . in their names."""
        name = self.name(text)
        entries = [{"Name": k.replace("_", "."), "Value": str(v)} for k, v in configs.items()]
        answer = self.quiet("CreateTopics", {"Topics": [{"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1, "Configs": entries}], "timeoutMs": 30000}, 7)
        if answer["Topics"][0]["ErrorCode"] != 0:
            raise ScenarioFailed(f"set-up: CreateTopics of {name}: {answer['Topics'][0]}")

        def ready():
            told = self.metadata(name)
            return told["ErrorCode"] == 0 and len(told["Partitions"]) == partitions and all(p["ErrorCode"] == 0 for p in told["Partitions"]) and told

        told = self.until(ready, f"{name} is ready")
        self.until(lambda: all(self.end_offset(name, p) == 0 for p in range(partitions)), f"the logs of {name} are there")
        return name, told["TopicId"]

    def end_offset(self, topic, partition):
        answer = self.quiet("ListOffsets", {"ReplicaId": -1, "Topics": [{"Name": topic, "Partitions": [{"PartitionIndex": partition, "Timestamp": -1}]}]}, 7)
        told = answer["Topics"][0]["Partitions"][0]
        return told["Offset"] if told["ErrorCode"] == 0 else None

    def append(self, topic, values=(b"v",), partition=0, **batch):
        """Writes one batch, quietly. Returns its base offset."""
        data = records.batch(values, **batch)
        answer = self.quiet("Produce", {"Acks": -1, "TimeoutMs": 10000, "TopicData": [{"Name": topic, "PartitionData": [{"Index": partition, "Records": data}]}]}, 9)
        told = answer["Responses"][0]["PartitionResponses"][0]
        if told["ErrorCode"] != 0:
            raise ScenarioFailed(f"set-up: Produce to {topic}: {told}")
        return told["BaseOffset"]

    def producer_id(self):
        """A new producer id; the first on a new broker may have to be asked for again."""
        def given():
            answer = self.quiet("InitProducerId", {"TransactionalId": None, "TransactionTimeoutMs": 60000}, 4)
            return answer["ErrorCode"] == 0 and [answer["ProducerId"]]

        self.producers.append(self.until(given, "a producer id")[0])
        return self.producers[-1]

    def coordinator(self, group):
        """Waits until the broker is `group`'s coordinator, which creates the offsets topic on a new broker."""
        def found():
            answer = self.quiet("FindCoordinator", {"KeyType": 0, "CoordinatorKeys": [group]}, 4)
            return answer["Coordinators"][0]["ErrorCode"] == 0

        self.until(found, f"a coordinator for {group}")

        def loaded():
            return self.quiet("DescribeGroups", {"Groups": [group]}, 5)["Groups"][0]["ErrorCode"] == 0

        self.until(loaded, f"the coordinator of {group} is loaded")
        return group


def valid_versions(api):
    return range(schema.request(api).versions[0], schema.request(api).versions[1] + 1)
