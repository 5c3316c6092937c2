"""The package's own models, loaded by its own `from_local`, and quietened.

`chatterbox` is imported here, on a worker's thread, because the import takes seconds. It prints and
draws progress bars in its inner loops; both are silenced where they are called.
"""

from __future__ import annotations

import importlib
import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realtime.engines.chatterbox.variant import Variant, variant_of
from realtime.errors import BanterError

log = logging.getLogger("banter.chatterbox")

MODULES = {
    "turbo": ("chatterbox.tts_turbo", "ChatterboxTurboTTS"),
    "english": ("chatterbox.tts", "ChatterboxTTS"),
    "multilingual": ("chatterbox.mtl_tts", "ChatterboxMultilingualTTS"),
}


@dataclass(frozen=True)
class Model:
    """What `load` found. `package` is the package's object, whose own `conds` are never set."""

    variant: Variant
    package: Any
    device: str

    @property
    def t3(self) -> Any:
        return self.package.t3

    @property
    def s3gen(self) -> Any:
        return self.package.s3gen

    def text_tokens(self, text: str, language: str | None = None) -> list[int]:
        """Text as T3 reads it, cleaned and tokenized by the package, with its start and stop."""
        module = importlib.import_module(MODULES[self.variant.name][0])
        text = module.punc_norm(text)
        tokenizer = self.package.tokenizer
        if self.variant.name == "turbo":
            ids: list[int] = tokenizer(text, truncation=True).input_ids
            return ids
        if self.variant.name == "multilingual":
            inner = tokenizer.encode(text, language_id=language or "en")
        else:
            inner = tokenizer.encode(text)
        hp = self.t3.hp
        return [hp.start_text_token, *inner, hp.stop_text_token]


def load(folder: Path, device: str, name: str | None = None) -> Model:
    """Load the variant whose files lie in `folder`, in float32, onto `device` ("cpu" or "cuda").

    `name` is the variant's, for a folder that may hold several: English and multilingual are one
    repository.

    Raises:
        BanterError: the package is missing or broken, or the folder holds no such model.
    """
    variant = variant_of(folder, name)
    os.environ.setdefault("TQDM_DISABLE", "1")
    module_name, class_name = MODULES[variant.name]
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise BanterError(
            f"Chatterbox cannot be imported ({error}): pip install 'banter-voice[chatterbox]'"
        ) from error
    _see_the_watermark()
    _quieten()
    with within(folder):
        package = getattr(module, class_name).from_local(folder, device)
    return Model(variant, package, device)


@contextmanager
def quietly() -> Iterator[None]:
    """While it is open, what the packages print goes to the log, and what they warn about one
    another to nobody: their versions are pinned, and a server's standard output is its own."""
    said = io.StringIO()
    with warnings.catch_warnings(), redirect_stdout(said):
        warnings.simplefilter("ignore")
        yield
    for line in said.getvalue().splitlines():
        log.debug("a package says: %s", line)


def _see_the_watermark() -> None:
    """perth puts None in its marker's place where an import fails, and says nothing."""
    import perth

    if perth.PerthImplicitWatermarker is None:
        raise BanterError(
            "the watermark of Chatterbox is broken: it needs pkg_resources. "
            "Remedy: pip install 'setuptools<81'"
        )


def _quieten() -> None:
    """The flow prints a line and draws a bar for every chunk: system calls and a lock."""
    from chatterbox.models.s3gen import flow_matching

    flow_matching.print = lambda *words, **how: None
    flow_matching.tqdm = lambda steps, **how: steps


@contextmanager
def within(folder: Path) -> Iterator[None]:
    """While it is open, the tokenizer of the multilingual model finds all it wants in the folder.

    It asks the hub for its table of Chinese, though that lies beside it; and where the package that
    finds words in Chinese is installed, making one fetches a model, or fails. A start must not need
    a network for either: without that model Chinese is read without words.
    """
    from chatterbox.models.tokenizers import tokenizer

    converter = tokenizer.ChineseCangjieConverter
    download, find_words = tokenizer.hf_hub_download, converter._init_segmenter

    def lies_here(repo_id: str, filename: str, **where: Any) -> str:
        return str(folder / filename)

    def find_words_offline(self: Any) -> None:
        self.segmenter = None
        home = Path(os.environ.get("PKUSEG_HOME", "~/.pkuseg")).expanduser()
        if (home / "spacy_ontonotes").is_dir():
            find_words(self)

    tokenizer.hf_hub_download, converter._init_segmenter = lies_here, find_words_offline
    try:
        yield
    finally:
        tokenizer.hf_hub_download, converter._init_segmenter = download, find_words
