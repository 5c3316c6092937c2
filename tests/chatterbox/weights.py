"""Chatterbox's files with made-up weights, as the benchmarks make them."""

from benchmarks.chatterbox_weights import VARIANTS, depth, make, sentence

__all__ = ["VARIANTS", "depth", "make", "sentence"]
