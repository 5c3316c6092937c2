"""Ids as clients expect them: a word, an underscore, random letters."""

from __future__ import annotations

import secrets


def new_id(kind: str) -> str:
    """A fresh id such as `item_4f1c...`."""
    return f"{kind}_{secrets.token_hex(10)}"
