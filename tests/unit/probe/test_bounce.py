"""Delivery status notifications, whole and broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.explain import bounce

WHOLE = b"""\
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mail.test

Final-Recipient: rfc822; bob@else.test
Action: Failed
Status: 5.2.2
Remote-MTA: dns; mx.else.test
Diagnostic-Code: smtp; 552 5.2.2 Mailbox full

Original-Recipient: rfc822; eve@else.test
Final-Recipient: rfc822; eve@else.test
Action: delayed
Status: 4.4.1

--B
Content-Type: text/rfc822-headers

Message-ID: <sent@mail.test>

--B--
"""


def test_every_recipient_is_told() -> None:
    found = bounce.read_bounce(WHOLE)
    assert found is not None
    assert found.reporter == "mail.test"
    assert found.about("<sent@mail.test>")
    assert [(r.recipient, r.action, r.status) for r in found.recipients] == [
        ("bob@else.test", "failed", "5.2.2"),
        ("eve@else.test", "delayed", "4.4.1"),
    ]
    assert found.recipients[0].diagnostic == "552 5.2.2 Mailbox full"
    assert found.recipients[0].explanation.cause.id == "rcpt.mailbox_full"


def test_an_unknown_message_id_is_about_nothing() -> None:
    found = bounce.read_bounce(WHOLE.replace(b"Message-ID", b"X-Other"))
    assert found is not None
    assert not found.about("")


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 61))
def test_a_truncated_bounce_never_fails(cut: int) -> None:
    found = bounce.read_bounce(WHOLE[:cut])
    assert found is None or found.recipients


@given(st.binary(max_size=300))
def test_any_bytes(noise: bytes) -> None:
    head = b"Content-Type: message/delivery-status\n\n"
    found = bounce.read_bounce(head + b"Final-Recipient: rfc822; x\n" + noise)
    assert found is None or found.recipients
