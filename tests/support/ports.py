"""Free TCP ports of this machine."""

import random
import socket
from pathlib import Path

from examples._processes import RANDOM_PORTS, is_free


def free_port() -> int:
    """Return a port that was free just now; the caller tries another one when it lost a race.

    Ports that the kernel hands to outgoing connections are avoided: a client that knocks at a
    closed port of that range again and again may be given that very port, and connects to itself.
    So are the ports of the demos, which end when somebody else takes one that was free just now.
    """
    first, last = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    taken = {*range(int(first), int(last) + 1), *RANDOM_PORTS}
    free = [port for port in range(10_000, 65_536) if port not in taken]
    # Shared randomness would give all test processes the ports in the same order.
    for port in random.SystemRandom().sample(free, min(len(free), 100)):
        if is_free(port):
            return port
    return _any_port()


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
