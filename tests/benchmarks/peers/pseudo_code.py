"""The owner's pseudo code as it is written: one task at a time, requests, a temporary file, boto3.

Arguments: API root, S3 endpoint, bucket, file with task ids, CA file or nothing.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import boto3
import requests

api, endpoint, bucket, ids, ca = sys.argv[1:6]
verify: str | bool = ca or True
headers = {"Authorization": "Bearer bench", "Content-Type": "application/json", "Accept": "application/json"}

for task_id in Path(ids).read_text().split():
    answer = requests.post(
        f"{api}/captures/query", json={"query": {"taskIds": [task_id]}}, headers=headers, verify=verify, timeout=300
    )
    answer.raise_for_status()
    url = answer.json()["data"][0]["recording"][0]["attributes"]["filePath"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{task_id}.wav"
        with requests.get(url, stream=True, timeout=300, verify=verify) as media, path.open("wb") as file:
            media.raise_for_status()
            for chunk in media.iter_content(chunk_size=8192):
                file.write(chunk)
        client = boto3.client("s3", region_name="us-east-1", endpoint_url=endpoint, verify=verify)
        client.upload_file(str(path), bucket, f"call-detail/{task_id}/recording.wav", {"ContentType": "audio/wav"})
