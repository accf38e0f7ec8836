"""Count the refreshes with and without the lock: `python -m examples.token_refresh`.

It needs `redis-server` on the PATH, and leaves no process behind.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any, cast

from redis import Redis
from rich import box
from rich.console import Console
from rich.table import Table

from examples._processes import (
    INTERRUPTED,
    Children,
    DemoError,
    die_with,
    start_redis,
    uninterrupted,
)
from examples._report import verdict
from examples.token_refresh import worker
from examples.token_refresh.worker import REFRESHES


def main(arguments: Sequence[str]) -> int:
    """Run the workers both ways and print the counts; 1 if the lock let two of them refresh."""
    parser = argparse.ArgumentParser(prog="python -m examples.token_refresh", description=__doc__)
    parser.add_argument("--workers", type=int, default=8, metavar="N", help="processes")
    parser.add_argument("--tokens", type=int, default=5, metavar="N", help="tokens that expire")
    options = parser.parse_args(arguments)
    if options.workers < 1 or options.tokens < 1:
        parser.error("there must be a worker and a token")
    try:
        with TemporaryDirectory(prefix="dsync-demo-") as directory, Children() as children:
            url = start_redis(children, directory)
            counts = [
                refreshes(url, options.workers, options.tokens, locking=locking)
                for locking in (False, True)
            ]
    except DemoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    print_report(Console(), options.workers, options.tokens, counts)
    return 0 if counts[1] == options.tokens else 1


def refreshes(url: str, workers: int, tokens: int, *, locking: bool) -> int:
    """Let all workers need each token at the same time, and count how often it was refreshed."""
    options = [url, str(workers), str(tokens), "lock" if locking else "no lock"]
    with Redis.from_url(url, decode_responses=True) as store, ExitStack() as stack:
        store.flushall()
        children = []
        for _ in range(workers):
            with uninterrupted():
                children.append(stack.enter_context(process(options)))
        for child in children:
            if child.wait() != 0:
                raise DemoError("A worker failed.")
        return int(cast(Any, store.get(REFRESHES)) or 0)


@contextmanager
def process(options: Sequence[str]) -> Generator[subprocess.Popen[bytes], None, None]:
    """Run a worker, at most as long as the block and the launcher."""
    command = [sys.executable, "-m", worker.__name__, *options]
    # A group of its own: Ctrl-C reaches the launcher alone.
    with subprocess.Popen(
        command, process_group=0, preexec_fn=partial(die_with, os.getpid())
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def print_report(console: Console, workers: int, tokens: int, counts: Sequence[int]) -> None:
    """Print a row for each way."""
    title = f"{tokens} tokens expire, {workers} workers need each"
    table = Table("", title=title, box=box.SIMPLE)
    table.add_column("refreshes", justify="right")
    table.add_row("without lock", str(counts[0]))
    table.add_row("with KeyValueDistributedLock", verdict(counts[1] == tokens, str(counts[1])))
    console.print(table, highlight=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
