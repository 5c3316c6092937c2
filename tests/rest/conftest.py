"""OpenAI's own client against a server with the embedded models."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.sounds import SENTENCE


@pytest.fixture(scope="session")
def openai(echo_url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{echo_url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="session")
def spoken(openai: OpenAI) -> bytes:
    """`SENTENCE` as WAV, in the embedded voice."""
    return openai.audio.speech.create(
        model="tts-1", voice="alloy", input=SENTENCE, response_format="wav"
    ).read()
