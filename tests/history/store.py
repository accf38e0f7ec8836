"""What the locks of a run protect: a list in another server, which no fault reaches."""

import json
from pathlib import Path

import redis

# KEYS: the greatest token so far, the list. ARGV: token, and the new list where one is to be
# written. A read counts as well: who has read under a token must not be followed by an older
# writer, whose element the reader does not know.
_GUARDED = """
if tonumber(ARGV[1]) < tonumber(redis.call('GET', KEYS[1]) or 0) then
  return false
end
redis.call('SET', KEYS[1], ARGV[1])
if ARGV[2] then
  redis.call('SET', KEYS[2], ARGV[2])
end
return redis.call('GET', KEYS[2]) or '[]'
"""


class Store:
    """Lists of elements; calls block, which is short.

    :param guarded: refuse tokens smaller than the greatest seen
    """

    def __init__(self, path: Path | str, guarded: bool) -> None:
        self._client = redis.Redis(unix_socket_path=str(path), decode_responses=True)
        self._script = self._client.register_script(_GUARDED)
        self.guarded = guarded

    def read(self, key: str, token: int) -> list[str] | None:
        """Return the list, or None if the token is refused."""
        if not self.guarded:
            return self.elements(key)
        text = self._script(keys=[f"{key}-token", key], args=[token])
        return None if text is None else list(json.loads(text))

    def write(self, key: str, token: int, elements: list[str]) -> bool:
        """Replace the list; tells whether the token was accepted."""
        text = json.dumps(elements)
        if not self.guarded:
            return bool(self._client.set(key, text))
        return self._script(keys=[f"{key}-token", key], args=[token, text]) is not None

    def elements(self, key: str) -> list[str]:
        """Return the list, whoever asks."""
        return list(json.loads(self._client.get(key) or "[]"))
