"""The few fields of an ELF file that placing it in a store asks for."""

import re
import struct
from typing import NamedTuple, Optional

MAGIC = b"\x7fELF"
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB = 1, 5
# The note of a library that is opened by name: [{"feature":...,"soname":["libx.so.2","libx.so.1"]}]
OPENED = re.compile(rb'\[\{"feature":[^\]]*"soname":\[([^\]]+)\]')


class Elf(NamedTuple):
    """interpreter: None for libraries; needed: None for a file without a dynamic section."""

    interpreter: Optional[str]
    needed: Optional[list]


def parse(data):
    """Reads a 64-bit little-endian ELF image. Anything else is None."""
    if data[:6] != MAGIC + b"\x02\x01":
        return None
    (offset,) = struct.unpack_from("<Q", data, 32)
    entry_size, count = struct.unpack_from("<HH", data, 54)
    loads, dynamic, interpreter = [], None, None
    for index in range(count):
        kind, _, at, address, _, size = struct.unpack_from("<IIQQQQ", data, offset + index * entry_size)
        if kind == PT_LOAD:
            loads.append((address, size, at))
        elif kind == PT_DYNAMIC:
            dynamic = (at, size)
        elif kind == PT_INTERP:
            interpreter = data[at:at + size].rstrip(b"\0").decode()
    return Elf(interpreter, None if dynamic is None else _needed(data, dynamic, loads))


def opened(data):
    """The libraries that a program or library says it opens at run time, alternatives included."""
    return [name.strip('"') for names in OPENED.findall(data) for name in names.decode().split(",")]


def _needed(data, dynamic, loads):
    at, size = dynamic
    names, table = [], 0
    for position in range(at, at + size, 16):
        tag, value = struct.unpack_from("<qQ", data, position)
        if tag == DT_NEEDED:
            names.append(value)
        elif tag == DT_STRTAB:
            table = next(value - address + start for address, length, start in loads
                         if address <= value < address + length)
    return [_string(data, table + name) for name in names]


def _string(data, at):
    return data[at:data.index(b"\0", at)].decode()
