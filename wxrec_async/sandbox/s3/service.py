"""Which S3 operation a request is, whether it may be done, and who does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from wxrec_async.sandbox.front import Call, Refusal
from wxrec_async.sandbox.s3 import listing, multipart, objects
from wxrec_async.sandbox.s3.context import Context
from wxrec_async.sandbox.s3.faulty import refuse_on_purpose
from wxrec_async.sandbox.s3.request_body import drain
from wxrec_async.sandbox.s3.signature import Verifier
from wxrec_async.sandbox.s3.xml import error_response

Operation = Callable[[Context, Call], Awaitable[web.StreamResponse]]
LONGEST_KEY = 1024

# name: (what does it, the IAM action it needs)
OPERATIONS: dict[str, tuple[Operation, str]] = {
    "PutObject": (objects.put_object, "s3:PutObject"),
    "GetObject": (objects.get_object, "s3:GetObject"),
    "HeadObject": (objects.get_object, "s3:GetObject"),
    "GetObjectTagging": (objects.get_tagging, "s3:GetObjectTagging"),
    "CreateMultipartUpload": (multipart.create_upload, "s3:PutObject"),
    "UploadPart": (multipart.upload_part, "s3:PutObject"),
    "CompleteMultipartUpload": (multipart.complete_upload, "s3:PutObject"),
    "AbortMultipartUpload": (multipart.abort_upload, "s3:AbortMultipartUpload"),
    "ListParts": (listing.list_parts, "s3:ListMultipartUploadParts"),
    "ListMultipartUploads": (listing.list_uploads, "s3:ListBucketMultipartUploads"),
    "ListObjectsV2": (listing.list_objects, "s3:ListBucket"),
    "HeadBucket": (listing.head_bucket, "s3:ListBucket"),
    "GetBucketLocation": (listing.get_location, "s3:GetBucketLocation"),
    "GetBucketLifecycleConfiguration": (listing.get_lifecycle, "s3:GetLifecycleConfiguration"),
    "GetBucketVersioning": (listing.get_versioning, "s3:GetBucketVersioning"),
    "GetObjectLockConfiguration": (listing.get_object_lock, "s3:GetBucketObjectLockConfiguration"),
}
# (method, the query's sub-resources) of the bucket and of an object
ON_BUCKET = {
    ("HEAD", ""): "HeadBucket",
    ("GET", "list-type"): "ListObjectsV2",
    ("GET", "uploads"): "ListMultipartUploads",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "lifecycle"): "GetBucketLifecycleConfiguration",
    ("GET", "versioning"): "GetBucketVersioning",
    ("GET", "object-lock"): "GetObjectLockConfiguration",
}
ON_OBJECT = {
    ("PUT", ""): "PutObject",
    ("GET", ""): "GetObject",
    ("HEAD", ""): "HeadObject",
    ("GET", "tagging"): "GetObjectTagging",
    ("POST", "uploads"): "CreateMultipartUpload",
    ("PUT", "partNumber,uploadId"): "UploadPart",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListParts",
}
SUB_RESOURCES = frozenset({
    "acl", "cors", "encryption", "lifecycle", "list-type", "location", "object-lock", "partNumber", "policy",
    "retention", "tagging", "torrent", "uploadId", "uploads", "versioning", "versions",
})  # fmt: skip


@dataclass(slots=True)
class S3Service:
    """The service on the S3 port, path style, one bucket."""

    context: Context
    verifier: Verifier
    name: str = "s3"

    async def classify(self, call: Call) -> tuple[str, str]:
        request = call.request
        # Raw, and decoded once: an encoded slash or percent sign belongs to the key.
        path = request.raw_path.partition("?")[0]
        bucket, _, key = path.lstrip("/").partition("/")
        key = unquote(key)
        sub = ",".join(sorted(SUB_RESOURCES & set(request.query)))
        operation = (ON_OBJECT if key else ON_BUCKET).get((request.method, sub), f"{request.method}-{sub}")
        call.detail = {"bucket": unquote(bucket), "key": key}
        part = f"#{request.query['partNumber']}" if operation == "UploadPart" else ""
        return f"s3.{operation}", f"{key}{part}"

    async def answer(self, call: Call) -> web.StreamResponse:
        operation = OPERATIONS.get(call.operation.removeprefix("s3."))
        if operation is None:
            raise Refusal(405, "MethodNotAllowed", "")
        try:
            self._admit(call, operation[1])
            response = await operation[0](self.context, call)
        except Refusal:
            # Or the client would see a broken connection instead of the refusal.
            await drain(call)
            raise
        if not response.prepared:
            response.headers.setdefault("x-amz-request-id", f"SANDBOX{call.entry.number:09d}")
            response.headers.setdefault("x-amz-id-2", "sandbox")
        return response

    def _admit(self, call: Call, action: str) -> None:
        """Check signature, permission, bucket and owner, in S3's order."""
        self.verifier.check(call.request)
        # Behind the signature: a request that is signed wrongly is to show as such under every plan of faults.
        refuse_on_purpose(call)
        if call.detail["bucket"] != self.context.bucket.name:
            raise Refusal(404, "NoSuchBucket", "")
        owner = call.request.headers.get("x-amz-expected-bucket-owner")
        if action in self.context.denied or owner not in (None, self.context.owner):
            raise Refusal(403, "AccessDenied", "")
        if len(call.detail["key"].encode()) > LONGEST_KEY:
            raise Refusal(400, "KeyTooLongError", "")

    def refusal(self, problem: Refusal, call: Call) -> web.Response:
        """Write S3's error document; HEAD has none."""
        response = error_response(problem.status, problem.code, problem.message, call.request.path)
        if call.request.method == "HEAD":
            return web.Response(
                status=problem.status, headers={"x-amz-request-id": response.headers["x-amz-request-id"]}
            )
        return response
