"""The pieces of reading a bounce: quoted replies, hosts, SES, JSON, any bytes, and time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.explain import cause, explain_reply
from posthouse.explain.bounce import read_bounce
from posthouse.explain.bounce.forms import forms
from posthouse.explain.bounce.quoted import innermost, speaker
from posthouse.protocol.message import looks_like_message

FOLDER = Path(__file__).parent / "bounces"


@pytest.mark.parametrize(
    ("words", "reply", "host"),
    [
        (
            "host mx.else.test[192.0.2.7]:25 said: 550 5.1.1 no such user (in reply to RCPT TO)",
            "550 5.1.1 no such user",
            "mx.else.test",
        ),
        (
            "554 host inner.test[10.0.0.1] said: 552 5.2.2 over quota",
            "552 5.2.2 over quota",
            "inner.test",
        ),
        (
            "Remote Server at mx.else.test (192.0.2.7) returned '441 4.4.1 connection dropped'",
            "441 4.4.1 connection dropped",
            "mx.else.test",
        ),
        (
            "550 5.1.351 Remote server returned unknown recipient -> 550 No mailbox here",
            "550 No mailbox here",
            "",
        ),
        ("550-5.7.1 first line 550-5.7.1 second 550 5.7.1 last", None, ""),
        ("550 550 5.1.1 doubled (state 14).", "550 5.1.1 doubled", ""),
        ("It responded as follows: [550 5.1.1 User unknown]", "550 5.1.1 User unknown", ""),
        (
            "<mx.else.test #5.0.0 smtp;550 account suspended>",
            "550 account suspended",
            "mx.else.test",
        ),
        ("the mailbox has 512 messages and user 550 is unknown", "", ""),
        ("see 192.0.2.550 or https://help.test/550/why", "", ""),
    ],
)
def test_the_innermost_reply_and_who_gave_it(words: str, reply: str | None, host: str) -> None:
    assert innermost(words) == (words if reply is None else reply)
    assert speaker(words) == host


def test_the_reply_s_own_code_wins_over_a_vague_status() -> None:
    found = read_bounce((FOLDER / "postfix-vague-status.eml").read_bytes())
    assert found is not None
    assert found.recipients[0].status == "5.7.1"
    assert found.recipients[0].remote == "mx.else.test"


def test_the_provider_of_the_server_that_spoke_is_known() -> None:
    found = read_bounce((FOLDER / "gmail-multiline.eml").read_bytes())
    assert found is not None
    explanation = found.recipients[0].explanation
    assert explanation is not None
    assert explanation.provider in ("gmail", "workspace")


def test_json_is_plain_and_has_words_in_both_languages() -> None:
    found = read_bounce((FOLDER / "postfix.eml").read_bytes())
    assert found is not None
    told: dict[str, dict[str, Any]] = {lang: found.to_dict(lang) for lang in ("en", "zh")}
    assert json.loads(json.dumps(told["en"])) == told["en"]
    assert told["en"]["kind"] == "failed"
    assert told["en"]["message_id"] == "<one@sender.test>"
    titles = {told[lang]["recipients"][0]["explanation"]["title"] for lang in told}
    assert len(titles) == 2


def test_kinds() -> None:
    kinds = {}
    for name in ("postfix", "postfix-delayed", "exim-delayed", "success"):
        found = read_bounce((FOLDER / f"{name}.eml").read_bytes())
        assert found is not None
        kinds[name] = found.kind
    assert kinds == {
        "postfix": "failed",
        "postfix-delayed": "delayed",
        "exim-delayed": "delayed",
        "success": "delivered",
    }


# Amazon SES

NOTIFICATION: dict[str, Any] = {
    "notificationType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "bounceSubType": "General",
        "reportingMTA": "dsn; a1.smtp-out.amazonses.com",
        "bouncedRecipients": [
            {
                "emailAddress": "bob@else.test",
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 user unknown",
            },
            {"emailAddress": "eve@else.test"},
        ],
    },
    "mail": {
        "messageId": "0101-1",
        "headers": [{"name": "Message-ID", "value": "<s@sender.test>"}],
        "commonHeaders": {"subject": "Plans", "to": ["bob@else.test"]},
    },
}


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_notification_of_ses(wrapped: bool) -> None:
    text = json.dumps(NOTIFICATION)
    raw = json.dumps({"Type": "Notification", "Message": text}) if wrapped else text
    found = read_bounce(raw.encode())
    assert found is not None
    assert (found.form, found.reporter) == ("ses", "a1.smtp-out.amazonses.com")
    assert (found.message_id, found.subject) == ("<s@sender.test>", "Plans")
    assert [r.recipient for r in found.recipients] == ["bob@else.test", "eve@else.test"]
    assert found.recipients[0].explanation is not None
    assert found.recipients[0].explanation.cause.id == "rcpt.unknown"


def test_the_kind_tells_where_ses_has_no_diagnostic() -> None:
    bounce = {
        **NOTIFICATION["bounce"],
        "bounceSubType": "MailboxFull",
        "bouncedRecipients": [{"emailAddress": "bob@else.test"}],
    }
    found = read_bounce(json.dumps({**NOTIFICATION, "bounce": bounce}).encode())
    assert found is not None
    assert found.recipients[0].explanation is not None
    assert found.recipients[0].explanation.cause.id == "rcpt.mailbox_full"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{}",
        b'{"notificationType": "Bounce"}',
        b'{"notificationType": "Delivery", "bounce": {}}',
        b'{"notificationType": "Bounce", "bounce": {"bouncedRecipients": [{"emailAddress": 2}]}}',
        b'{"Message": ' + b"[" * 50_000,
        b"{" * 50_000,
    ],
)
def test_other_json_is_no_bounce(raw: bytes) -> None:
    assert read_bounce(raw) is None


# Anything, and time

SAMPLES = [file.read_bytes() for file in sorted(FOLDER.glob("*.eml"))]


def test_all_samples_look_like_messages() -> None:
    others = [
        file.stem for file in FOLDER.glob("*.eml") if not looks_like_message(file.read_bytes())
    ]
    assert others == ["none-log"]


@given(st.binary(max_size=400))
def test_any_bytes(noise: bytes) -> None:
    for head in (b"", b"From: MAILER-DAEMON@x\nSubject: failure notice\n\nUndeliverable\n"):
        found = read_bounce(head + noise)
        assert found is None or found.recipients


@given(st.sampled_from(SAMPLES), st.integers(0, 3_000), st.binary(max_size=30), st.integers(0, 40))
def test_any_damage(raw: bytes, at: int, noise: bytes, lost: int) -> None:
    found = read_bounce(raw[:at] + noise + raw[at + lost :])
    assert found is None or (found.recipients and found.to_dict("zh"))


@given(st.lists(st.sampled_from(b"\n".join(SAMPLES).split(b"\n")), max_size=80))
def test_any_mixture_of_lines(lines: list[bytes]) -> None:
    found = read_bounce(b"From: MAILER-DAEMON@x\nSubject: failure notice\n\n" + b"\n".join(lines))
    assert found is None or found.recipients


@pytest.mark.parametrize("name", ["postfix", "qmail", "exim"])
def test_a_large_bounce_takes_no_long_time(name: str) -> None:
    raw = (FOLDER / f"{name}.eml").read_bytes()
    filler = b"A line of the message that was sent.\n" * 3_000
    end = raw.rfind(b"\n--")
    large = raw[:end] + b"\n" + filler + raw[end:] if name == "postfix" else raw + filler
    read_bounce(large)
    best = min(_seconds(large) for _ in range(5))
    assert best < 0.05  # 2 ms here; ten times that on a busy machine is no fault


def _seconds(raw: bytes) -> float:
    began = time.perf_counter()
    read_bounce(raw)
    return time.perf_counter() - began


# The data


def test_phrases_are_in_small_letters() -> None:
    texts = [
        text for name, texts in forms().lists.items() if not _is_pattern(name) for text in texts
    ]
    texts += [*forms().means, *forms().labels]
    assert [text for text in texts if text != text.lower()] == []


def _is_pattern(name: str) -> bool:
    return name.startswith(("quotes.", "sentences."))


@pytest.mark.parametrize("reply", sorted({*forms().means.values(), *forms().exits.values()}))
def test_what_programs_mean_is_clear(reply: str) -> None:
    assert explain_reply(reply).confidence >= 0.25, reply


def test_recast_causes_exist() -> None:
    for before, after in forms().recast.items():
        assert cause(before) != cause(after)
