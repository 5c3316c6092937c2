"""`GET /openapi.json`: the endpoints in OpenAPI 3.1, from the tables that the handlers use."""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from realtime.engines.sound_encoder import FORMATS as SOUNDS
from realtime.rest import models, speech
from realtime.rest.asked import FIELDS
from realtime.rest.asked import FORMATS as TEXTS
from realtime.rest.event_stream import CONTENT_TYPE
from realtime.rest.transcriptions import TRANSCRIPTIONS, TRANSLATIONS

PATH = "/openapi.json"
JSON = "application/json"


def document() -> dict[str, Any]:
    """The whole description."""
    _, schemas = msgspec.json.schema_components(
        [speech.SpeechRequest], ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Banter",
            "version": "1",
            "description": "OpenAI's audio endpoints on your own machine. The realtime protocol is "
            "a WebSocket at /v1/realtime and not part of this document.",
        },
        "security": [{}, {"key": []}],
        "paths": {
            TRANSCRIPTIONS: {"post": _hearing("createTranscription", "The words of a recording.")},
            TRANSLATIONS: {"post": _hearing("createTranslation", "The words of it, in English.")},
            speech.PATH: {"post": _speaking()},
            models.PATH: {"get": _listing()},
            models.PATH + "/{id}": {"get": _showing()},
        },
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**schemas, **SCHEMAS},
        },
    }


def _hearing(name: str, summary: str) -> dict[str, Any]:
    form = {"type": "object", "required": ["file"], "properties": FIELDS}
    kinds = {kind: {"schema": {"type": "string"}} for kind in (*TEXTS.values(), CONTENT_TYPE)}
    kinds[JSON] = {"schema": _ref("Transcription")}
    return {
        "operationId": name,
        "summary": summary,
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
        "responses": {"200": {"description": "What was heard.", "content": kinds}, **_errors(413)},
    }


def _speaking() -> dict[str, Any]:
    sounds: dict[str, Any] = {kind.content_type: {} for kind in SOUNDS.values()}
    body = {JSON: {"schema": _ref("SpeechRequest")}}
    return {
        "operationId": "createSpeech",
        "summary": "A text, spoken; the sound begins with the first sentence.",
        "requestBody": {"required": True, "content": body},
        "responses": {
            "200": {"description": "The sound.", "content": {**sounds, CONTENT_TYPE: {}}},
            **_errors(413),
        },
    }


def _listing() -> dict[str, Any]:
    content = {JSON: {"schema": _ref("ModelList")}}
    return {
        "operationId": "listModels",
        "summary": "The names of models whose purpose is known.",
        "responses": {"200": {"description": "The names.", "content": content}, **_errors()},
    }


def _showing() -> dict[str, Any]:
    content = {JSON: {"schema": _ref("Model")}}
    name = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "operationId": "retrieveModel",
        "summary": "One of them.",
        "parameters": [name],
        "responses": {"200": {"description": "It is known.", "content": content}, **_errors(404)},
    }


def _errors(*more: int) -> dict[str, Any]:
    answer = {"description": "Refused.", "content": {JSON: {"schema": _ref("Error")}}}
    return {str(status): answer for status in (400, 401, *more, 415, 429)} | {"default": answer}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_MAYBE = {"type": ["string", "null"]}

SCHEMAS: dict[str, Any] = {
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": {"type": "string"},
                    "type": {"type": "string"},
                    "param": _MAYBE,
                    "code": _MAYBE,
                },
            }
        },
    },
    "Transcription": {
        "type": "object",
        "required": ["text", "usage"],
        "properties": {
            "text": {"type": "string"},
            "usage": {"type": "object", "required": ["type"]},
            "task": {"enum": ["transcribe", "translate"]},
            "language": {"type": "string"},
            "duration": {"type": "number"},
            "segments": {"type": "array", "items": {"type": "object"}},
            "words": {"type": "array", "items": {"type": "object"}},
            "logprobs": {"type": "array", "items": {"type": "object"}},
        },
    },
    "Model": {
        "type": "object",
        "required": ["id", "object", "created", "owned_by"],
        "properties": {
            "id": {"type": "string"},
            "object": {"const": "model"},
            "created": {"type": "integer"},
            "owned_by": {"type": "string"},
        },
    },
    "ModelList": {
        "type": "object",
        "required": ["object", "data"],
        "properties": {
            "object": {"const": "list"},
            "data": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}},
        },
    },
}


async def show(request: web.Request) -> web.Response:
    """The description as JSON."""
    return web.json_response(document())
