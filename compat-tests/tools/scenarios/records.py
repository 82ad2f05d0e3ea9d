"""kafka-get-offsets, kafka-delete-records, kafka-log-dirs: what is about records."""

import json

from . import scenario


def fill(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one", "--partitions", "2")
    run.setup("kafka-topics", "--create", "--topic", "t-two")
    run.setup("kafka-console-producer", "--topic", "t-two", "--sync", stdin="a\nb\nc\n")
    run.setup("kafka-console-producer", "--topic", "t-one", "--sync", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:", stdin="k:a\nl:b\nm:c\nk:d\n")


@scenario("records.offsets")
def offsets(run):
    tool = "kafka-get-offsets"
    fill(run)
    run.tool(tool, "--topic", "t-.*")
    for time in ("earliest", "latest", "max-timestamp", "-1", "-2", "-3", "0", "99999999999999", "earliest-local", "latest-tiered", "-4", "noon"):
        run.tool(tool, "--topic", "t-.*", "--time", time)
    run.tool(tool, "--topic", "t-one", "--partitions", "1")
    run.tool(tool, "--topic", "t-one", "--partitions", "0,1,9")
    run.tool(tool, "--topic", "t-one", "--partitions", "x")
    run.tool(tool, "--topic-partitions", "t-one:0,t-two")
    run.tool(tool, "--topic-partitions", "t-.*:1-")
    run.tool(tool, "--topic-partitions", "t-.*:-1")
    run.tool(tool, "--topic-partitions", "t-.*:0-2")
    run.tool(tool, "--topic-partitions", "t-one", "--topic", "t-two")
    run.tool(tool, "--topic-partitions", "t-one:a")
    run.tool(tool, "--topic", "t-none")
    run.tool(tool, "--topic", "t-.*", "--exclude-internal-topics")
    run.tool(tool, "--nothing")
    run.tool(tool, "--topic", "t-one", bare=True)
    run.tool(tool, "--topic", "t-one", "--broker-list", "{b}", bare=True)
    run.tool(tool, "--bootstrap-server", "host", bare=True)
    run.tool(tool, bare=True, err="no")
    run.tool(tool, "--version", bare=True)


@scenario("records.delete")
def delete(run):
    tool = "kafka-delete-records"
    fill(run)

    def file(name, *partitions, **fields):
        wanted = [{"topic": topic, "partition": partition, "offset": offset} for topic, partition, offset in partitions]
        return run.path(name, json.dumps({"partitions": wanted, "version": 1, **fields}))

    run.tool(tool, "--offset-json-file", file("one", ("t-two", 0, 2)))
    # Java's order changes from run to run.
    run.tool(tool, "--offset-json-file", file("more", ("t-two", 0, 3), ("t-one", 0, 0), ("t-one", 1, -1)), sort=True)
    run.tool(tool, "--offset-json-file", file("beyond", ("t-two", 0, 99)))
    # Kafka's client asks until its time is over.
    soon = ["--command-config", run.path("client.properties", "default.api.timeout.ms=1500\nrequest.timeout.ms=1000\n")]
    run.tool(tool, "--offset-json-file", file("unknown", ("t-none", 0, 1)), *soon)
    run.tool(tool, "--offset-json-file", file("partition", ("t-two", 7, 1)), *soon)
    run.tool(tool, "--offset-json-file", file("twice", ("t-two", 0, 1), ("t-two", 0, 2)))
    run.tool(tool, "--offset-json-file", file("version", ("t-two", 0, 1), version=2))
    run.tool(tool, "--offset-json-file", run.path("empty", "{}"))
    run.tool(tool, "--offset-json-file", run.path("broken", "{"))
    run.tool(tool, "--offset-json-file", run.path("none"), err="no")
    run.tool(tool)
    run.tool(tool, "--version", bare=True)
    run.tool("kafka-get-offsets", "--topic", "t-.*", "--time", "earliest")


@scenario("records.folders")
def folders(run):
    tool = "kafka-log-dirs"
    fill(run)
    run.tool(tool, "--describe", "--topic-list", "t-one,t-two")
    run.tool(tool, "--describe", "--topic-list", "t-none", "--broker-list", "1")
    run.tool(tool, "--describe", "--broker-list", "1,7")
    run.tool(tool, "--describe", "--broker-list", "x")
    run.tool(tool)
    run.tool(tool, "--version", bare=True)
