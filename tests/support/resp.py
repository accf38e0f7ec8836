"""Splits a server's byte stream into whole replies (RESP2 and RESP3)."""

_BULK = b"$=!"
_SEQUENCE = b"*~>"
_PAIRS = b"%|"
_KINDS = _BULK + _SEQUENCE + _PAIRS + b"+-:_,#("


class ReplySplitter:
    """Keeps the bytes of the reply that is not complete yet; lets pass what is not RESP (TLS)."""

    def __init__(self) -> None:
        self._buffer = b""
        self._opaque = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the replies that these bytes complete, each as its own bytes."""
        self._opaque = self._opaque or (not self._buffer and data[0] not in _KINDS)
        if self._opaque:
            return [data]
        self._buffer += data
        replies = []
        while (end := _end_of_reply(self._buffer, 0)) is not None:
            replies.append(self._buffer[:end])
            self._buffer = self._buffer[end:]
        return replies


def _end_of_reply(data: bytes, start: int) -> int | None:
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, position = data[start : start + 1], line_end + 2
    if kind in _BULK:
        length = int(data[start + 1 : line_end])
        position += length + 2 if length >= 0 else 0
        return position if position <= len(data) else None
    children = 0
    if kind in _SEQUENCE + _PAIRS:
        children = int(data[start + 1 : line_end]) * (2 if kind in _PAIRS else 1)
        # An attribute stands before the reply that it belongs to.
        children += kind == b"|"
    for _ in range(children):
        end = _end_of_reply(data, position)
        if end is None:
            return None
        position = end
    return position
