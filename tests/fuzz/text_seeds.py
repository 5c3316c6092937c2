"""Texts for the text's corpus, as models write them."""

from __future__ import annotations

from collections.abc import Iterator

TEXTS = {
    "sentences": "Dr. Smith met Mr. Jones, J. K. Rowling and I. It costs 3.14 dollars (or 1,000)!",
    "markdown": "# Title\n- **one**\n- _two_ [page](https://a.b/c?d)\n```py\nx = 1\n```\n1. `end`",
    "emoji": "Great! 🎉🚀 Yes 👍🏽 1️⃣ 🇫🇷 ❤️. It is 25° outside… “Quite so,” he said.",
    "thoughts": "<think>What would I say?</think>Well, <b>yes</b>. <|im_end|> <thi nk>",
    "scripts": "你好！今天天气很好，我们去公园吧。好吗？ كيف حالك؟ أنا بخير. यह अच्छा है। हाँ।",
    "numbers": "On 2024-02-29 at 5:30 p.m. I paid $1,234.50, 3/4 of 10%, to a@b.org: -12e3 №7.",
    "growing": "I think\nI think so\nI think so too.\nI thought so, too. Mm-hmm. Yeah, I see?",
    "long": "word " * 80 + "w" * 300,
}


def seeds() -> Iterator[tuple[str, bytes]]:
    """Each text in several portions."""
    for name, text in TEXTS.items():
        for head in (b"\x00\x00", b"\x06\x01", b"\x27\x02"):
            yield f"{name}_{head.hex()}", head + text.encode()
