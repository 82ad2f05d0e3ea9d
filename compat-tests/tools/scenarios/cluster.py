"""kafka-cluster, kafka-broker-api-versions, kafka-leader-election, kafka-metadata-quorum, kafka-features: what is about the cluster."""

import json

from . import scenario


@scenario("cluster.cluster")
def cluster(run):
    tool = "kafka-cluster"
    run.tool(tool, "cluster-id", ignore=[r"Cluster ID: \S+"])
    run.tool(tool, "cluster-id", "-b", "{b}", bare=True, ignore=[r"Cluster ID: \S+"])
    run.tool(tool, "cluster-i", "--bootstrap-serv={b}", bare=True, ignore=[r"Cluster ID: \S+"])
    run.tool(tool, "list-endpoints")
    run.tool(tool, "list-endpoints", "--include-fenced-brokers")
    run.tool(tool, "unregister", "--id", "77")
    config = run.path("client.properties", "client.id=x\n")
    run.tool(tool, "cluster-id", "--config", config, ignore=[r"Cluster ID: \S+"])
    run.tool(tool, "cluster-id", "--config", config, "-c", config)
    for line in ([], ["nothing"], ["cluster-id"], ["unregister", "-b", "a:1"], ["unregister", "-b", "a:1", "-i", "x"], ["cluster-id", "-b", "a:1", "-C", "a:1"], ["cluster-id", "-b", "a:1", "--nothing"], ["cluster-id", "-b"]):
        run.tool(tool, *line, bare=True, err="no")
    run.tool(tool, "--help", bare=True, ignore=[r"(?s).+"])


@scenario("cluster.versions")
def versions(run):
    tool = "kafka-broker-api-versions"
    run.tool(tool)
    run.tool(tool, bare=True, err="no")
    run.tool(tool, "--command-config", "x", bare=True)
    run.tool(tool, "--version", bare=True)


@scenario("cluster.elections")
def elections(run):
    tool = "kafka-leader-election"
    run.setup("kafka-topics", "--create", "--topic", "t-one", "--partitions", "3")
    run.tool(tool, "--election-type", "preferred", "--topic", "t-one", "--partition", "0")
    run.tool(tool, "--election-type", "PREFERRED", "--all-topic-partitions")
    run.tool(tool, "--election-type", "unclean", "--topic", "t-one", "--partition", "1")
    wanted = {"partitions": [{"topic": "t-one", "partition": 2}, {"topic": "t-one", "partition": 0}]}
    run.tool(tool, "--election-type", "preferred", "--path-to-json-file", run.path("partitions", json.dumps(wanted)))
    run.tool(tool, "--election-type", "preferred", "--topic", "t-none", "--partition", "0")
    run.tool(tool, "--election-type", "preferred", "--topic", "t-one", "--partition", "9")
    twice = {"partitions": [{"topic": "t-one", "partition": 2}] * 2}
    run.tool(tool, "--election-type", "preferred", "--path-to-json-file", run.path("twice", json.dumps(twice)), err="no")
    for line in (
        ["--election-type", "some", "--all-topic-partitions"],
        ["--election-type", "preferred"],
        ["--election-type", "preferred", "--topic", "t-one"],
        ["--election-type", "preferred", "--all-topic-partitions", "--partition", "1"],
        ["--election-type", "preferred", "--all-topic-partitions", "--topic", "t-one"],
        ["--all-topic-partitions"],
    ):
        run.tool(tool, *line)
    run.tool(tool, "--all-topic-partitions", bare=True)
    run.tool(tool, "--version", bare=True)


@scenario("cluster.quorum")
def quorum(run):
    tool = "kafka-metadata-quorum"
    moving = [r"(LeaderEpoch|HighWatermark|ClusterId): +\S+", r'"directoryId": "[^"]+"']
    run.tool(tool, "--bootstrap-server", "{b}", "describe", "--status", bare=True, ignore=moving)
    columns = [r"\d+ ms ago", r"(?<=\t)\d{1,9}(?= +\t0)", r"(?<=\t)[A-Za-z0-9_-]{22}(?=\t)", " +(?=\t)"]
    run.tool(tool, "--bootstrap-server", "{b}", "describe", "--replication", bare=True, ignore=columns)
    run.tool(tool, "--bootstrap-server", "{b}", "describe", "--replication", "--human-readable", bare=True, ignore=columns)
    for line in (
        ["describe"],
        ["describe", "--status", "--replication"],
        ["describe", "--status", "--human-readable"],
        ["--command-config", "/no/such/file", "describe", "--status"],
        ["remove-controller", "--controller-id", "-1", "--controller-directory-id", "x"],
        ["remove-controller", "--controller-id", "1", "--controller-directory-id", "x"],
        ["remove-controller", "--controller-id", "1", "--controller-directory-id", "AAAAAAAAAAAAAAAAAAAAAQ", "--dry-run"],
        ["add-controller"],
    ):
        run.tool(tool, "--bootstrap-server", "{b}", *line, bare=True)
    for line in ([], ["describe", "--status"], ["nothing"]):
        run.tool(tool, *line, bare=True, err="no")


@scenario("cluster.controllers")
def controllers(run):
    controller = ["--bootstrap-controller", "{c}"]
    run.tool("kafka-cluster", "cluster-id", *controller, bare=True, ignore=[r"Cluster ID: \S+"])
    run.tool("kafka-cluster", "cluster-id", "--bootstrap-controller", "{b}", bare=True)
    run.tool("kafka-cluster", "cluster-id", "--bootstrap-server", "{c}", bare=True, within_s=90)
    run.tool("kafka-cluster", "list-endpoints", *controller, bare=True, ignore=[r" +(?=\n|$)"])
    run.tool("kafka-cluster", "list-endpoints", "--include-fenced-brokers", *controller, bare=True)
    moving = [r"(LeaderEpoch|HighWatermark|ClusterId): +\S+", r'"directoryId": "[^"]+"']
    run.tool("kafka-metadata-quorum", *controller, "describe", "--status", bare=True, ignore=moving)
    columns = [r"\d+ ms ago", r"(?<=\t)\d{1,9}(?= +\t0)", r"\b1\d{12}\b", r"(?<=\t)[A-Za-z0-9_-]{22}(?=\t)", " +(?=\t)"]
    run.tool("kafka-metadata-quorum", *controller, "describe", "--replication", bare=True, ignore=columns)
    run.tool("kafka-features", *controller, "describe", bare=True, ignore=[r"Epoch: \d+"])
    run.tool("kafka-features", *controller, "upgrade", "--feature", "no.such.feature=3", bare=True)
    run.tool("kafka-configs", *controller, "--entity-type", "brokers", "--entity-name", "1", "--describe", bare=True)
    run.tool("kafka-configs", *controller, "--entity-type", "brokers", "--entity-name", "1", "--alter", "--add-config", "log.retention.ms=77000", bare=True)
    run.tool("kafka-configs", *controller, "--entity-type", "brokers", "--entity-name", "1", "--alter", "--delete-config", "log.retention.ms", bare=True)


@scenario("cluster.features")
def features(run):
    tool = "kafka-features"
    server = ["--bootstrap-server", "{b}"]
    run.tool(tool, *server, "describe", bare=True, ignore=[r"Epoch: \d+"])
    run.tool(tool, *server, "describe", "--node-id", "1", bare=True, ignore=[r"Epoch: \d+"])
    run.tool(tool, *server, "describe", "--node-id", "-1", bare=True)
    run.tool(tool, *server, "upgrade", "--feature", "metadata.version=30", "--dry-run", bare=True)
    run.tool(tool, *server, "upgrade", "--feature", "no.such.feature=3", bare=True)
    run.tool(tool, *server, "upgrade", bare=True)
    run.tool(tool, *server, "upgrade", "--feature", "x", bare=True)
    run.tool(tool, *server, "upgrade", "--feature", "x=y", bare=True)
    run.tool(tool, *server, "upgrade", "--feature", "x=1", "--feature", "x=2", bare=True)
    run.tool(tool, *server, "upgrade", "--release-version", "nope", bare=True)
    run.tool(tool, *server, "upgrade", "--release-version", "4.0", "--feature", "x=1", bare=True)
    run.tool(tool, *server, "downgrade", "--feature", "metadata.version=99", "--dry-run", bare=True)
    run.tool(tool, *server, "disable", "--feature", "no.such.feature", bare=True)
    for release in (None, "4.3", "4.0-IV1", "3.3", "4.4", "4.4-IV0", "1.0"):
        run.tool(tool, "version-mapping", *(["--release-version", release] if release else []), bare=True)
    for feature in ("metadata.version=25", "metadata.version=99", "transaction.version=2", "eligible.leader.replicas.version=1", "x=1", "kraft.version=7", "x"):
        run.tool(tool, "feature-dependencies", "--feature", feature, bare=True)
    for line in (["describe"], [], ["nothing"], ["feature-dependencies"], ["--bootstrap-server", "a:1", "--bootstrap-controller", "a:1", "describe"]):
        run.tool(tool, *line, bare=True, err="all")
