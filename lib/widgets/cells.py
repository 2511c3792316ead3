"""Which notebook cell made which widgets: running the cell again ends the earlier ones.

JupyterLab sends the id of a cell with the request to run it. Where a front end does
not, nothing is known here, and a widget lives until it is closed or its page goes.
"""

from __future__ import annotations

import threading
from typing import Any

# The widgets that each notebook cell made when it last ran: running it again ends them.
_of_cell: dict[str, tuple[str, list[Any]]] = {}
_lock = threading.Lock()


def current_cell() -> tuple[str, str] | None:
    """(cell, run) of the code that runs now, where the front end tells it."""
    try:
        from IPython import get_ipython

        parent = get_ipython().get_parent()
        cell = parent["metadata"]["cellId"]
        return cell, parent["header"]["msg_id"]
    except (ImportError, AttributeError, KeyError, LookupError, TypeError):
        return None


def replace_earlier(widget: Any) -> None:
    """Note a new widget, and close those that its cell made in an earlier run."""
    here = current_cell()
    if here is None:
        return
    cell, run = here
    with _lock:
        last_run, widgets = _of_cell.get(cell, (run, []))
        earlier = widgets if last_run != run else []
        _of_cell[cell] = (run, [*([] if earlier else widgets), widget])
    for old in earlier:
        old.close()


def forget(widget: Any) -> None:
    """Drop a widget that has been closed."""
    with _lock:
        for _run, widgets in _of_cell.values():
            if widget in widgets:
                widgets.remove(widget)
