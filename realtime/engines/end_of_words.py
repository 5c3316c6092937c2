"""Do these words end here? What a language model expects to come next tells it. Pure.

After "we also need a small plastic" it expects another word, after "we also need a snake" a full
stop. The prompt is the conversation up to the caller's last word, without the mark that the
recogniser put there: its guess would be all that the model looks at. LiveKit's turn detector for
text did so too, with a model that was trained for it; here it is the one that replies, whose prompt
is the beginning of the reply's, so that hardly anything is read twice.
"""

from __future__ import annotations

import math
from typing import Any

MARKS = ".?!\u3002\uff1f\uff01\u0964"
TRAILING = MARKS + ",;:-–—…\u3001\uff0c \n"
LOOKED_AT = 64
"""Of the likeliest tokens; what comes after them is too improbable to matter."""


def bare(words: str) -> str:
    """The words without marks at their end."""
    return words.rstrip(TRAILING)


def probability_of_end(answer: dict[str, Any]) -> float:
    """From llama.cpp's `/completion` with `n_probs`: that a mark or the turn's end comes next."""
    [first, *_] = answer["completion_probabilities"]
    likely = first["top_logprobs"]
    return min(1.0, sum(math.exp(each["logprob"]) for each in likely if _ends(each["token"])))


def _ends(token: str) -> bool:
    """Special tokens are told as empty; an ellipsis ends nothing."""
    said = token.strip()
    return (not token or said[:1] in tuple(MARKS)) and not said.startswith("..")
