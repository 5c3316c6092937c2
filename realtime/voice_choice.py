"""Which voice is meant by the name that a client gives. Pure.

Clients made for OpenAI name one of its voices, or always send their default; those are not here, so
all of them mean the model's own. Where there are several voices any other name has to be one of
them: a caller who asks for a certain voice and gets another one would not know why. Where there is
but one, every name means it, because there is nothing to confuse it with.
"""

from __future__ import annotations

from collections.abc import Sequence

from realtime.errors import ProtocolError

OPENAI_VOICES = frozenset(
    (
        *("alloy", "ash", "ballad", "cedar", "coral", "echo", "fable"),
        *("marin", "nova", "onyx", "sage", "shimmer", "verse"),
    )
)


def check_voice(name: str, names: Sequence[str], *, root: str) -> None:
    """`names` are the voices that there are, the model's own first.

    Raises:
        ProtocolError: of several, none is called so; lists those that there are.
    """
    if name in names or name in OPENAI_VOICES or len(names) == 1:
        return
    field = f"{root}.audio.output.voice"
    raise ProtocolError(
        f"'{field}': there is no voice '{name}'; there are {', '.join(names)}, "
        f"and OpenAI's names, which mean {names[0]}",
        param=field,
    )


def chosen_voice(name: str, names: Sequence[str]) -> str:
    """The voice to speak with: the one of that name, else the model's own."""
    return name if name in names else names[0]
