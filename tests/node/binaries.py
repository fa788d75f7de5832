"""What binaries of three systems say of themselves, read from the files: any machine can look at all of them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field


@dataclass
class Binary:
    """Facts of a shared library.

    Attributes:
        processor: as its format numbers it.
        exports: the names that it offers.
        libraries: the files that it needs.
        versions: ELF: the symbol versions that it needs, such as "GLIBC_2.17".
        flags: PE: its DLL characteristics.
        signed: Mach-O: whether it carries a signature.
        is_whole: Mach-O: whether all indirect symbols are there. zig's linker leaves an entry of theirs unwritten, with
            what its memory held, for each variable that another source file has and that is not hidden.
    """

    processor: int
    exports: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)
    versions: set[str] = field(default_factory=set)
    flags: int = 0
    signed: bool = False
    is_whole: bool = True


def text(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()


def elf(data: bytes) -> Binary:
    """A 64-bit little-endian ELF file, by its section headers."""
    assert data[:6] == b"\x7fELF\x02\x01"
    found = Binary(processor=struct.unpack_from("<H", data, 18)[0])
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<2H", data, 58)
    sections = [struct.unpack_from("<2I4Q2I2Q", data, table + size * number) for number in range(count)]
    for _, kind, _, _, start, length, link, entries, _, _ in sections:
        if kind not in (6, 11, 0x6FFFFFFE):
            continue
        strings = sections[link][4]
        if kind == 6:  # SHT_DYNAMIC: DT_NEEDED is 1
            for tag, value in struct.iter_unpack("<2Q", data[start : start + length]):
                if tag == 1:
                    found.libraries.add(text(data, strings + value))
        elif kind == 11:  # SHT_DYNSYM: defined, and not local
            for name, info, _, section, _, _ in struct.iter_unpack("<IBBH2Q", data[start : start + length]):
                if section and info >> 4:
                    found.exports.add(text(data, strings + name))
        else:  # SHT_GNU_verneed: `entries` libraries, each with a chain of versions
            for _ in range(entries):
                _, needed, _, first, following = struct.unpack_from("<2H3I", data, start)
                at = start + first
                for _ in range(needed):
                    _, _, _, name, step = struct.unpack_from("<I2H2I", data, at)
                    found.versions.add(text(data, strings + name))
                    at += step
                start += following
    return found


def pe(data: bytes) -> Binary:
    """A 64-bit DLL of Windows."""
    (start,) = struct.unpack_from("<I", data, 0x3C)
    assert data[start : start + 4] == b"PE\0\0"
    processor, count, _, _, _, length, _ = struct.unpack_from("<2H3I2H", data, start + 4)
    optional = start + 24
    assert struct.unpack_from("<H", data, optional) == (0x20B,)
    sections = [struct.unpack_from("<4I", data, optional + length + 40 * number + 8) for number in range(count)]

    def offset(address: int) -> int:
        for _, virtual, size, raw in sections:
            if virtual <= address < virtual + size:
                return raw + address - virtual
        raise AssertionError(f"no section holds {address:#x}")

    found = Binary(processor, flags=struct.unpack_from("<H", data, optional + 70)[0])
    exports, _, imports = struct.unpack_from("<3I", data, optional + 112)
    at = offset(exports)
    (names,) = struct.unpack_from("<I", data, at + 24)
    (table,) = struct.unpack_from("<I", data, at + 32)
    for number in range(names):
        (name,) = struct.unpack_from("<I", data, offset(table) + 4 * number)
        found.exports.add(text(data, offset(name)))
    at = offset(imports)
    while any(data[at : at + 20]):
        (name,) = struct.unpack_from("<I", data, at + 12)
        found.libraries.add(text(data, offset(name)).lower())
        at += 20
    return found


def macho(data: bytes) -> list[Binary]:
    """The slices of a universal Mach-O file."""
    magic, count = struct.unpack_from(">2I", data)
    assert magic == 0xCAFEBABE
    slices = []
    for number in range(count):
        processor, _, start, length, alignment = struct.unpack_from(">5I", data, 8 + 20 * number)
        assert start % (1 << alignment) == 0
        slices.append(_thin(data[start : start + length]))
        assert slices[-1].processor == processor
    return slices


def _thin(data: bytes) -> Binary:
    magic, processor, _, _, commands, _, _, _ = struct.unpack_from("<8I", data)
    assert magic == 0xFEEDFACF
    found = Binary(processor)
    at, count = 32, 0
    for _ in range(commands):
        kind, length = struct.unpack_from("<2I", data, at)
        if kind == 0xC:  # LC_LOAD_DYLIB
            found.libraries.add(text(data, at + struct.unpack_from("<I", data, at + 8)[0]))
        elif kind == 0x1D:  # LC_CODE_SIGNATURE; the signature's own magic is big-endian
            (start,) = struct.unpack_from("<I", data, at + 8)
            found.signed = struct.unpack_from(">I", data, start) == (0xFADE0CC0,)
        elif kind == 2:  # LC_SYMTAB: external (1) and defined (0xE)
            symbols, count, strings, _ = struct.unpack_from("<4I", data, at + 8)
            for name, flags, _, _, _ in struct.iter_unpack("<I2BHQ", data[symbols : symbols + 16 * count]):
                if flags & 1 and flags & 0xE:
                    found.exports.add(text(data, strings + name))
        elif kind == 0xB:  # LC_DYSYMTAB, after LC_SYMTAB: where the indirect symbols are, and how many; no 0 among them
            start, entries = struct.unpack_from("<2I", data, at + 56)
            indirect = struct.unpack_from(f"<{entries}I", data, start)
            found.is_whole = all(0 < symbol < count for symbol in indirect)
        at += length
    return found
