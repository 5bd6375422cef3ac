"""Filter 1 of docs/bundle-format.md section 4.6, from the text alone."""
import re
import struct

OPERAND = re.compile(rb"[\xe8\xe9]|[\x48-\x4f][\x89\x8b\x8d][\x05\x0d\x15\x1d\x25\x2d\x35\x3d]", re.DOTALL)
LIMIT = 1 << 30


def find_code(data, file):
    """(start, end, image) of the program whose header is at `file`, or None."""
    if len(data) - file < 64 or data[file + 4 : file + 6] != b"\x02\x01":
        return None
    (machine,) = struct.unpack_from("<H", data, file + 18)
    (table,) = struct.unpack_from("<Q", data, file + 32)
    entry_size, count = struct.unpack_from("<HH", data, file + 54)
    headers = 64 + 56 * count
    if machine != 62 or table != 64 or entry_size != 56 or count > 64 or len(data) - file < headers:
        return None
    low, high, code = 1 << 64, 0, None
    for number in range(count):
        kind, flags, offset, address, _, stored, size = struct.unpack_from("<IIQQQQQ", data, file + 64 + 56 * number)
        if kind != 1:
            continue
        if max(offset, stored, size) > LIMIT or address + size > (1 << 64) - 1:
            return None
        low, high = min(low, address), max(high, address + size)
        if flags & 1 and code is None:
            code = (file + max(offset, headers), min(len(data), file + offset + stored))
            if code[0] >= code[1]:
                return None
    if code is None or high - low > LIMIT:
        return None
    return (*code, high - low)


def restore_code(data, file, start, end, image):
    at = start
    while match := OPERAND.search(data, at, end):
        if match.start() + 7 > end:
            return
        operand = match.end()
        at = operand + 4
        place = at - file
        if place < image:
            (value,) = struct.unpack_from(">i", data, operand)
            if 0 <= value < image:
                value -= place
            elif -place <= value < 0:
                value += image
            struct.pack_into("<I", data, operand, value & 0xFFFFFFFF)


def restore(filtered):
    """The plain bytes of a group with filter 1."""
    data = bytearray(filtered)
    at = 0
    while (file := data.find(b"\x7fELF", at)) >= 0:
        code = find_code(data, file)
        at = file + 1
        if code:
            restore_code(data, file, *code)
            at = code[1]
    return bytes(data)
