"""Does a voice say what it is told, sound like its speaker, and join its chunks without clicks?

    python -m benchmarks.voice_quality --voice embedded
    python -m benchmarks.voice_quality --voice chatterbox --voice-folder DIR --reference clip.wav

Twenty sentences, each read back by Whisper (word error rate), heard by Chatterbox's voice encoder
(cosine with the reference clip, or with the voice's own embedding of it), and searched for clicks
where chunks meet. On made-up weights all of it runs, and it says which figures mean nothing there.
"""

from __future__ import annotations

import argparse
import asyncio
import zlib
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.clips import Pcm, read_pcm, to_ear, to_float
from benchmarks.joints import Joints, joints_of
from benchmarks.recogniser import model_path
from benchmarks.report import Cell, emit, machine, percentile, table
from benchmarks.words import WordErrors, summed, word_errors

SENTENCES = (
    "The old bridge was closed for repairs until the end of October.",
    "Could you tell me when the next train to Bristol leaves?",
    "She put the letter back in the drawer and locked it.",
    "Most of the apples had fallen before anybody came to pick them.",
    "There is a small bakery on the corner that opens at six.",
    "He asked twice, but nobody knew where the keys were.",
    "The meeting has been moved to Thursday at half past two.",
    "Turn left after the church and follow the river for a mile.",
    "I would rather wait here than walk home in the rain.",
    "Her brother plays the cello in a small orchestra.",
    "The museum is free on the first Sunday of every month.",
    "We need three eggs, some butter and a little sugar.",
    "It was getting dark when the lights finally came on again.",
    "The children built a tower of stones beside the lake.",
    "Please leave your shoes by the door before you come in.",
    "A cold wind blew across the harbour all night long.",
    "The doctor said that you should rest for two or three days.",
    "They painted the kitchen yellow and the hall dark green.",
    "My grandmother taught me how to mend a broken chair.",
    "If the shop is closed, try the one behind the station.",
)
BEAM = 5
MEANS_NOTHING = ("word error rate", "speaker similarity")
"""On made-up weights. A click at a joint is real there too, but noise hides one that is faint."""

Embedding = NDArray[np.float32]


@dataclass(frozen=True)
class Said:
    """One sentence as it came out of the voice."""

    text: str
    chunks: list[Pcm]

    @property
    def pcm(self) -> Pcm:
        return np.concatenate([np.zeros(0, np.int16), *self.chunks])

    @property
    def places(self) -> list[int]:
        """Where chunks meet, in samples."""
        return [int(end) for end in np.cumsum([len(chunk) for chunk in self.chunks])[:-1]]

    @property
    def joints(self) -> Joints:
        return joints_of(to_float(self.pcm), self.places)


async def speak_all(voice: Any, sentences: tuple[str, ...], name: str) -> list[Said]:
    """One sentence after the other."""
    from realtime.engines import Line

    said = []
    for text in sentences:
        line = Line(text, voice=name)
        said.append(Said(text, [c async for c in voice.speak(line, owner="quality")]))
    return said


async def embedded(sentences: tuple[str, ...]) -> list[Said]:
    from realtime.engines.embedded_voice import EmbeddedVoice
    from realtime.metrics import Metrics

    voice = EmbeddedVoice(metrics=Metrics())
    await asyncio.to_thread(voice.load)
    voice.start()
    try:
        return await speak_all(voice, sentences, "default")
    finally:
        await voice.close()


async def chatterbox(
    args: argparse.Namespace, sentences: tuple[str, ...]
) -> tuple[list[Said], Embedding]:
    """The voice as the server builds it, on the weights of a folder, with the same seeds each time;
    and the embedding of whoever spoke.
    """
    from benchmarks.chatterbox_weights import depth, made_up
    from realtime.engines.chatterbox.voice import ChatterboxVoice, VoiceOptions
    from realtime.metrics import Metrics

    options = VoiceOptions(
        device=args.device, streams=1, threads=args.threads, watermark=args.watermark == "on"
    )
    voice = ChatterboxVoice(
        args.voice_folder,
        args.voices,
        options,
        metrics=Metrics(),
        seeds=lambda line: zlib.crc32(line.text.encode()),
    )
    made = made_up(args.voice_folder)
    with depth(True) if made and made[1] else nullcontext():
        await asyncio.to_thread(voice.load)
    await asyncio.to_thread(voice.warm)
    voice.start()
    try:
        speaker = voice.library.get(args.speaker).speaker[0].cpu().numpy()
        return await speak_all(voice, sentences, args.speaker), speaker
    finally:
        await voice.close()


def errors_of(said: list[Said], whisper: Path, device: str) -> list[WordErrors]:
    """What Whisper hears, against what was to be said."""
    from faster_whisper import WhisperModel

    compute = "float16" if device == "cuda" else "int8"
    model = WhisperModel(str(whisper), device=device, compute_type=compute)
    found = []
    for each in said:
        segments, _ = model.transcribe(to_ear(each.pcm), language="en", beam_size=BEAM)
        heard = " ".join(segment.text.strip() for segment in segments)
        found.append(word_errors(each.text, heard))
    return found


def encoder_of(folder: Path) -> Any:
    """Chatterbox's voice encoder, on the CPU."""
    import torch
    from chatterbox.models.voice_encoder import VoiceEncoder
    from safetensors.torch import load_file

    encoder = VoiceEncoder()
    if (folder / "ve.safetensors").is_file():
        encoder.load_state_dict(load_file(folder / "ve.safetensors"))
    else:
        encoder.load_state_dict(torch.load(folder / "ve.pt", weights_only=True))
    return encoder.eval()


def embedding_of(pcm: Pcm, encoder: Any) -> Embedding:
    found: Embedding = encoder.embeds_from_wavs([to_ear(pcm)], sample_rate=16_000, as_spk=True)
    return found


def cosine(one: Embedding, other: Embedding) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))


def similarities(said: list[Said], encoder: Any, reference: Embedding) -> list[float]:
    """The cosine of each sentence and the reference."""
    return [round(cosine(embedding_of(each.pcm, encoder), reference), 3) for each in said]


def left_out(args: argparse.Namespace) -> str | None:
    """Why the speaker is not compared; None if it can be."""
    from importlib.util import find_spec

    if args.voice_folder is None:
        return "the voice encoder's weights lie with Chatterbox's: name them by --voice-folder"
    if find_spec("chatterbox") is None:
        return "the voice encoder is Chatterbox's, which is not installed here"
    return None


def summary(
    said: list[Said], errors: list[WordErrors], alike: list[float] | None
) -> dict[str, object]:
    """The figures of the JSON line."""
    every = summed(errors)
    joints = sum((each.joints for each in said), Joints((), ()))
    return {
        "sentences": len(said),
        "audio_s": round(sum(each.pcm.size for each in said) / 24_000, 1),
        "read_back": {
            "wrong": every.wrong,
            "words": every.words,
            "wer_percent": round(100 * (every.rate or 0.0), 2),
            "sentences_without_error": sum(each.wrong == 0 for each in errors),
        },
        "speaker_similarity": {
            "median": round(percentile(alike, 50), 3),
            "p5": round(percentile(alike, 5), 3),
            "least": round(min(alike), 3),
        }
        if alike
        else None,
        "joints": joints.facts,
    }


def show(said: list[Said], errors: list[WordErrors], alike: list[float] | None) -> None:
    rows: list[list[Cell]] = []
    for n, (each, wrong) in enumerate(zip(said, errors, strict=True)):
        joints = each.joints.facts
        similar = alike[n] if alike else None
        row = [round(each.pcm.size / 24_000, 2), wrong.wrong, similar, len(each.chunks)]
        rows.append([each.text[:44], *row, joints["worst_at_joints"] if each.places else None])
    headings = ["sentence", "seconds", "words wrong", "similarity", "chunks", "worst joint"]
    print(table(headings, rows), end="\n\n")


async def run(args: argparse.Namespace) -> dict[str, object]:
    from benchmarks.chatterbox_weights import made_up

    facts = machine()
    sentences = SENTENCES[: args.sentences]
    own: Embedding | None = None
    if args.voice == "embedded":
        said = await embedded(sentences)
    else:
        said, own = await chatterbox(args, sentences)
    whisper = args.whisper_dir or await model_path()
    errors = await asyncio.to_thread(errors_of, said, whisper, args.device)
    why_not = left_out(args)
    alike, compared_with = None, "the voice's own embedding"
    if why_not is None:
        encoder = await asyncio.to_thread(encoder_of, args.voice_folder)
        if args.reference:
            own, compared_with = embedding_of(read_pcm(args.reference), encoder), "the clip"
        elif own is None:
            own, compared_with = embedding_of(said[0].pcm, encoder), "its own first sentence"
        alike = similarities(said, encoder, own)
    show(said, errors, alike)
    noise = args.voice_folder is not None and made_up(args.voice_folder) is not None
    nothing = MEANS_NOTHING if args.voice != "embedded" else MEANS_NOTHING[1:]
    told = {
        "benchmark": "voice_quality",
        "machine": facts,
        "voice": args.voice,
        "watermark": args.watermark if args.voice == "chatterbox" else None,
        "compared_with": compared_with if alike else None,
        "left_out": {"speaker similarity": why_not} if why_not else {},
        "means_nothing": list(nothing) if noise else [],
        **summary(said, errors, alike),
    }
    for name, why in told["left_out"].items():
        print(f"left out: {name}: {why}")
    if told["means_nothing"]:
        print(f"The weights are made up. Means nothing: {', '.join(nothing)}.")
    if not any(each.places for each in said):
        print("Each sentence came in one chunk: there are no joints to judge.")
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description="What a voice says, like whom, and how smoothly.")
    parser.add_argument("--voice", choices=("embedded", "chatterbox"), default="embedded")
    parser.add_argument("--voice-folder", type=Path, help="Chatterbox's weights")
    parser.add_argument("--voices", type=Path, default=Path("voices"), help="folder of cloned ones")
    parser.add_argument("--speaker", default="default", help="one of the voices there")
    parser.add_argument("--reference", type=Path, help="the clip that the voice was made from")
    parser.add_argument("--whisper-dir", type=Path, help="Whisper to read back (the embedded one)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--watermark", choices=("on", "off"), default="on", help="Chatterbox's")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sentences", type=int, default=len(SENTENCES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON line there too")
    args = parser.parse_args()
    if args.voice == "chatterbox" and args.voice_folder is None:
        parser.error("--voice chatterbox needs --voice-folder")
    emit(asyncio.run(run(args)), args.json)


if __name__ == "__main__":
    main()
