"""Which words over a reply only say that somebody listens."""

from __future__ import annotations

import pytest

from realtime.backchannel import asks, is_backchannel

LISTENING = """
Mm-hmm. | Mmm. | Mhm | Hmm. | Uh-huh. | Yeah. | Yeah, yeah. | Okay. | OK | Right. | I see.
| Oh, wow! | Yeah, I see. | Sure.
| Ah, okay. | Got it. | That's right. | Oh. | Aha!
| Ja. | Ja, genau. | Ach so. | Alles klar. | Natürlich. | D'accord. | Oui, oui. | Ouais.
| Bien sûr. | Sí. | Sí, claro. | Vale. | Ya veo. | Ajá. | Certo. | Va bene. | Tá bom.
| Да. | Ясно. | はい。 | 嗯。 | 네.
"""

SPEAKING = """
No. | No, no. | Stop. | Wait. | Okay, stop. | Hold on. | What? | Yeah, but why? | Hello.
| Really? | Yes, I would like two of them. | Okay, thank you, goodbye now. | Tell me more.
| So. | Just.
| Right now? | Nein. | Warte. | Non. | Attends. | Para. | Espera. | Tuesday. | Yes yes yes yes yes.
| You. | He is. | Continue.
"""


def each(table: str) -> list[str]:
    return [text.strip() for text in table.split("|")]


@pytest.mark.parametrize("text", each(LISTENING))
def test_a_sign_of_listening_is_a_backchannel(text):
    assert is_backchannel(text)


@pytest.mark.parametrize("text", each(SPEAKING))
def test_what_wants_something_is_none(text):
    assert not is_backchannel(text)


@pytest.mark.parametrize("text", ["", " ", "...", "[", "♪"])
def test_no_words_are_no_backchannel(text):
    assert not is_backchannel(text)


@pytest.mark.parametrize(
    ("heard", "rest", "asking"),
    [
        ("It rains. It will", " go on. Are you sure?", False),
        ("It rains. Shall I", " go on? I can.", True),
        ("It rains. Shall I go on?", " I can.", True),
        ("Shall I go on? I", " can say more.", False),
        ("", "Who is there?", True),
        ("Very", " well", False),
        ("「元気ですか？", "」", True),
    ],
)
def test_a_reply_asks_in_the_sentence_that_is_said_or_was_just_said(heard, rest, asking):
    assert asks(heard, rest) is asking
