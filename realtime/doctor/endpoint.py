"""The language model's endpoint: does it answer, take the key, and know the model?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from realtime.doctor import child
from realtime.doctor.child import Probed
from realtime.doctor.finding import Finding, error, ok, warning
from realtime.doctor.network import is_loopback

SUBJECT = "language model"
LONGEST_S = 15.0
"""For each of the two questions, however patient the settings are."""

START_S = 10.0
"""For the child to start and to import the package."""

SHOWN = 8


def judge(probed: Probed, url: str, model: str, key: str) -> Finding:
    """What came of asking for the models and for one short reply."""
    facts = probed.facts
    if probed.trouble:
        return error(SUBJECT, probed.trouble, "see what keeps its name or address from answering")
    if not facts["package"] or "import" in facts:
        seen = f"the package openai: {facts.get('import', 'not installed')}"
        return error(SUBJECT, seen, "pip install 'banter-voice[openai]'")
    models, reply = facts["models"], facts["reply"]
    if reply.get("status") == 200:
        first = f"first word after {reply['first_s']:.2f} s"
        return ok(SUBJECT, f"{model} at {_shown(url)} answers, {first}{_listed(model, models)}")
    if "status" in reply:
        return _refused(reply, models, url, model, key)
    if reply.get("timeout") and "status" in models:
        seen = f"{_shown(url)} is there, but {model} said no word in time{_listed(model, models)}"
        remedy = "wait until it has loaded the model, or be more patient with --llm-timeout"
        return warning(SUBJECT, seen, remedy)
    why = "no answer in time" if reply.get("timeout") else reply["broken"]
    return error(SUBJECT, f"{_shown(url)} cannot be reached: {why}", _reach(url))


def _refused(
    reply: Mapping[str, Any], models: Mapping[str, Any], url: str, model: str, key: str
) -> Finding:
    """It answered, with an error status."""
    status = reply["status"]
    seen = f"{_shown(url)} answered {status}: {reply['broken']}"
    if status in (401, 403):
        what = "to a key that it accepts" if key else "to its key: none is given"
        return error(SUBJECT, seen, f"set BANTER_LLM_KEY {what}")
    if status in (400, 404) and "names" in models:
        known = ", ".join(models["names"][:SHOWN]) or "none"
        return error(SUBJECT, seen, f"choose one of its models with --llm-model: {known}")
    if status == 404:
        return error(SUBJECT, seen, "see that --llm-url ends in /v1, or as its documentation says")
    if status == 429:
        return warning(SUBJECT, seen, "raise the limit or the balance of its account")
    if status == 503:
        return warning(SUBJECT, seen, "wait until it has loaded the model; see its log")
    return error(SUBJECT, seen, "see its log and documentation")


def _listed(model: str, models: Mapping[str, Any]) -> str:
    """Worth a word only where the list lacks the model: many endpoints take any name."""
    names = models.get("names", [])
    if not names or model in names or f"{model}:latest" in names:
        return ""
    return f" (its list has not this name but {', '.join(names[:SHOWN])})"


def _reach(url: str) -> str:
    if is_loopback(urlsplit(url).hostname or ""):
        return "start it; inside a container localhost is the container: use the host's address"
    return "see that it runs, that --llm-url is right and that no firewall is between"


def _shown(url: str) -> str:
    """Without a user name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


async def look(url: str, model: str, key: str, timeout_s: float) -> Sequence[Finding]:
    """Costs the endpoint one short reply."""
    wait_s = min(timeout_s, LONGEST_S)
    probed = await child.probe(
        "endpoint",
        *(url, model, str(wait_s)),
        variables={"BANTER_LLM_KEY": key},
        limit_s=START_S + 2 * wait_s,
    )
    return [judge(probed, url, model, key)]
