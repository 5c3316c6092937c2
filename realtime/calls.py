"""The function calls of one response, told to the client as the model writes them.

One call is open at a time. Clients act on what is whole: a call that broke off ends as `incomplete`
and without `function_call_arguments.done`.
"""

from __future__ import annotations

from realtime import events
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
        if part.number != self._number or self._open is None:
            self.finish()
            self._number = part.number
            call_id = self._outputs.unused(part.call_id)
            self._open = FunctionCall(new_id("item"), call_id, part.name, "", status="in_progress")
            self._outputs.open(self._open)
            self.chars += len(part.name)
        if part.arguments:
            self._write(self._open, part.arguments)

    def finish(self) -> None:
        """The open call is whole. One without arguments has none: clients parse them as JSON."""
        call, self._open = self._open, None
        if call is None:
            return
        if not call.arguments.strip():
            self._write(call, "{}")
        call.status = "completed"
        self._outbox.put(
            events.CallArgumentsDone(
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
            events.CallArgumentsDelta(
                response_id=self._response_id,
                item_id=call.id,
                output_index=self._outputs.index(call),
                call_id=call.call_id,
                delta=arguments,
            )
        )
