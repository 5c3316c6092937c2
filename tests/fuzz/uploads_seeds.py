"""Bodies for the uploads' corpus: forms as clients write them, and requests for speech."""

from __future__ import annotations

import json
from collections.abc import Iterator

FILE = ("file", "RIFFabcdWAVEfmt ", 'filename="a.wav"\r\nContent-Type: audio/wav')


def form(*fields: tuple[str, str] | tuple[str, str, str]) -> bytes:
    """A multipart body; the third of a field is put behind its name."""
    parts = []
    for name, value, *more in fields:
        head = f'form-data; name="{name}"'
        for each in more:
            head += each if each.startswith("\r\n") else f"; {each}"
        parts.append(f"--b\r\nContent-Disposition: {head}\r\n\r\n{value}\r\n")
    return ("".join(parts) + "--b--\r\n").encode()


FORMS = {
    "plain": form(FILE, ("model", "whisper-1")),
    "all": form(
        ("model", "whisper-1"),
        ("language", "german"),
        ("prompt", "Oslo"),
        ("response_format", "verbose_json"),
        ("temperature", "0.5"),
        ("timestamp_granularities[]", "word"),
        ("timestamp_granularities[]", "segment"),
        ("include[]", "logprobs"),
        ("keywords[0]", "fjord"),
        ("chunking_strategy", "auto"),
        FILE,
    ),
    "stream": form(FILE, ("stream", "true"), ("response_format", "text")),
    "nested": form(("a", "b", "\r\nContent-Type: multipart/mixed; boundary=c"), FILE),
    "encoded": form(("file", "YWJj", 'filename="a"\r\nContent-Transfer-Encoding: base64')),
    "packed": form(("file", "abc", 'filename="a"\r\nContent-Encoding: gzip')),
    "charset": form(("prompt", "a", "\r\nContent-Type: text/plain; charset=utf-16"), FILE),
    "empty": form(("file", "", 'filename="a"')),
    "wrong": form(FILE, ("temperature", "nan"), ("language", "klingon")),
    "half": form(FILE)[:-9],
    "many": form(*[("a", str(n)) for n in range(70)]),
}
SPOKEN = [
    {"input": "Hello.", "voice": "alloy", "model": "tts-1"},
    {"input": "Hello.", "voice": {"id": "a"}, "speed": 1.25, "response_format": "wav"},
    {"input": "", "speed": 9, "stream_format": "sse"},
]


def seeds() -> Iterator[tuple[str, bytes]]:
    """Each body whole, forms also in small pieces."""
    for name, body in FORMS.items():
        yield name, b"\xfe" + body
        yield f"{name}_in_pieces", b"\x02" + body
    for n, asked in enumerate(SPOKEN):
        yield f"spoken_{n}", b"\x01" + json.dumps(asked).encode()
