"""XML as S3 writes it, and the one document it reads."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from xml.sax.saxutils import escape, unescape

from aiohttp import web

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
Node = tuple[str, "str | int | list[Node]"]

MESSAGES = {
    "AccessDenied": "Access Denied",
    "AuthorizationHeaderMalformed": "The authorization header is malformed.",
    "BadDigest": "The checksum you specified did not match the calculated checksum.",
    "ConditionalRequestConflict": "The conditional request cannot succeed due to a conflicting operation against this "
    "resource.",
    "EntityTooSmall": "Your proposed upload is smaller than the minimum allowed size",
    "IncompleteBody": "You did not provide the number of bytes specified by the Content-Length HTTP header",
    "InternalError": "We encountered an internal error. Please try again.",
    "InvalidAccessKeyId": "The AWS Access Key Id you provided does not exist in our records.",
    "InvalidDigest": "The Content-MD5 you specified was invalid.",
    "InvalidPart": "One or more of the specified parts could not be found.  The part may not have been uploaded, or "
    "the specified entity tag may not match the part's entity tag.",
    "InvalidPartOrder": "The list of parts was not in ascending order. Parts must be ordered by part number.",
    "InvalidRange": "The requested range is not satisfiable",
    "KeyTooLongError": "Your key is too long",
    "MalformedXML": "The XML you provided was not well-formed or did not validate against our published schema",
    "MethodNotAllowed": "The specified method is not allowed against this resource.",
    "MissingContentLength": "You must provide the Content-Length HTTP header.",
    "NoSuchBucket": "The specified bucket does not exist",
    "NoSuchKey": "The specified key does not exist.",
    "NoSuchUpload": "The specified upload does not exist. The upload ID may be invalid, or the upload may have been "
    "aborted or completed.",
    "NotImplemented": "A header you provided implies functionality that is not implemented.",
    "PreconditionFailed": "At least one of the pre-conditions you specified did not hold",
    "RequestTimeTooSkewed": "The difference between the request time and the current time is too large.",
    "RequestTimeout": "Your socket connection to the server was not read from or written to within the timeout period. "
    "Idle connections will be closed.",
    "SignatureDoesNotMatch": "The request signature we calculated does not match the signature you provided. Check "
    "your key and signing method.",
    "SlowDown": "Please reduce your request rate.",
    "XAmzContentSHA256Mismatch": "The provided 'x-amz-content-sha256' header does not match what was computed.",
}
PART = re.compile(r"<Part>(.*?)</Part>", re.DOTALL)
FIELD = re.compile(r"<(\w+)>([^<]*)</\1>")


def write(root: str, children: Iterable[Node]) -> str:
    """Return a document with S3's namespace."""
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{_nodes(children)}</{root}>'


def _nodes(children: Iterable[Node]) -> str:
    return "".join(
        f"<{name}>{_nodes(value) if isinstance(value, list) else escape(str(value))}</{name}>"
        for name, value in children
    )


def document(root: str, children: Iterable[Node], headers: dict[str, str] | None = None) -> web.Response:
    """Return a document as a 200."""
    return web.Response(text=write(root, children), content_type="application/xml", headers=headers)


def error_response(status: int, code: str, message: str, resource: str) -> web.Response:
    """Return an error as S3 writes it; an empty code becomes InternalError."""
    code = code or "InternalError"
    request_id = uuid.uuid4().hex[:16].upper()
    fields: list[Node] = [
        ("Code", code),
        ("Message", message or MESSAGES.get(code, code)),
        ("Resource", resource),
        ("RequestId", request_id),
        ("HostId", "sandbox"),
    ]
    text = f"{DECLARATION}<Error>{_nodes(fields)}</Error>"
    headers = {"x-amz-request-id": request_id, "x-amz-id-2": "sandbox"}
    return web.Response(text=text, status=status, content_type="application/xml", headers=headers)


def read_parts(body: str) -> list[dict[str, str]] | None:
    """Read a CompleteMultipartUpload document in the plain form that SDKs send; None when it is none."""
    # Comments, CDATA and a DOCTYPE are not what SDKs send, and a regular expression would read past them.
    if "<!" in body or "<CompleteMultipartUpload" not in body or "</CompleteMultipartUpload>" not in body:
        return None
    # ETags come with their quotes, which some SDKs write as entities.
    parts = [
        {name: unescape(value, {"&quot;": '"'}) for name, value in FIELD.findall(part)} for part in PART.findall(body)
    ]
    good = all("PartNumber" in part and part["PartNumber"].isdigit() and "ETag" in part for part in parts)
    return parts if parts and good else None
