"""One Zstandard frame (RFC 8878), packed, and unpacked in bounded memory whatever it claims to hold."""

from __future__ import annotations

import io
from typing import Any

import zstandard

from policies.contracts.weights import Malformed

# A block of the format takes four bytes at least and gives 128 KiB at most: so much input, 16 MiB of output.
_INPUT_BYTES = 512
_WINDOW_BYTES = 1 << 23
_LEVEL = 1


def packer() -> Any:
    """Packs bytes into one frame: `compress` each piece, then `flush`."""
    return zstandard.ZstdCompressor(level=_LEVEL).compressobj()


class ZstdFrame:
    """A frame that is being read. It must be all that is left of its file."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        self._file = file
        self._unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES).decompressobj()
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        """The next `size` bytes of the content, or fewer at its end.

        Raises:
            Malformed: It is no frame.
        """
        while len(self._ready) < size and not self._unpacker.eof and (piece := self._file.read(_INPUT_BYTES)):
            try:
                self._ready += self._unpacker.decompress(piece)
            except zstandard.ZstdError as error:
                raise Malformed("it is not a Zstandard frame") from error
        content = bytes(self._ready[:size])
        del self._ready[:size]
        return content

    def check_end(self) -> None:
        """Refuses a frame that was cut off, and bytes behind it.

        Raises:
            Malformed: With which of them it is.
        """
        if not self._unpacker.eof:
            raise Malformed("it is cut off")
        if self._unpacker.unused_data or self._file.read(1):
            raise Malformed("it has unused bytes at its end")
