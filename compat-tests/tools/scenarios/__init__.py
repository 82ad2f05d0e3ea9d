"""What the tools are run with. A scenario is a function that runs command lines (`Run.tool`); files are named after their tool, and scenarios are added with
@scenario("topics.create"). Topics have names that begin with t- or t., and go after each run; so do consumer groups. What else a scenario changes it takes back."""

ALL = {}


def scenario(name):
    def add(function):
        assert name not in ALL, name
        ALL[name] = function
        return function

    return add
