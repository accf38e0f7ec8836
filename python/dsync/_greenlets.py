"""The blocking face waits in native threads, which greenlets are not."""

from __future__ import annotations

import sys


def refuse_greenlets() -> None:
    """Raise RuntimeError if gevent or eventlet has replaced what blocks.

    A call of ours would be interrupted by other calls of the same thread, half way.
    """
    gevent = sys.modules.get("gevent.monkey")
    eventlet = sys.modules.get("eventlet.patcher")
    if gevent is not None and any(
        map(gevent.is_module_patched, ("socket", "select", "threading", "_thread"))
    ):
        package, remedy = "gevent", "gevent.monkey.patch_all()"
    elif eventlet is not None and any(
        map(eventlet.is_monkey_patched, ("socket", "select", "thread"))
    ):
        package, remedy = "eventlet", "eventlet.monkey_patch()"
    else:
        return
    raise RuntimeError(
        f"dsync.sync blocks native threads, so it does not work where {package} has replaced "
        f"socket, select or threading: use a worker with threads instead (gunicorn: -k gthread, "
        f"Celery: --pool threads or prefork), without {remedy}"
    )
