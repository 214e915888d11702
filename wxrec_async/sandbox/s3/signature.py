"""Verification of AWS Signature Version 4 in the Authorization header."""

from __future__ import annotations

import calendar
import functools
import hashlib
import hmac
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from aiohttp import web

from wxrec_async.sandbox.front import Refusal

HEADER = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
# What S3 allows.
SKEW_S = 15 * 60
UNRESERVED = "-_.~"


@dataclass(frozen=True, slots=True)
class Verifier:
    """Knows one pair of keys and one region."""

    access_key: str
    secret_key: str
    region: str
    clock: Callable[[], float]

    def check(self, request: web.BaseRequest) -> None:
        """Raise Refusal unless the request is signed as S3 wants it."""
        header = request.headers.get("Authorization")
        if header is None:
            raise Refusal(403, "AccessDenied", "")
        found = HEADER.fullmatch(header)
        if found is None:
            raise Refusal(400, "AuthorizationHeaderMalformed", "")
        key, day, region, service, signed, signature = found.groups()
        if key != self.access_key:
            raise Refusal(403, "InvalidAccessKeyId", "")
        if region != self.region or service != "s3":
            message = (
                f"The authorization header is malformed; the region '{region}' is wrong; expecting '{self.region}'"
            )
            raise Refusal(400, "AuthorizationHeaderMalformed", message)
        moment = request.headers.get("x-amz-date", "")
        self._check_time(moment)
        names = signed.split(";")
        self._check_names(request, names)
        text = f"AWS4-HMAC-SHA256\n{moment}\n{day}/{region}/s3/aws4_request\n{_canonical_digest(request, names)}"
        expected = hmac.new(_signing_key(self.secret_key, day, region), text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected, signature):
            raise Refusal(403, "SignatureDoesNotMatch", "")

    def _check_time(self, moment: str) -> None:
        try:
            sent = calendar.timegm(time.strptime(moment, "%Y%m%dT%H%M%SZ"))
        except ValueError:
            raise Refusal(
                403, "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
            ) from None
        if abs(sent - self.clock()) > SKEW_S:
            raise Refusal(403, "RequestTimeTooSkewed", "")

    def _check_names(self, request: web.BaseRequest, names: list[str]) -> None:
        """Every x-amz- header and Host must be signed."""
        # Otherwise somebody on the way could add one to a request that is signed.
        needed = {name.lower() for name in request.headers if name.lower().startswith("x-amz-")} | {"host"}
        if missing := sorted(needed - set(names)):
            raise Refusal(
                403, "AccessDenied", f"There were headers present which were not signed: {', '.join(missing)}"
            )


def _canonical_digest(request: web.BaseRequest, names: list[str]) -> str:
    path, _, query = request.raw_path.partition("?")
    headers = "".join(f"{name}:{_value(request, name)}\n" for name in names)
    # As the client says it; whether the body fits is seen when it is read (`request_body`).
    payload = request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    # S3 signs a path encoded once; AWS's other services encode it twice.
    canonical = "\n".join(
        (request.method, _encoded(path, "/"), _canonical_query(query), headers, ";".join(names), payload)
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def _value(request: web.BaseRequest, name: str) -> str:
    # Runs of blanks count as one.
    return ",".join(" ".join(value.split()) for value in request.headers.getall(name, []))


def _canonical_query(query: str) -> str:
    pairs = [item.partition("=") for item in query.split("&") if item]
    return "&".join(sorted(f"{_encoded(name)}={_encoded(value)}" for name, _, value in pairs))


def _encoded(text: str, safe: str = "") -> str:
    # One form of two: a client may write ~ or %7E, and the signature is over the first.
    return quote(unquote(text, errors="surrogateescape"), safe=UNRESERVED + safe, errors="surrogateescape")


@functools.lru_cache(maxsize=32)
def _signing_key(secret: str, day: str, region: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), hashlib.sha256)
    return key
