"""A reader of protocol-buffer messages, the encoding of ONNX files, for bytes that anyone may have sent.

Format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import Final, TypeVar

_T = TypeVar("_T")

MAX_FIELDS: Final = 100
"""Of one message; a flood of empty ones would take a hundred times the memory of the file."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Message:
    """One message: its fields by number, each as often as it occurs. Nested messages are read when asked for.

    Raises:
        ValueError: Cut off, malformed, or of too many fields.
    """

    def __init__(self, data: memoryview) -> None:
        self._numbers: dict[int, list[int]] = {}
        self._parts: dict[int, list[memoryview]] = {}
        position = 0
        for _ in range(MAX_FIELDS):
            if position == len(data):
                return
            tag, position = _varint(data, position)
            field, wire = tag >> 3, tag & 7
            if wire == _VARINT:
                number, position = _varint(data, position)
                self._numbers.setdefault(field, []).append(number)
                continue
            length, position = _varint(data, position) if wire == _BYTES else (_fixed(wire), position)
            if position + length > len(data):
                raise ValueError("message must be whole, got one that is cut off")
            if wire == _BYTES:
                self._parts.setdefault(field, []).append(data[position : position + length])
            position += length
        raise ValueError(f"message must have fewer than {MAX_FIELDS} fields, got more")

    def numbers(self, field: int) -> list[int]:
        """All whole numbers of a field."""
        return self._numbers.get(field, [])

    def number(self, field: int) -> int:
        """A field's one number; 0, the format's default, if it is not there."""
        return _only(self.numbers(field) or [0], field)

    def parts(self, field: int) -> list[memoryview]:
        """All bytes of a field."""
        return self._parts.get(field, [])

    def part(self, field: int) -> memoryview:
        """A field's bytes, which must be there once."""
        return _only(self.parts(field), field)

    def messages(self, field: int) -> list[Message]:
        """All messages of a field."""
        return [Message(part) for part in self.parts(field)]

    def message(self, field: int) -> Message:
        """A field's message, which must be there once."""
        return Message(self.part(field))

    def texts(self, field: int) -> list[str]:
        """All texts of a field."""
        return [_text(part) for part in self.parts(field)]

    def text(self, field: int) -> str:
        """A field's text, which must be there once."""
        return _text(self.part(field))


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, lowest first, and the position after it."""
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ValueError("message must be whole, got one that is cut off")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("number must take ten bytes at most, got more")


def _fixed(wire: int) -> int:
    """Bytes of a number of fixed size."""
    if wire not in (_FIXED64, _FIXED32):
        raise ValueError(f"field must be of a known kind, got {wire}")
    return 8 if wire == _FIXED64 else 4


def _only(values: list[_T], field: int) -> _T:
    if len(values) != 1:
        raise ValueError(f"field {field} must be there once, got {len(values)}")
    return values[0]


def _text(part: memoryview) -> str:
    try:
        return bytes(part).decode()
    except UnicodeDecodeError:
        raise ValueError("text must be UTF-8, got other bytes") from None
