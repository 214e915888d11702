"""What the S3 operations share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from wxrec_async.sandbox.s3.state import BucketState


@dataclass(slots=True)
class Context:
    """The bucket and its policies.

    ``owner`` is the account id that ``x-amz-expected-bucket-owner`` must name;
    ``denied`` are IAM actions that are refused; ``rate`` is how fast bodies are
    read, bytes per second and connection (0: as fast as they come);
    ``second_complete`` is what a repeated Complete is answered with;
    ``lifecycle_days`` 0 means that no rule aborts incomplete uploads.
    """

    bucket: BucketState
    clock: Callable[[], float]
    region: str = "us-east-1"
    owner: str = "123456789012"
    denied: frozenset[str] = frozenset()
    rate: float = 0.0
    md5_etags: bool = False
    second_complete: str = "same"
    lifecycle_days: int = 7
    # S3's own, for all parts but the last.
    min_part_size: int = 5 << 20
