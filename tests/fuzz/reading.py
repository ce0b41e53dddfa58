"""Targets of what is pasted or kept in files: error lines, bounces, provider files."""

from __future__ import annotations

import json
import tomllib

from fuzz.smtp import text_of
from posthouse import explain
from posthouse.directory import lint
from posthouse.directory.read import provider as read_provider
from posthouse.explain import bounce, reading, words
from posthouse.flow import Stage
from posthouse.setup.probe import letter

_CAUSES = frozenset(cause.id for cause in explain.causes())


def line(data: bytes) -> None:
    """Any line has a cause, and words that can be printed."""
    for given in (data, text_of(data)):
        for stage in (None, Stage.AUTH):
            found = explain.explain_reply(given, stage=stage, host="smtp.example.com")
            assert found.cause.id in _CAUSES
            assert 0 <= found.confidence <= 1
            for lang in ("en", "zh"):
                told = found.to_dict(lang)
                assert told["title"]
                json.dumps(told, ensure_ascii=False, allow_nan=False).encode("utf-8")
            json.dumps(dict(found.params), ensure_ascii=False).encode("utf-8")


def read_line(data: bytes) -> None:
    for given in (data, text_of(data)):
        found = reading.read(given)
        found.text.encode("utf-8")
        found.judged.encode("utf-8")
        assert len(found.text) <= reading.TEXT_LIMIT + reading.OAUTH_LIMIT + 10
        assert found.code == "" or (
            (len(found.code) == 3 and found.code[0] in "245") or found.code[0] == "3"
        )
    common = words.split(text_of(data))
    assert common.text.startswith(" ")
    assert all(key == key.lower() for key in common.keys)


def bounced(data: bytes) -> None:
    found = bounce.read_bounce(data)
    if found is None:
        return
    assert 0 < len(found.recipients) <= 100
    for failed in found.recipients:
        assert failed.explanation is None or failed.explanation.cause.id in _CAUSES
    assert found.kind in ("failed", "delayed", "delivered")
    for lang in ("en", "zh"):
        json.dumps(found.to_dict(lang), ensure_ascii=False, allow_nan=False).encode("utf-8")


def own_letter(data: bytes) -> None:
    ready = letter.ready(data, token="t", domain="example.com")
    assert ready.data.endswith(b"\r\n")
    assert ready.data.count(b"\r") == ready.data.count(b"\n") == ready.data.count(b"\r\n")
    assert ready.message_id.startswith("<")
    assert letter.ready(ready.data, token="u", domain="example.com").data == ready.data


def provider(data: bytes) -> None:
    """A file that the linter has nothing against can be read."""
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return
    try:
        problems = lint.lint({"x": table})
    except (TypeError, AttributeError, KeyError, ValueError):
        return  # a tool for developers: a table of a wrong shape may end it
    if not problems:
        assert read_provider(table).id == "x"
