"""kafka-consumer-groups."""

from . import scenario

TOOL = "kafka-consumer-groups"


def fill(run):
    """Topics with records, and two groups without members that have read some."""
    run.setup("kafka-topics", "--create", "--topic", "t-one", "--partitions", "3")
    run.setup("kafka-topics", "--create", "--topic", "t-two")
    run.setup("kafka-console-producer", "--topic", "t-two", stdin="a\nb\nc\nd\ne\n")
    run.setup("kafka-console-producer", "--topic", "t-one", "--reader-property", "parse.key=true", "--reader-property", "key.separator=:",
              stdin="".join(f"k{n}:{n}\n" for n in range(20)))
    for group in ("g-one", "g-two"):
        run.setup("kafka-console-consumer", "--topic", "t-two", "--group", group, "--from-beginning", "--max-messages", "3", "--timeout-ms", "20000")


@scenario("consumer_groups.show")
def show(run):
    fill(run)
    run.tool(TOOL, "--list")
    run.tool(TOOL, "--list", "--state")
    run.tool(TOOL, "--list", "--type")
    run.tool(TOOL, "--list", "--state", "--type")
    run.tool(TOOL, "--list", "--state", "stable")
    run.tool(TOOL, "--list", "--state", "empty, Stable", "--type", "classic")
    run.tool(TOOL, "--list", "--type", "consumer")
    for more in ([], ["--offsets"], ["--members"], ["--state"]):
        run.tool(TOOL, "--describe", "--group", "g-one", *more, err="all")
        run.tool(TOOL, "--describe", "--group", "g-one", "--verbose", *more, err="all")
        run.tool(TOOL, "--describe", "--group", "g-none", *more)
    run.tool(TOOL, "--describe", "--all-groups", err="all")
    run.tool(TOOL, "--describe", "--group", "g-two", "--group", "g-one", "--state", err="all")


@scenario("consumer_groups.reset")
def reset(run):
    fill(run)
    both = ["--reset-offsets", "--group", "g-one"]
    for to in (["--to-earliest"], ["--to-latest"], ["--to-current"], ["--to-offset", "2"], ["--shift-by", "-2"], ["--shift-by", "1"], ["--by-duration", "P1D"],
               ["--by-duration", "PT0S"], ["--to-datetime", "2020-01-01T00:00:00.000"], ["--to-datetime", "2099-01-01T00:00:00.000+02:00"]):
        run.tool(TOOL, *both, *to, "--all-topics", "--dry-run", err="all")
    for to in (["--to-offset", "99"], ["--shift-by", "99"], ["--shift-by", "-99"]):
        run.tool(TOOL, *both, *to, "--all-topics", "--dry-run", err="no")
    run.tool(TOOL, *both, "--to-earliest", "--topic", "t-one", "--topic", "t-two:0", "--execute", err="all")
    run.tool(TOOL, "--describe", "--group", "g-one", err="all")
    run.tool(TOOL, *both, "--to-latest", "--topic", "t-one:0,2", "--export", "--dry-run", err="all")
    run.tool(TOOL, *both, "--to-current", "--all-topics", "--export", "--dry-run", err="all")
    run.tool(TOOL, "--reset-offsets", "--all-groups", "--to-current", "--all-topics", "--export", "--dry-run", err="all")
    run.tool(TOOL, "--reset-offsets", "--all-groups", "--to-latest", "--topic", "t-two", "--execute", err="all")
    plan = run.path("plan.csv", "t-one,0,1\nt-one,1,0\nt-two,0,2\n")
    run.tool(TOOL, *both, "--from-file", plan, "--execute", err="all")
    many = run.path("many.csv", "g-one,t-two,0,4\ng-two,t-two,0,1\n")
    run.tool(TOOL, "--reset-offsets", "--group", "g-two", "--group", "g-one", "--from-file", many, "--execute", err="no")
    run.tool(TOOL, "--reset-offsets", "--group", "g-other", "--from-file", plan, "--dry-run", err="all")
    run.tool(TOOL, "--reset-offsets", "--group", "g-new", "--to-earliest", "--topic", "t-two", "--execute", err="all")
    run.tool(TOOL, "--describe", "--all-groups", err="all")
    run.tool(TOOL, *both, "--to-earliest", "--all-topics")


@scenario("consumer_groups.delete")
def delete(run):
    fill(run)
    run.tool(TOOL, "--reset-offsets", "--group", "g-one", "--to-earliest", "--topic", "t-one", "--execute")
    run.tool(TOOL, "--delete-offsets", "--group", "g-one", "--topic", "t-one:1")
    run.tool(TOOL, "--delete-offsets", "--group", "g-one", "--topic", "t-two", "--topic", "t-one:0,9")
    run.tool(TOOL, "--delete-offsets", "--group", "g-one", "--topic", "t-none")
    run.tool(TOOL, "--delete-offsets", "--group", "g-none", "--topic", "t-two")
    run.tool(TOOL, "--describe", "--group", "g-one", err="all")
    run.tool(TOOL, "--delete", "--group", "g-none")
    run.tool(TOOL, "--delete", "--group", "g-one", "--group", "g-none")
    run.tool(TOOL, "--delete", "--group", "g-two")
    run.tool(TOOL, "--list")
    run.tool(TOOL, "--delete", "--all-groups")


@scenario("consumer_groups.mistakes")
def mistakes(run):
    run.setup("kafka-topics", "--create", "--topic", "t-one")
    for line in (
        ["--describe"],
        ["--describe", "--group", "g", "--members", "--state"],
        ["--describe", "--group", "g", "--state", "stable"],
        ["--describe", "--group", "g", "--all-groups"],
        ["--members", "--list"],
        ["--list", "--group", "g"],
        ["--list", "--describe", "--all-groups"],
        ["--list", "--type", "share"],
        ["--delete"],
        ["--delete", "--group", "g", "--topic", "t-one"],
        ["--delete-offsets", "--group", "g"],
        ["--group", "g"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--execute"],
        ["--reset-offsets", "--dry-run", "--to-earliest", "--all-topics"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-earliest"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-earliest", "--topic", "t-none"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-earliest", "--topic", "t-one:9"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-earliest", "--topic", "t-one:x"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-earliest", "--topic", "t-one:0:1"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--shift-by", "1", "--topic", "t-one"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-offset", "x", "--topic", "t-one"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-datetime", "yesterday", "--topic", "t-one"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--to-datetime", "2020-13-01T00:00:00.000", "--topic", "t-one"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--by-duration", "1h", "--topic", "t-one"],
        ["--reset-offsets", "--group", "g", "--dry-run", "--from-file", "/no/such/file"],
        ["--timeout", "soon", "--list"],
        ["--nothing"],
    ):
        run.tool(TOOL, *line)
    run.tool(TOOL, "--list", bare=True)
    run.tool(TOOL, bare=True, err="no")
    run.tool(TOOL, "--version", bare=True)
    run.tool(TOOL, "--validate-regex", "a.*", bare=True)
    run.tool(TOOL, "--validate-regex", "[a", bare=True)
    run.tool(TOOL, "--validate-regex", "(a", bare=True)
