"""The voices on the volume: made once from a clip, loaded at the start, passed with each request.

`default` is the model's own. Where the others lie, and how they come and go, is in voice_folder.py.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from realtime.engines import DEFAULT_VOICE, KnownVoice
from realtime.engines.chatterbox import clip_file, conditionals, voice_folder
from realtime.engines.chatterbox.conditionals import Conditionals
from realtime.engines.chatterbox.enrolment import Enrolment
from realtime.engines.chatterbox.model import Model
from realtime.errors import BanterError, VoiceError, VoiceRefused

log = logging.getLogger("banter.chatterbox")

MOST = 100


@dataclass(frozen=True)
class _Kept:
    """One voice in memory."""

    conditionals: Conditionals
    about: KnownVoice


class VoiceLibrary:
    """Making one loads all voices, and blocks: for some seconds a voice where they have to be made
    for this model. Then `names` and `get` are for any thread, `add` and `remove` for the loop.

    Several servers may share a folder. Each knows the voices that were there when it started, and
    its own.
    """

    def __init__(self, folder: Path, model: Model) -> None:
        """
        Raises:
            BanterError: the model has no voice of its own.
        """
        self._folder, self._model = folder, model
        self._variant = model.variant.name
        self._enrolment = Enrolment(model)
        self._changing = threading.Lock()
        if model.package.conds is None:
            raise BanterError(f"the {self._variant} model has no voice: its conds.pt is missing")
        own = _Kept(conditionals.from_package(model.package.conds), KnownVoice(DEFAULT_VOICE))
        self._voices = {DEFAULT_VOICE: own}
        self._load_all()

    def take_over(self, fresh: VoiceLibrary) -> None:
        """Be what another is, which was made for a model that takes this one's place. Voices that
        lie in memory alone are kept."""
        self._model, self._enrolment = fresh._model, fresh._enrolment
        self._voices = {**self._voices, **fresh._voices}

    def names(self) -> Sequence[str]:
        """`default`, and the others in the order of the alphabet."""
        return tuple(about.name for about in self.describe())

    def describe(self) -> Sequence[KnownVoice]:
        others = sorted(name for name in tuple(self._voices) if name != DEFAULT_VOICE)
        found = (self._voices.get(name) for name in (DEFAULT_VOICE, *others))
        return tuple(kept.about for kept in found if kept)

    def get(self, name: str) -> Conditionals:
        """
        Raises:
            VoiceError: there is no such voice, or no longer.
        """
        kept = self._voices.get(name)
        if kept is None:
            raise VoiceError(f"there is no voice {name!r}", code="voice_not_found")
        return kept.conditionals

    def put(self, name: str, made: Conditionals) -> None:
        """Add a voice that lies elsewhere, for as long as this process lives."""
        self._voices[name] = _Kept(made, KnownVoice(name))

    async def add(self, name: str, clip: bytes, *, consent: str = "") -> KnownVoice:
        """Make a voice of an audio file, and keep it.

        Raises:
            VoiceRefused: the name or the clip will not do, or it cannot be kept.
        """
        voice_folder.check_name(name)
        return await asyncio.to_thread(self._add, name, clip, consent)

    async def remove(self, name: str) -> None:
        """Forget a voice, here and on the volume. Lines that are being spoken in it are finished.

        Raises:
            VoiceRefused: there is none, or it is the model's own.
        """
        if name == DEFAULT_VOICE:
            raise VoiceRefused(f"{name} is the model's own voice", code="voice_protected")
        if name not in self._voices:
            raise VoiceRefused(f"there is no voice {name!r}", code="voice_not_found")
        await asyncio.to_thread(self._remove, name)

    def _add(self, name: str, clip: bytes, consent: str) -> KnownVoice:
        if not self._changing.acquire(blocking=False):
            raise VoiceRefused("another voice is being made; try again", code="busy")
        try:
            target = self._folder / name
            if name in self._voices or os.path.lexists(target):
                raise VoiceRefused(f"there is a voice {name!r} already", code="voice_exists")
            if len(self._voices) > MOST:
                raise VoiceRefused(
                    f"{MOST} voices are kept; remove one first", code="too_many_voices"
                )
            kept_clip = clip_file.encode(*clip_file.decode(clip))
            made, found = self._enrolment.enrol(*clip_file.decode(kept_clip))
            about = KnownVoice(name, int(time.time()), round(found.seconds, 2), consent)
            voice_folder.put(
                target, kept_clip, about, lambda draft: self._save(made, draft, kept_clip)
            )
            self._voices[name] = _Kept(made, about)
            log.info("the voice %s was added: %.1f s of speech", name, found.speech_s)
            return about
        except OSError as error:
            log.exception("the voice %s could not be kept", name)
            raise VoiceRefused(
                f"the voice cannot be kept: {error.strerror or error}", code="storage_failed"
            ) from error
        finally:
            self._changing.release()

    def _remove(self, name: str) -> None:
        with self._changing:
            try:
                voice_folder.take_away(self._folder / name)
            except OSError as error:
                raise VoiceRefused(
                    f"the voice cannot be removed: {error.strerror}", code="storage_failed"
                ) from error
            self._voices.pop(name, None)
            log.info("the voice %s was removed", name)

    def _load_all(self) -> None:
        """All that is there; what is broken is left out, and the log says why."""
        try:
            entries = sorted(self._folder.iterdir()) if self._folder.is_dir() else []
        except OSError as error:
            log.warning("%s cannot be read, so there are no voices: %s", self._folder, error)
            return
        for path in entries:
            if path.name.startswith("."):
                voice_folder.sweep(path)
            elif path.is_dir():
                try:
                    self._load(path)
                except Exception as error:  # one voice must not cost the others their start
                    log.warning("the voice %s is left out: %s", path.name, error)
        if len(self._voices) > 1:
            log.info("voices: %s", ", ".join(self.names()))

    def _load(self, folder: Path) -> None:
        voice_folder.check_name(folder.name)
        if len(self._voices) > MOST:
            raise BanterError(f"more than {MOST} voices")
        clip = voice_folder.read_clip(folder)
        about = voice_folder.read_about(folder)
        made = self._read(folder, clip) or self._make(folder, clip)
        self._voices[folder.name] = _Kept(made, about)

    def _read(self, folder: Path, clip: bytes) -> Conditionals | None:
        """What was made for this model from this clip; None where it has to be made."""
        path = self._path(folder)
        try:
            return conditionals.load(
                path, self._model.device, variant=self._variant, clip=voice_folder.hash_of(clip)
            )
        except FileNotFoundError:
            log.info("the voice %s is made for the %s model", folder.name, self._variant)
        except BanterError as error:
            log.warning("the voice %s is made anew: %s", folder.name, error)
        return None

    def _make(self, folder: Path, clip: bytes) -> Conditionals:
        made, _ = self._enrolment.enrol(*clip_file.decode(clip))
        try:
            self._save(made, folder, clip)
        except OSError as error:
            log.warning("the voice %s will be made at each start: %s", folder.name, error)
        return made

    def _save(self, made: Conditionals, folder: Path, clip: bytes) -> None:
        made.save(self._path(folder), variant=self._variant, clip=voice_folder.hash_of(clip))

    def _path(self, folder: Path) -> Path:
        return folder / f"{self._variant}.safetensors"
