"""The other end of `processes.py`: what runs in a child process of a test."""

import asyncio
import importlib
import inspect
import json
import sys


def say(event: str, **details: object) -> None:
    """Tell the test that something happened, as one line of JSON."""
    line = json.dumps({"event": event, **details})
    # One write a line, so that the lines of threads do not mix.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(module: str, function: str, arguments: str) -> None:
    """Call a function of a test module, coroutine function or not."""
    result = getattr(importlib.import_module(module), function)(*json.loads(arguments))
    if inspect.iscoroutine(result):
        asyncio.run(result)


if __name__ == "__main__":
    main(*sys.argv[1:])
