"""Fixtures of all Python suites; a member thread that a failing test leaves behind is stopped here."""

import pytest
from kafka.errors import CoordinatorNotAvailableError

import common
import kp


@pytest.fixture(scope="session", autouse=True)
def coordinator():
    """A broker's first look for a coordinator creates the offsets topic and may be told to come back; admin clients don't always do so by themselves."""

    def available():
        with kp.admin() as client:
            try:
                return client.describe_groups([common.unique("group")])
            except CoordinatorNotAvailableError:
                return None

    common.wait_until(available, "a group coordinator")


@pytest.fixture
def topic(request):
    """A new topic; its number of partitions and its configs come from @pytest.mark.topic(partitions=..., configs=...)."""
    marker = request.node.get_closest_marker("topic")
    return kp.create_topic(common.unique("topic"), **(marker.kwargs if marker else {}))


@pytest.fixture
def group():
    return common.unique("group")


@pytest.fixture
def members():
    """A list: the members that a test appends are stopped after it, whatever happened."""
    started = []
    yield started
    for member in started:
        member.stopping.set()
    for member in started:
        member.join(common.PATIENCE_S)


def pytest_configure(config):
    config.addinivalue_line("markers", "topic(partitions, configs): what the topic fixture creates")
