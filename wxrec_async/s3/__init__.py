"""The bucket: the one room that knows aioboto3.  Its errors leave here as ours."""
