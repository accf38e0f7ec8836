"""Start a demo: `python -m examples.demo lock`.

It needs `redis-server` on the PATH, and leaves no process behind, however it ends.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from contextlib import ExitStack, suppress
from http.client import HTTPConnection, HTTPException
from tempfile import TemporaryDirectory

from examples._processes import HOST, INTERRUPTED, Children, DemoError, listen, start_redis
from examples.token_refresh import __main__ as token_refresh

# Each is a package with the modules `node` and `monitor`.
SCENARIOS = {
    name: f"examples.distributed_{name}"
    for name in ("barrier", "condition", "event", "lock", "semaphore")
}

# A program by itself, with options of its own.
BLOCKING_SCENARIO = "key_value"

DESCRIPTION = "Start processes that share one dsync primitive, and show how they fare."
NODE_OFFSETS = range(-9, -4)
PORT_HELP = "The monitor listens on P, the nodes on P-9 to P-5"
LOWEST_PORT = 1024 - NODE_OFFSETS[0]  # Below 1024, ports are for root.


def main() -> int:
    """Run the demo that the command line asks for, and return its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Also where SIGINT was ignored, as in the background of a shell script.
        signal.signal(number, signal.default_int_handler)
    if sys.argv[1:2] == [BLOCKING_SCENARIO]:
        return token_refresh.main(sys.argv[2:])
    options = parse(sys.argv[1:])
    try:
        with TemporaryDirectory(prefix="dsync-demo-") as directory, Children() as children:
            start(options, children, directory)
            good = gather_stats(options.port)
            if options.once:
                return 0 if good else 1
            serve(options.port)
    except DemoError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line; a wrong one ends the process with a message and exit code 2."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=DESCRIPTION)
    option = parser.add_argument
    option("primitive", choices=[*SCENARIOS, BLOCKING_SCENARIO], help="what to show: %(choices)s")
    option("--once", action="store_true", help="end after one run; exit code 1 if it went wrong")
    option("--port", type=_port, default=8090, metavar="P", help=PORT_HELP)
    option(
        "--requests",
        type=_positive,
        default=200,
        metavar="N",
        help="requests (or jobs, rounds, sets) for each node in a run",
    )
    option("--concurrency", type=_positive, default=8, metavar="N", help="of them at a time")
    option("--work", type=float, default=1.0, metavar="MS", help="for each of them, default 1 ms")
    return parser.parse_args(arguments)


def start(options: argparse.Namespace, children: Children, directory: str) -> None:
    """Start Redis, the nodes and the monitor; they need not be ready to be asked."""
    node_ports = [options.port + offset for offset in NODE_OFFSETS]
    with ExitStack() as stack:  # The services have the listening sockets then.
        # All are taken before anything is started, so that none is taken by somebody else.
        listeners = {
            port: stack.enter_context(listen(port, PORT_HELP))
            for port in (*node_ports, options.port)
        }
        environment = {
            "REDIS_URL": start_redis(children, directory),
            "NODES": ",".join(f"{HOST}:{port}" for port in node_ports),
            "REQUESTS": str(options.requests),
            "CONCURRENCY": str(options.concurrency),
            "WORK_MS": str(options.work),
        }
        print(
            f"Nodes on ports {node_ports[0]} to {node_ports[-1]}, the monitor on {options.port}.",
            flush=True,
        )
        for port, listener in listeners.items():
            module = "monitor" if port == options.port else "node"
            command = [sys.executable, "-m", f"{SCENARIOS[options.primitive]}.{module}"]
            children.start(module, port, command, environment, listener)


def gather_stats(port: int) -> bool:
    """Have the monitor do one run, which prints the table, and tell whether all went well."""
    connection = HTTPConnection(HOST, port)
    try:
        connection.request("GET", "/gather_stats")
        response = connection.getresponse()
        body = response.read()
    except (OSError, HTTPException) as error:
        raise DemoError(f"The monitor (port {port}) gave no answer: {error!r}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise DemoError(body.decode().strip())
    return bool(json.loads(body)["ok"])


def serve(port: int) -> None:
    """Leave the services to the user until Ctrl-C."""
    print(f"Again: curl http://localhost:{port}/gather_stats (Ctrl-C ends)", flush=True)
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(1)


def _port(text: str) -> int:
    port = int(text)
    if not LOWEST_PORT <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not between {LOWEST_PORT} and 65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
