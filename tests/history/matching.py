"""Who may have caused what: the largest matching of two sets."""

from collections import deque
from collections.abc import Sequence


def match(edges: Sequence[Sequence[int]]) -> list[int | None]:
    """Give each on the left one of its candidates on the right, so that as many as can be have one.

    :param edges: for each on the left, the candidates, the most likely first
    :returns: for each on the left, its partner
    """
    partner: list[int | None] = [None] * len(edges)
    owner: dict[int, int] = {}
    for left in range(len(edges)):
        _augment(left, edges, partner, owner)
    return partner


def _augment(
    root: int, edges: Sequence[Sequence[int]], partner: list[int | None], owner: dict[int, int]
) -> None:
    """Find one for `root`, moving others to what else they may have (breadth first)."""
    came_from: dict[int, int] = {}
    todo = deque([root])
    while todo:
        left = todo.popleft()
        for right in edges[left]:
            if right in came_from:
                continue
            came_from[right] = left
            if right in owner:
                todo.append(owner[right])
                continue
            place: int | None = right
            while place is not None:
                taker = came_from[place]
                before = partner[taker]
                partner[taker], owner[place] = place, taker
                place = before
            return
