"""The function calls of one response, told to the client as the model writes them.

One call is open at a time, and words in the middle of it do not end it. Clients act on what is
whole: a call that broke off ends as `incomplete` and without `function_call_arguments.done`.
"""

from __future__ import annotations

import json

from realtime import server_events
from realtime.engines import CallPart
from realtime.ids import new_id
from realtime.items import FunctionCall
from realtime.outbox import Outbox
from realtime.outputs import Outputs


class Calls:
    """Parts of calls in, events out."""

    def __init__(self, response_id: str, outbox: Outbox, outputs: Outputs) -> None:
        self._response_id, self._outbox, self._outputs = response_id, outbox, outputs
        self._open: FunctionCall | None = None
        self._number = -1
        self.chars = 0
        """Written so far, for an estimate of tokens."""

    @property
    def is_open(self) -> bool:
        return self._open is not None

    def push(self, part: CallPart) -> None:
        """The next part; the first one of a call ends the call before it."""
        goes_on = part.number == self._number
        if goes_on and self._open is None:
            return  # it was whole already: this can be no more than white space
        if self._open is None or not goes_on:
            self.finish()
            self._number = part.number
            call_id = self._outputs.unused(part.call_id)
            self._open = FunctionCall(new_id("item"), call_id, part.name, "", status="in_progress")
            self._outputs.open(self._open)
            self.chars += len(part.name)
        if part.arguments:
            self._write(self._open, part.arguments)

    def finish_whole(self) -> None:
        """End the open call if its arguments are whole: words follow it."""
        if self._open and _is_json(self._open.arguments):
            self.finish()

    def finish(self) -> None:
        """The open call is whole. One without arguments has none: clients parse them as JSON."""
        call, self._open = self._open, None
        if call is None:
            return
        if not call.arguments.strip():
            self._write(call, "{}")
        call.status = "completed"
        self._outbox.put(
            server_events.CallArgumentsDone(
                response_id=self._response_id,
                item_id=call.id,
                output_index=self._outputs.index(call),
                call_id=call.call_id,
                name=call.name,
                arguments=call.arguments,
            )
        )
        self._outputs.close(call)

    def abandon(self) -> None:
        """The open call broke off."""
        call, self._open = self._open, None
        if call:
            call.status = "incomplete"
            self._outputs.close(call)

    def _write(self, call: FunctionCall, arguments: str) -> None:
        call.arguments += arguments
        self.chars += len(arguments)
        self._outbox.put(
            server_events.CallArgumentsDelta(
                response_id=self._response_id,
                item_id=call.id,
                output_index=self._outputs.index(call),
                call_id=call.call_id,
                delta=arguments,
            )
        )


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
