"""What a language model or a recogniser may write: cut into pieces, made sayable, compared.

The first byte says in which portions the text comes, the second what the voice wants; the rest is
text in UTF-8, whose lines are also taken for hypotheses of one growing utterance.
"""

from __future__ import annotations

from realtime.agreement import Agreement, units
from realtime.backchannel import asks, is_backchannel
from realtime.items import Piece, words_within
from realtime.self_hearing import is_own, likeness, played
from realtime.sentences import LONGEST_CHARS, SentenceCutter
from realtime.speakable import speakable
from realtime.thoughts import Thoughts
from realtime.wording import worded

LANGUAGES = ("en", "de", "fr", "ja", "ar")
UNSAID = set("*`#|<>{}\n")


def one_input(data: bytes) -> None:
    """Run one text; raises where something is not as it must be."""
    if len(data) < 3:
        return
    step, flags, text = data[0] % 40 + 1, data[1], data[2:].decode(errors="ignore")
    portions = [text[n : n + step] for n in range(0, len(text), step)]
    _check_pieces(portions, text, (0, 12, 40)[flags % 3])
    _check_thoughts(portions, text)
    _check_hypotheses(text.split("\n"), flags % 3)
    _check_likeness(text)
    worded(text, LANGUAGES[flags % len(LANGUAGES)])


def _check_pieces(portions: list[str], text: str, shortest_chars: int) -> None:
    """Nothing is lost, nothing is kept for ever, and what is said can be said."""
    cutter, pieces = SentenceCutter(shortest_chars=shortest_chars), []
    for portion in portions:
        pieces += cutter.push(portion)
        assert len(cutter._text) <= LONGEST_CHARS + len(portion)
    pieces += cutter.flush()
    assert "".join("".join(pieces).split()) == "".join(text.split())
    for piece in pieces:
        assert piece.strip() == piece != ""
        said = speakable(piece)
        assert speakable(said) == said
        assert not set(said) & UNSAID


def _check_thoughts(portions: list[str], text: str) -> None:
    """However the text is cut, the same of it is spoken."""
    whole, cut = Thoughts(), Thoughts()
    spoken = whole.push(text) + whole.flush()
    assert "".join(map(cut.push, portions)) + cut.flush() == spoken


def _check_hypotheses(hypotheses: list[str], holds: int) -> None:
    """What is shown is never taken back."""
    agreement, told = Agreement(holds), ""
    for heard in hypotheses[:20]:
        assert "".join(units(heard)) == heard.strip()
        told += agreement.hear(heard)
        assert agreement.shown == told
    told += agreement.finish(hypotheses[-1])
    assert agreement.shown == told


def _check_likeness(text: str) -> None:
    """A text is like itself, and a part of what was played is one of its words."""
    half = len(text) // 2
    said, heard = text[:half], text[half:]
    assert 0 <= likeness(heard[:300], said[:300]) <= 1
    is_own(heard[:300], said[:300], asked=asks(said, heard))
    is_backchannel(text)
    assert text.startswith(words_within(text, half))
    pieces = [Piece(said, 0, 1_000), Piece(heard, 1_000, 500)]
    assert set(played(pieces, 200, 1_200).split()) <= set(text.split()) | set(
        [*said.split(), *heard.split()]
    )
