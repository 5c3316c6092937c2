"""SubRip and WebVTT, as players read them."""

from __future__ import annotations

import pytest

from realtime.subtitles import srt, stamp, vtt
from realtime.timing import Passage, Segment


def segment(start_s: float, end_s: float, text: str) -> Segment:
    return Segment(start_s, end_s, text, (), Passage(start_s, end_s, text))


TWO = [segment(0, 1.5, "Hello."), segment(3661.0004, 3662.9996, "Good bye.")]


def test_srt_numbers_its_cues_and_has_a_comma():
    assert srt(TWO) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n2\n01:01:01,000 --> 01:01:03,000\nGood bye.\n"
    )


def test_vtt_has_its_heading_and_a_point():
    assert vtt(TWO) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello.\n\n"
        "01:01:01.000 --> 01:01:03.000\nGood bye.\n"
    )


def test_nothing_said_is_still_a_file():
    assert (srt([]), vtt([])) == ("", "WEBVTT\n")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "00:00:00.000"), (59.9999, "00:01:00.000"), (360_000, "100:00:00.000")],
)
def test_stamps(seconds, shown):
    assert stamp(seconds, ".") == shown


def test_text_cannot_end_a_cue_or_begin_one():
    said = segment(0, 1, "a\n\nb --> c <i> & d")
    assert srt([said]) == "1\n00:00:00,000 --> 00:00:01,000\na b -> c <i> & d\n"
    assert vtt([said]).splitlines()[3] == "a b -&gt; c &lt;i> &amp; d"


@pytest.mark.parametrize("arrow", ["-->", "--->", "------>", "-->>", "-- -->"])
def test_no_arrow_is_left_however_long_it_is(arrow):
    said = segment(0, 1, f"a {arrow} b")
    assert srt([said]).count("-->") == 1
    assert vtt([said]).count("-->") == 1


def test_long_text_goes_on_two_lines():
    text = "And so my fellow Americans ask not what your country can do for you"
    lines = srt([segment(0, 1, text)]).splitlines()[2:]
    assert len(lines) == 2
    assert " ".join(lines) == text
