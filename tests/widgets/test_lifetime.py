"""Opening and closing a widget leaves nothing behind: no widget, no page, no memory."""

from __future__ import annotations

import gc
import weakref

import pytest
from ipywidgets.widgets import widget as registry

from lib import widgets
from lib.widgets.base import LiveWidget
from tests.widgets.cases import make
from tests.widgets.conftest import FakePage

KEPT = 300  # objects that all of them together may leave: a cache that grew

pytestmark = pytest.mark.usefixtures("quick")
# These bring models or data of their own, which must go too; the others are small.
WHOLE = {"AttentionView", "Convolution", "NextToken"}
QUICK = {"LineFit", "DescentRace", "Timeline"}


def use_and_close(name: str) -> weakref.ref:
    """A widget that was made, seen by a page and used, then closed."""
    widget: LiveWidget = getattr(widgets, name)() if name in WHOLE else make(name)
    page = FakePage(widget).hello()
    page.set(widget.CONTROLS[0].name, widget.values[widget.CONTROLS[0].name])
    widget.close()
    return weakref.ref(widget)


@pytest.mark.parametrize("name", widgets.__all__)
def test_opening_and_closing_many_times_leaves_nothing(name):
    times = 100 if name in QUICK else 5
    use_and_close(name)
    use_and_close(name)  # caches fill at the first use
    gc.collect()
    alive, objects = len(registry._instances), len(gc.get_objects())
    left = [use_and_close(name) for _ in range(times)]
    gc.collect()
    assert [ref for ref in left if ref() is not None] == []
    assert len(registry._instances) == alive
    assert len(gc.get_objects()) - objects < KEPT + len(left)
