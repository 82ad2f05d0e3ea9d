"""DescribeAcls, CreateAcls and DeleteAcls of a broker without an authorizer."""

from scenarios import scenario

UNKNOWN, ANY, ALL, TOPIC, LITERAL, READ, ALLOW = 0, 1, 2, 2, 3, 3, 3


def wish(**given):
    return {"ResourceTypeFilter": TOPIC, "ResourceNameFilter": "t", "PatternTypeFilter": LITERAL, "PrincipalFilter": "User:ann", "HostFilter": "*", "Operation": READ,
            "PermissionType": ALLOW, **given}


def entry(**given):
    return {"ResourceType": TOPIC, "ResourceName": "t", "ResourcePatternType": LITERAL, "Principal": "User:ann", "Host": "*", "Operation": READ, "PermissionType": ALLOW,
            **given}


@scenario("DescribeAcls")
def describe(s):
    s.ask("one", "DescribeAcls", wish())
    s.ask("any", "DescribeAcls", wish(ResourceTypeFilter=ANY, ResourceNameFilter=None, PatternTypeFilter=ANY, PrincipalFilter=None, HostFilter=None, Operation=ANY,
                                      PermissionType=ANY))


@scenario("CreateAcls")
def create(s):
    s.ask("one", "CreateAcls", {"Creations": [entry()]})
    s.ask("two", "CreateAcls", {"Creations": [entry(), entry(Principal="User:bob")]})
    s.ask("none", "CreateAcls", {"Creations": []})


@scenario("DeleteAcls")
def delete(s):
    s.ask("one", "DeleteAcls", {"Filters": [wish()]})
    s.ask("two", "DeleteAcls", {"Filters": [wish(), wish(PrincipalFilter=None)]})
    s.ask("none", "DeleteAcls", {"Filters": []})
