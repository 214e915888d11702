"""Is this a frame of MPEG audio?  The eleven bits it begins with stand in many a body that is none."""

from __future__ import annotations

_KBIT_S = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # by version (1, or 2 and 2.5) and layer: ISO 11172-3 2.4.2.3, ISO 13818-3 2.4.2.3
# By the two version bits: 3 is MPEG 1, 2 is MPEG 2, 0 is MPEG 2.5, and 1 is reserved.
_HERTZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_HEADER = 4
_ADTS_HEADER = 7


def is_mpeg(head: bytes) -> bool:
    """Say whether a valid frame stands at the beginning, and another one behind it where so much is there."""
    size = _frame_size(head)
    if size is None:
        return False
    behind = head[size:]
    # The frames of one stream share version and layer, which is the second byte.
    return len(behind) < _ADTS_HEADER or (_frame_size(behind) is not None and behind[1] == head[1])


def _frame_size(head: bytes) -> int | None:
    """Return a frame's length in bytes by its header; None when it is none."""
    if len(head) < _HEADER or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    # Twelve sync bits and layer 0, which no frame of MPEG 1 or 2 has: ADTS.
    if head[1] & 0xF6 == 0xF0:
        return _adts_size(head)
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, sampling, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    # Rate 0 is the free format, whose header does not tell its length; the others are reserved.
    if version == 1 or layer == 4 or rate in (0, 15) or sampling == 3:
        return None
    bits = _KBIT_S[1 if version == 3 else 2, layer][rate - 1] * 1000
    hertz = _HERTZ[version][sampling]
    if layer == 1:
        return (12 * bits // hertz + padding) * 4
    return (72 if layer == 3 and version != 3 else 144) * bits // hertz + padding


def _adts_size(head: bytes) -> int | None:
    """Return the length of a frame of AAC (ISO 13818-7 6.2)."""
    if len(head) < _ADTS_HEADER or head[2] >> 2 & 15 > 12:
        return None
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    return size if size >= _ADTS_HEADER else None
