"""Certificates for tests: an authority of their own, made by `openssl`, that signs for two days."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Authority:
    """Signs what tests ask for.

    Attributes
    ----------
    certificate
        What those who shall trust it need.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = folder / "authority.key"
        self.certificate = folder / "authority.pem"
        _openssl(
            *("req", "-x509", *_NEW_KEY, "-nodes", "-days", "2", "-subj", "/CN=Test authority"),
            *("-keyout", self._key, "-out", self.certificate),
        )

    def issue(self, name: str, *, key_password: str = "") -> Path:
        """A certificate for `name` on this machine: key and certificate in one PEM file."""
        request, key = self._folder / f"{name}.csr", self._folder / f"{name}.key"
        certificate, both = self._folder / f"{name}.crt", self._folder / f"{name}.pem"
        lock = ("-passout", f"pass:{key_password}") if key_password else ("-nodes",)
        _openssl(
            *("req", *_NEW_KEY, *lock, "-subj", f"/CN={name}", "-keyout", key, "-out", request),
            *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-days", "2", "-copy_extensions", "copy"),
            *("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"),
            *("-out", certificate),
        )
        both.touch(mode=0o600)
        both.write_text(key.read_text() + certificate.read_text())
        return both


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
