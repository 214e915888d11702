"""The two requests that carry bytes, without the SDK's long way to them.

A put through aiobotocore costs 1.2 ms of CPU before its first byte moves: forty
event handlers, endpoint rules, a parameter validator, two copies of the
headers, a retry loop for one attempt.  What those find out is the same for
every object of a bucket, so it is learned from the first request, which goes
the long way.  All later ones are made of the SDK's own parts and nothing else:
its serializer writes the headers, its signer signs, its HTTP session sends, its
parser reads the answer, and its exceptions are raised (0.5 ms).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiobotocore.httpsession import AIOHTTPSession
from botocore.awsrequest import AWSPreparedRequest, HeadersDict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from botocore.utils import percent_encode_sequence

if TYPE_CHECKING:
    from aiobotocore.signers import AioRequestSigner
    from botocore.model import OperationModel
    from types_aiobotocore_s3 import S3Client

Reply = Mapping[str, Any]
PUT, PART = "PutObject", "UploadPart"


@dataclass(frozen=True, slots=True)
class _Learnt:
    """What the long way found out about an operation on a bucket: its URL, how it is written, who signs for where."""

    url: str
    model: OperationModel
    signer: AioRequestSigner
    region: str
    user_agent: str


class _Unsigned:
    """What botocore's signers read and write of a request: one writes into its headers, awscrt's replaces them."""

    __slots__ = ("body", "context", "headers", "method", "params", "url")

    def __init__(self, url: str, headers: dict[str, str], context: dict[str, Any]) -> None:
        self.method, self.url, self.context = "PUT", url, context
        self.headers: Any = headers  # a mapping without regard to case, once awscrt has signed
        self.params: dict[str, str] = {}
        self.body = b""  # never read: the payload is not signed, its checksum is


class FastPut:
    """`put_object` and `upload_part` as ``client`` has them: the same parameters, answers and exceptions.

    ``http`` is the session of ``client``.  Buckets whose requests are not signed
    with plain SigV4 (directory buckets, multi-region access points) keep going
    the long way.
    """

    def __init__(self, client: S3Client, http: AIOHTTPSession) -> None:
        self._client, self._http = client, http
        protocol = client.meta.service_model.metadata["protocol"]
        # What is sent is ours and always of one shape, and the long way has validated the first of it.
        self._serializer = create_serializer(protocol, include_validation=False)
        self._parser = create_parser(protocol)
        self._known: dict[tuple[str, str], _Learnt] = {}
        events: Any = client.meta.events  # the stubs do not know what these handlers get
        for name in (PUT, PART):
            events.register_last(f"before-call.s3.{name}", self._learn, unique_id=f"wxrec-short-way-{name}")

    async def put_object(self, **params: Any) -> Reply:
        """See ``client``."""
        # Until the first request has taught us, several may go the long way at once; each of them
        # learns the same.
        known = self._known.get((PUT, params["Bucket"]))
        return await (self._send(known, params) if known else self._client.put_object(**params))

    async def upload_part(self, **params: Any) -> Reply:
        """See ``client``."""
        known = self._known.get((PART, params["Bucket"]))
        return await (self._send(known, params) if known else self._client.upload_part(**params))

    def _learn(self, model: Any, params: Any, context: Any, request_signer: Any, **_: object) -> None:
        """Keep where the SDK sends this request and how it signs it; must return None, see ``_send_once``."""
        signing = context.get("signing", {})
        if context.get("auth_type") != "v4" or signing.get("signing_name") != "s3" or not signing.get("region"):
            return
        # Without the path of this key it is what all keys of the bucket have in common.
        url = params["url"].partition("?")[0].removesuffix(params["url_path"])
        known = _Learnt(url, model, request_signer, signing["region"], params["headers"]["User-Agent"])
        self._known[model.name, context["input_params"]["Bucket"]] = known

    async def _send(self, known: _Learnt, params: dict[str, Any]) -> Reply:
        """Send one request; raises what ``client`` does."""
        request = self._serializer.serialize_to_request(params, known.model)
        query = percent_encode_sequence(request["query_string"])
        url = known.url + request["url_path"] + ("?" + query if query else "")
        headers = {**request["headers"], "User-Agent": known.user_agent}
        # Anew for every request: it freezes the credentials of this moment, which botocore renews
        # before they end.
        auth: Any = await known.signer.get_auth_instance("s3", known.region, "s3v4")
        to_sign = _Unsigned(url, headers, {"client_config": self._client.meta.config})
        auth.add_auth(to_sign)
        body = request["body"]
        sent: Any = HeadersDict(to_sign.headers.items())  # the signer of awscrt puts new ones in the place of ours
        # Behind the signature, where botocore itself adds it.
        sent["Content-Length"] = str(len(body))
        prepared: Any = AWSPreparedRequest("PUT", url, sent, body, stream_output=False)
        return await self._read(await self._http.send(prepared), known.model)

    async def _read(self, answer: Any, model: OperationModel) -> Reply:
        parts = {"status_code": answer.status_code, "headers": answer.headers, "body": await answer.content}
        shape: Any = model.output_shape
        parsed: dict[str, Any] = self._parser.parse({**parts, "context": {}}, shape)
        # Put and part have no error inside a 200, as complete has: that one always goes the long way.
        if answer.status_code >= 300:
            errors: Any = self._client.exceptions
            raise errors.from_code(parsed.get("Error", {}).get("Code"))(parsed, model.name)
        return parsed
