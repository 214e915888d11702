"""Playable telephone audio of any length, made up as it is read.

A recording is a WAV header with a marker of its own, followed by half-second
"words" drawn from a small pool of synthesised syllables.  Which word stands
where is a pure function of the seed and the marker, so any slice can be made
without the rest, nothing is held whole, and no two recordings are equal.
"""

from __future__ import annotations

import array
import functools
import hashlib
import math
import random
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from wxrec_async.sandbox.checksums import crc32

SAMPLE_RATE = 8000
WORD_FRAMES = SAMPLE_RATE // 2
WORDS = 32  # a power of two: a byte of a digest picks one
BLOCK_WORDS = 32


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """A WAV encoding: ``tag`` is the format tag of the ``fmt`` chunk, ``frame`` the bytes per stereo frame."""

    name: str
    tag: int
    bits: int

    @property
    def frame(self) -> int:
        # Two channels of bits / 8.
        return self.bits // 4

    @property
    def bytes_per_second(self) -> int:
        return SAMPLE_RATE * self.frame


# The two that were seen, 16 and 32 kB a second; Webex promises neither.
MULAW = AudioFormat("mulaw", tag=7, bits=8)
PCM16 = AudioFormat("pcm16", tag=1, bits=16)


@dataclass(frozen=True)
class Audio:
    """One WAV file: ``frames`` stereo frames at 8 kHz, distinct by ``marker`` (ASCII, it is also inside the file)."""

    seed: int
    marker: str
    frames: int
    format: AudioFormat = MULAW

    @functools.cached_property
    def header(self) -> bytes:
        return wav_header(self.format, self.frames * self.format.frame, self.marker)

    @property
    def size(self) -> int:
        """The length of the whole file in bytes; nothing is generated to know it."""
        return len(self.header) + self.frames * self.format.frame

    @property
    def seconds(self) -> float:
        return self.frames / SAMPLE_RATE

    @functools.cached_property
    def etag(self) -> str:
        """A stable validator, quoted as HTTP wants it."""
        # Not the MD5 of the bytes: nobody may take an ETag for one.
        text = f"{self.seed}|{self.marker}|{self.frames}|{self.format.name}"
        return f'"{hashlib.blake2b(text.encode(), digest_size=16).hexdigest()}"'

    def read(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes ``start <= position < end`` of the file in blocks of up to a few hundred KiB."""
        stop = self.size if end is None else min(end, self.size)
        head = len(self.header)
        if start < min(stop, head):
            yield self.header[start : min(stop, head)]
        if stop > head:
            yield from self._data(max(start - head, 0), stop - head)

    def slice(self, start: int = 0, end: int | None = None) -> bytes:
        """Return a slice in one piece."""
        return b"".join(self.read(start, end))

    @functools.cached_property
    def crc32(self) -> int:
        value = 0
        for block in self.read():
            value = crc32(block, value)
        return value

    @functools.cached_property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for block in self.read():
            digest.update(block)
        return digest.hexdigest()

    def _data(self, start: int, stop: int) -> Iterator[bytes]:
        words = word_pool(self.seed, self.format)
        length = WORD_FRAMES * self.format.frame
        first, last = start // length, (stop - 1) // length
        for number in range(first, last + 1, BLOCK_WORDS):
            span = range(number, min(number + BLOCK_WORDS, last + 1))
            block = b"".join([words[self._word(index)] for index in span])
            offset = number * length
            cut_front, cut_back = max(start - offset, 0), min(stop - offset, len(block))
            yield block if cut_front == 0 and cut_back == len(block) else block[cut_front:cut_back]

    def _word(self, index: int) -> int:
        # A digest is good for 64 words; one for each would cost more than to put the audio together.
        return _choices(self.seed, self.marker, index // 64)[index % 64] % WORDS


@functools.lru_cache(maxsize=256)
def _choices(seed: int, marker: str, block: int) -> bytes:
    return hashlib.blake2b(f"{seed}|{marker}|{block}".encode(), digest_size=64).digest()


def wav_header(form: AudioFormat, data_size: int, marker: str) -> bytes:
    """Return everything before the samples: RIFF, a 16-byte ``fmt``, LIST/INFO with the marker, the head of data."""
    text = marker.encode("ascii", "replace") + b"\0"
    # The chunks of a RIFF file begin at even offsets.
    text += b"\0" * (len(text) % 2)
    info = b"INFO" + b"ICMT" + struct.pack("<I", len(text)) + text
    # 16 bytes and no `fact` chunk, for mu-law too: less than the standard asks for, and a WAV all the same.
    fmt = struct.pack("<HHIIHH", form.tag, 2, SAMPLE_RATE, form.bytes_per_second, form.frame, form.bits)
    chunks = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"LIST" + struct.pack("<I", len(info)) + info
    riff = 4 + len(chunks) + 8 + data_size
    sizes = [min(value, 0xFFFFFFFF) for value in (riff, data_size)]  # beyond 4 GiB a WAV cannot say its size
    return b"RIFF" + struct.pack("<I", sizes[0]) + b"WAVE" + chunks + b"data" + struct.pack("<I", sizes[1])


@functools.lru_cache(maxsize=8)
def word_pool(seed: int, form: AudioFormat) -> tuple[bytes, ...]:
    """Return the stereo words of one seed: either the agent (left) or the customer (right) speaks, the other hisses."""
    dice = random.Random(f"words {seed}")
    hiss = [dice.randrange(-40, 41) for _ in range(WORD_FRAMES)]
    voices = [_syllable(dice, deep=number % 2 == 0) for number in range(WORDS // 2)]
    pairs = [pair for voice in voices for pair in ((voice, hiss), (hiss, voice))]
    return tuple(_encode(left, right, form) for left, right in pairs)


def _syllable(dice: random.Random, *, deep: bool) -> list[int]:
    """Return half a second of something between a vowel and a tone, soft at both ends."""
    pitch = dice.uniform(95, 140) if deep else dice.uniform(170, 240)
    formant = pitch * dice.randrange(4, 9)
    bumps = dice.choice((1, 2, 3))
    step = 2 * math.pi / SAMPLE_RATE
    envelope = math.pi * bumps / WORD_FRAMES
    sin = math.sin
    return [
        int(8000 * sin(envelope * n) ** 2 * (0.7 * sin(step * pitch * n) + 0.3 * sin(step * formant * n)))
        for n in range(WORD_FRAMES)
    ]


def _encode(left: list[int], right: list[int], form: AudioFormat) -> bytes:
    if form.tag == MULAW.tag:
        table = _mulaw_table()
        frames = bytearray(2 * len(left))
        frames[0::2] = bytes([table[(sample + 32768) >> 2] for sample in left])
        frames[1::2] = bytes([table[(sample + 32768) >> 2] for sample in right])
        return bytes(frames)
    samples = array.array("h", bytes(4 * len(left)))
    samples[0::2] = array.array("h", left)
    samples[1::2] = array.array("h", right)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()


@functools.cache
def _mulaw_table() -> bytes:
    """G.711: one byte for every 14-bit sample, index (sample + 32768) >> 2."""
    return bytes([_mulaw((index << 2) - 32768) for index in range(1 << 14)])


def _mulaw(sample: int) -> int:
    sign = 0x80 if sample < 0 else 0
    # G.711's bias, after a cut at what does not overflow with it.
    magnitude = min(abs(sample), 32635) + 132
    exponent = magnitude.bit_length() - 8
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    # On the line every bit is inverted.
    return ~(sign | (exponent << 4) | mantissa) & 0xFF
