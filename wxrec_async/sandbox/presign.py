"""Pre-signed URLs in the shape of S3's SigV4 query signing; only this sandbox can verify them."""

from __future__ import annotations

import base64
import calendar
import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote

SIGNATURE = "&X-Amz-Signature="


@dataclass(slots=True)
class Presigner:
    """Signs paths of the media server.  ``origin`` is its ``http://host:port``, ``key`` the secret of this sandbox."""

    key: bytes
    clock: Callable[[], float]
    origin: str = ""

    def sign(self, path: str, seconds: int) -> str:
        """Return a URL that can be fetched for that long.  Its query must arrive byte for byte."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.clock()))
        # CANARY marks what must turn up nowhere: tests look for it in every log, ledger and report.
        credential = quote(f"CANARYACCESS/{moment[:8]}/us-east-1/s3/aws4_request", safe="")
        session = quote("CANARY-ST/" + base64.b64encode(self._digest(moment)).decode() + "+/=", safe="")
        query = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={moment}"
            f"&X-Amz-Expires={seconds}&X-Amz-Security-Token={session}&X-Amz-SignedHeaders=host"
        )
        return f"{self.origin}{path}?{query}{SIGNATURE}{self._signature(path, query)}"

    def judge(self, target: str) -> str:
        """Say ``ok``, ``missing``, ``mismatch`` or ``expired`` of a request target as it came over the wire."""
        path, _, query = target.partition("?")
        query, found, signature = query.partition(SIGNATURE)
        if not found:
            return "missing"
        if not hmac.compare_digest(signature.encode(), self._signature(path, query).encode()):
            return "mismatch"
        facts = dict(parse_qsl(query))
        begun = _epoch(facts["X-Amz-Date"])
        # One second more, as the date in the URL has no fractions.
        return "ok" if self.clock() < begun + int(facts["X-Amz-Expires"]) + 1 else "expired"

    def _signature(self, path: str, query: str) -> str:
        """Return a signature with the characters that careless clients re-encode."""
        return quote("CANARY-SIG/" + base64.b64encode(self._digest(f"{path}?{query}")).decode() + "+", safe="")

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self.key, text.encode(), hashlib.sha256)


def _epoch(moment: str) -> int:
    return calendar.timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))
