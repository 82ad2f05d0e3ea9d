"""Fixtures of all Python suites; a member thread that a failing test leaves behind is stopped here."""

import pytest

import common
import kp


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
