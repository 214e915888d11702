"""boto3 with threads: each streams its download into upload_fileobj; a script somebody writes in an afternoon.

Arguments: file with ``url key`` lines, S3 endpoint, bucket, threads, CA file or nothing.
"""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import requests
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

orders, endpoint, bucket, threads, ca = sys.argv[1:6]
verify: str | bool = ca or True
client = boto3.client(
    "s3",
    region_name="us-east-1",
    endpoint_url=endpoint,
    verify=verify,
    config=Config(max_pool_connections=int(threads) * 2, s3={"addressing_style": "path"}),
)
own = threading.local()


def move(line: str) -> None:
    url, key = line.split()
    if not hasattr(own, "session"):
        own.session = requests.Session()
    with own.session.get(url, stream=True, timeout=300, verify=verify) as media:
        media.raise_for_status()
        client.upload_fileobj(
            media.raw, bucket, key, {"ContentType": "audio/wav"}, Config=TransferConfig(use_threads=False)
        )


with ThreadPoolExecutor(int(threads)) as pool:
    list(pool.map(move, Path(orders).read_text().splitlines()))
