"""Certificates of a CA that exists for one test session."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: the CA's certificate; a server's and a client's key with certificate."""

    ca: Path
    server: Path
    client: Path

    def client_options(self) -> dict[str, Any]:
        """Return what `redis.asyncio.Redis` takes to connect with the client's certificate."""
        return {
            "ssl": True,
            "ssl_ca_certs": str(self.ca),
            "ssl_certfile": str(self.client),
            "ssl_keyfile": str(self.client),
        }


def make_tls_files(directory: Path) -> TlsFiles:
    """Write new certificates into a directory; the server's is for localhost and 127.0.0.1."""
    authority = trustme.CA()
    files = TlsFiles(directory / "ca.pem", directory / "server.pem", directory / "client.pem")
    authority.cert_pem.write_to_path(str(files.ca))
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_and_cert_chain_pem.write_to_path(str(files.server))
    client = authority.issue_cert("client@dsync.test")
    client.private_key_and_cert_chain_pem.write_to_path(str(files.client))
    return files
