"""A reply means the same, whatever log, bounce or library tells of it."""

from __future__ import annotations

import pytest

from posthouse import explain

REPLIES = (
    "535 5.7.8 Error: authentication failed",
    "550 5.1.1 <u@d.example>: User unknown",
    "550 no such user here",
    "550 Rejected as spam",
    "552 5.2.2 mailbox is over its quota",
    "554 5.7.1 <u@d.example>: Relay access denied",
    "553 sender address must match the login",
    "421 too many connections from your host",
    "451 4.7.1 greylisted, try again in 5 minutes",
    "550 5.7.26 the message fails DMARC of its domain",
)
WRAPPERS = {
    "postfix": (
        "Mar  3 10:00:00 box postfix/smtp[99]: 4XABC: to=<u@d.example>, "
        "relay=mx.d.example[192.0.2.1]:25, delay=2, dsn=5.0.0, status=bounced "
        "(host mx.d.example[192.0.2.1] said: {})"
    ),
    "exim": (
        "2026-01-01 10:00:00 1rABcd-000001-2x ** u@d.example R=dnslookup T=remote_smtp "
        "H=mx.d.example [192.0.2.1]: SMTP error from remote mail server after end of data: {}"
    ),
    "qmail": "<u@d.example>: 192.0.2.1 failed after I sent the message. Remote host said: {}",
    "sendmail": (
        "sendmail[7]: x0123: to=<u@d.example>, delay=00:00:01, mailer=esmtp, pri=120, "
        "relay=mx.d.example. [192.0.2.1], dsn=5.0.0, stat=Service unavailable: {}"
    ),
    "opensmtpd": (
        "smtpd[5]: 1a2b mta delivery evpid=3c from=<a@b.example> to=<u@d.example> rcpt=<-> "
        'source="192.0.2.9" relay="192.0.2.1 (mx.d.example)" result="PermFail" stat="{}"'
    ),
    "gmail": (
        "it was rejected by the server for the recipient domain d.example by mx.d.example. "
        "The error that the other server returned was: {}"
    ),
    "swiftmailer": 'Expected response code 250 but got code "550", with message "{}"',
    "bounce": "Diagnostic-Code: smtp; {}",
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapped_replies(name: str) -> None:
    came = {reply: explain.explain_reply(WRAPPERS[name].format(reply)) for reply in REPLIES}
    alone = {reply: explain.explain_reply(reply).cause.id for reply in REPLIES}
    assert {reply: found.cause.id for reply, found in came.items()} == alone
