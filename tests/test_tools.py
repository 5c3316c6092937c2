"""What clients define as functions: taken in every form that means the same, else refused."""

from __future__ import annotations

import pytest

from realtime.errors import ProtocolError
from realtime.session_config import SessionConfig
from realtime.tools import Tool, Toolbox, check_tools, checked, toolbox

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "name": "weather", "description": "Now.", "parameters": SCHEMA}


def test_a_function_has_a_name_a_description_and_a_schema():
    assert checked([WEATHER], root="session") == (Tool("weather", "Now.", SCHEMA),)


def test_what_is_left_out_has_a_meaning():
    empty = {"type": "object", "properties": {}}
    assert checked([{"name": "now", "description": None}], root="session") == (
        Tool("now", "", empty),
    )


def test_the_form_of_chat_endpoints_is_understood():
    nested = {"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}
    assert checked([nested], root="session") == checked([WEATHER], root="session")


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        (["weather"], "session.tools[0]"),
        ([{"type": "mcp", "server_label": "x"}], "session.tools[0].type"),
        ([{"type": "function"}], "session.tools[0].name"),
        ([WEATHER, {**WEATHER, "name": "what is it"}], "session.tools[1].name"),
        ([WEATHER, WEATHER], "session.tools[1].name"),
        ([{**WEATHER, "description": 5}], "session.tools[0].description"),
        ([{**WEATHER, "parameters": "none"}], "session.tools[0].parameters"),
        ([{"name": f"f{n}"} for n in range(129)], "session.tools"),
    ],
)
def test_a_function_that_cannot_be_used_names_the_field(tools, param):
    with pytest.raises(ProtocolError) as error:
        SessionConfig().updated({"tools": tools})
    assert error.value.param == param


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("sometimes", "session.tool_choice"),
        ({"type": "mcp"}, "session.tool_choice"),
        ({"type": "function", "name": "tides"}, "session.tool_choice.name"),
    ],
)
def test_a_choice_without_a_meaning_names_the_field(choice, param):
    with pytest.raises(ProtocolError) as error:
        check_tools([WEATHER], choice, root="session")
    assert error.value.param == param


@pytest.mark.parametrize(
    ("choice", "mode", "only"),
    [
        ("auto", "auto", None),
        ("none", "none", None),
        ("required", "required", None),
        ({"type": "function", "name": "weather"}, "auto", "weather"),
        ({"type": "function", "function": {"name": "weather"}}, "auto", "weather"),
    ],
)
def test_a_choice_is_a_mode_or_one_function(choice, mode, only):
    check_tools([WEATHER], choice, root="session")
    made = toolbox([WEATHER], choice, None)
    assert made == Toolbox(checked([WEATHER], root="session"), mode, only)


def test_without_functions_there_is_nothing_to_choose():
    assert toolbox([], "required", True) is None


def test_a_choice_whose_function_is_gone_is_left_to_the_model():
    config = SessionConfig().updated({"tools": [WEATHER, {"name": "now"}]})
    config = config.updated({"tool_choice": {"type": "function", "name": "now"}})
    config = config.updated({"tools": [WEATHER]})
    made = toolbox(config.tools, config.tool_choice, None)
    assert made is not None
    assert (made.choice, made.only) == ("auto", None)
