"""kafka-storage: it asks no broker. What it writes, each side writes into folders of its own."""

import pathlib

from . import scenario

TOOL = "kafka-storage"
ID = "MkU3OEVBNTcwNTJENDM2Qg"


def node(run, name, **settings):
    """A properties file of a node with two log directories that are not there yet."""
    keys = {
        "process.roles": "broker,controller", "node.id": "1", "controller.listener.names": "CONTROLLER",
        "listeners": "PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": f"{run.path(name + '-1')},{run.path(name + '-2')}",
    }
    keys |= {key.replace("_", "."): value for key, value in settings.items()}
    return run.path(f"{name}.properties", "".join(f"{key}={value}\n" for key, value in keys.items() if value is not None))


def static(run, name, **settings):
    return node(run, name, **{"controller_quorum_voters": "1@127.0.0.1:9093"} | settings)


def dynamic(run, name, **settings):
    return node(run, name, controller_quorum_bootstrap_servers="127.0.0.1:9093", **settings)


@scenario("storage.life")
def life(run):
    def info(config, ignore=(r"(?<=directory\.id=)[\w-]{22}(?=, )",)):
        # A directory's id is chance, but where --initial-controllers says it.
        run.tool(TOOL, "info", "--config", config, bare=True, err="all", ignore=ignore)

    def format(config, *more):
        run.tool(TOOL, "format", "--cluster-id", ID, "--config", config, *more, bare=True, err="no", sort=True)

    one = static(run, "one")
    info(one)
    format(one)
    info(one)
    # Which of them Java finds first is chance.
    run.tool(TOOL, "format", "-t", ID, "-c", one, bare=True, err="all", ignore=[r"(?<=one-)[12](?= is already)"])
    run.tool(TOOL, "format", "-t", ID, "-c", one, "--ignore-formatted", bare=True, err="all")
    run.tool(TOOL, "format", "-t", "other", "-c", one, "-g", bare=True)
    run.tool(TOOL, "format", "-t", ID, "-c", static(run, "two", node_id="2", controller_quorum_voters="2@127.0.0.1:9093", log_dirs=run.path("one-1")), "-g", bare=True)
    # One of the two is new.
    format(static(run, "three", log_dirs=f"{run.path('one-1')},{run.path('three-2')}"), "-g")
    info(static(run, "three", log_dirs=f"{run.path('one-1')},{run.path('three-2')}"))
    format(dynamic(run, "four"), "--standalone")
    format(dynamic(run, "five"), "--no-initial-controllers")
    format(dynamic(run, "six"), "--initial-controllers", "1@127.0.0.1:9093:JEXY6aqzQY-32P5TStzaFg")
    info(dynamic(run, "six", log_dirs=run.path("six-1")), ignore=())
    format(dynamic(run, "seven", process_roles="broker", node_id="7", listeners="PLAINTEXT://127.0.0.1:9092"))
    format(static(run, "eight"), "--release-version", "4.3")
    format(static(run, "nine"), "--feature", "metadata.version=30", "--feature", "group.version=1")
    pathlib.Path(run.path("ten-1")).mkdir()
    run.path("ten-2", "a file")
    info(static(run, "ten"))
    other = pathlib.Path(run.path("eleven-1"))
    other.mkdir()
    (other / "meta.properties").write_text("version=1\ncluster.id=another\nnode.id=1\n")
    info(static(run, "eleven", log_dirs=f"{run.path('one-1')},{other}"))
    (other / "meta.properties").write_text(f"version=1\ncluster.id={ID}\nnode.id=5\n")
    info(static(run, "eleven", log_dirs=f"{run.path('one-1')},{other}"))
    info(static(run, "twelve", log_dirs=run.path("one-1")))


@scenario("storage.mistakes")
def mistakes(run):
    with_voters, without = static(run, "voters"), dynamic(run, "none")
    broker = dynamic(run, "broker", process_roles="broker", node_id="7", listeners="PLAINTEXT://127.0.0.1:9092")
    voter = "1@127.0.0.1:9093:JEXY6aqzQY-32P5TStzaFg"
    for config, *more in (
        [without],
        [with_voters, "--standalone"],
        [with_voters, "--initial-controllers", voter],
        [broker, "--standalone"],
        *([without, "--initial-controllers", text] for text in ("x", "@", "x@h", "-1@h", "1@", "1@h", "1@[h", "1@[h]x", "1@h:1", "1@h:x:y", "1@h:70000:y", "1@h:1:y", f"{voter},{voter}")),
        *([with_voters, "--release-version", release] for release in ("9.9", "4.4-IV0", "4.4", "3.2", "x")),
        *([with_voters, "--feature", feature] for feature in (
            "x", "x=y", "x=1", "metadata.version=6", "metadata.version=31", "metadata.version=99", "group.version=9", "kraft.version=1", "transaction.version=-1")),
        [with_voters, "--release-version", "4.0", "--feature", "metadata.version=25"],
        [with_voters, "--release-version", "3.9", "--feature", "eligible.leader.replicas.version=1"],
        [without, "--standalone", "--feature", "kraft.version=0"],
    ):
        run.tool(TOOL, "format", "-t", ID, "-c", config, *more, bare=True)
    for line in (
        [], ["nothing"], ["info"], ["format", "-c", "f"], ["format", "-t", ID], ["format", "-c", "f", "-t", ID, "-s", "-N"],
        ["info", "-c", "/no/such/file"], ["format", "-t", ID, "-c", "/no/such/file"], ["feature-dependencies"], ["random-uuid", "x"],
    ):
        run.tool(TOOL, *line, bare=True, err="no")
    run.tool(TOOL, "--help", bare=True, ignore=[r"(?s).+"])
    run.tool(TOOL, "random-uuid", bare=True, err="all", ignore=[r"[\w-]{22}"])
    scram = ["--add-scram", "SCRAM-SHA-256=[name=alice,password=secret]"]
    run.tool(TOOL, "format", "-t", ID, "-c", static(run, "scram"), *scram, bare=True, sort=True, ignore=[r"ApiMessageAndVersion\(UserScram.*?version 0\)"])


@scenario("storage.features")
def features(run):
    for release in (None, "4.3", "4.3.0", "4.0-IV1", "3.3", "4.4", "4.4-IV0", "1.0"):
        run.tool(TOOL, "version-mapping", *(["--release-version", release] if release else []), bare=True, err="all")
    run.tool(TOOL, "version-mapping", "-r", "4.1", bare=True, err="all")
    for feature in ("metadata.version=25", "metadata.version=99", "transaction.version=2", "eligible.leader.replicas.version=1", "x=1", "kraft.version=7", "kraft.version", "group.version=x", " group.version = 1 "):
        run.tool(TOOL, "feature-dependencies", "--feature", feature, bare=True, err="all")
    run.tool(TOOL, "feature-dependencies", "-f", "group.version=1", "-f", "share.version=1", bare=True, err="all")
