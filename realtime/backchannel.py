"""Whether what somebody said over a reply only means "I am listening": "mm-hmm", "yeah", "okay".

Pure. A transcript is a backchannel when all its words are, and there are few of them. Words are
compared without case, marks and accents, and sounds by their kind ("mmmm", "ohhh"). Languages share
one table: a recogniser often takes such a sound for one of another language. Words that could be an
order or a refusal ("no", "stop", "wait", "continue") are in none of it.

The same words answer a question. So over a reply that asks they count as words: what was being said
when they came tells that.
"""

from __future__ import annotations

import re
import unicodedata

MOST_WORDS = 4
"""As in "yeah, yeah, I see"; whoever says more wants to be heard."""

_SOUNDS = r"m+h*m*|h+m+|m+h+[aeu]*|u+h*|u+h+u*h*|a+h+a*|a+h*|o+h*|e+h+m*|e+u*h+|u+m+|ä+h*m*|ö+h*m*"
_WORDS = """
en yeah yes yep yup ya ok okay right sure true indeed exactly absolutely wow nice great cool
en good alright really gotcha totally definitely fine
de ja jo jap jup genau klar gut okay stimmt richtig aha achso ach sicher super toll naturlich
fr oui ouais ouai daccord ok voila bien exact exactement ah oh bon parfait super bravo
es si vale claro ya bueno bien exacto aja perfecto okay cierto
it si certo esatto gia bene okay giusto capito
pt sim certo claro bom ok pois exato isso entendi
nl ja juist precies goed oke klopt inderdaad
pl tak jasne dobrze okej racja
ru да ага угу так ясно понятно хорошо верно точно ладно
tr evet tamam peki dogru tabii
sv ja jo precis okej visst
ja はい うん ええ そう そうです なるほど へえ
zh 嗯 嗯嗯 好 好的 对 对对 是 是的 哦
ko 네 예 응 그래 맞아
hi हाँ हां जी अच्छा ठीक
ar نعم أجل طيب تمام
"""  # noqa: RUF001
_PHRASES = """
i see|got it|i know|of course|uh huh|mm hmm|mhm hm|makes sense|i understand|all right|oh wow
|thats right|thats true|fair enough|for sure|sounds good|very good|thank you|thanks
|ach so|alles klar|verstehe|ich verstehe|na klar|ach ja|ich weiss
|je vois|je comprends|d accord|c est vrai|bien sur|tout a fait
|ya veo|entiendo|por supuesto|de acuerdo|lo se|asi es
|ho capito|va bene|certo che si|ta bom|ta certo|com certeza|ik snap het|ik begrijp het
"""


def _plain(text: str) -> str:
    """Without case, accents and marks; words stand between single spaces."""
    apart = unicodedata.normalize("NFKD", text.casefold().replace("'", "").replace("’", ""))
    kept = "".join(c for c in apart if not unicodedata.category(c).startswith("M"))
    return " ".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", kept)))


_KNOWN = frozenset(_plain(word) for line in _WORDS.split("\n") for word in line.split()[1:])
_SOUND = re.compile(_SOUNDS)
_PHRASE = re.compile(
    r"\b(?:" + "|".join(sorted((_plain(p) for p in _PHRASES.split("|")), key=len)[::-1]) + r")\b"
)


def is_backchannel(text: str) -> bool:
    """Whether these words, said over a reply that does not ask, want no answer.

    False for no words at all: that is noise.
    """
    plain = _plain(text)
    if not plain or len(plain.split()) > MOST_WORDS or "?" in text:
        return False
    rest = _PHRASE.sub(" ", plain).split()
    return all(word in _KNOWN or _SOUND.fullmatch(word) for word in rest)


_ENDS = re.compile(r"[.!?…\u061f\u06d4\u0964\u3002\uff01\uff1f]+[\"'”’)\]]*\s*")
_ASKS = "?\u061f\uff1f"


def asks(heard: str, rest: str) -> bool:
    """Whether a reply of which `heard` was said and `rest` was to come was asking at that point.

    That is its sentence in progress, or the one that had just ended: people answer a question late,
    and early.
    """
    ends = [match.end() for match in _ENDS.finditer(heard)]
    whole = bool(ends) and ends[-1] == len(heard)
    if whole:
        ends.pop()
    last = heard[ends[-1] if ends else 0 :]
    if not whole:
        upcoming = _ENDS.search(rest)
        last += rest[: upcoming.end() if upcoming else len(rest)]
    return any(mark in last for mark in _ASKS)
