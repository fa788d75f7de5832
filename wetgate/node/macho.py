"""Universal Mach-O files: several thin ones behind one header, for which the compiler brings no tool.

The header is big-endian: 0xCAFEBABE, the number of slices, then for each its CPU type, CPU subtype, offset, size and
the power of two that its offset is a multiple of. Thin files are little-endian: 0xFEEDFACF, CPU type, CPU subtype.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

UNIVERSAL = 0xCAFEBABE
THIN_64 = 0xFEEDFACF
ALIGNMENT = 14
"""2**14 bytes, the memory pages of Apple silicon; a multiple of Intel's."""


def universal(slices: Sequence[bytes]) -> bytes:
    """One file of several thin 64-bit Mach-O files, in the order given. Signatures inside the slices stay valid.

    Raises:
        ValueError: a slice is no thin 64-bit Mach-O file, or two are for the same processor.
    """
    page = 1 << ALIGNMENT
    records, body, processors = b"", b"", set()
    start = 8 + 20 * len(slices)
    for data in slices:
        magic, processor, subtype = struct.unpack_from("<3I", data)
        if magic != THIN_64 or processor in processors:
            raise ValueError("the slices of a universal file are thin 64-bit Mach-O files, one for each processor")
        processors.add(processor)
        body += bytes(-(start + len(body)) % page)
        records += struct.pack(">5I", processor, subtype, start + len(body), len(data), ALIGNMENT)
        body += data
    return struct.pack(">2I", UNIVERSAL, len(slices)) + records + body
