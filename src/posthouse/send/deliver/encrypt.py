"""TLS to next hops: which policy holds, contexts made once, sessions used again.

Enters: a hop. Leaves: the policy that holds for it, and a ``Sessions`` context. Called by
``connect``. Fails with NetworkFailure CERTIFICATE where the hop's ``ca_file`` can't be read.

A full handshake costs half a millisecond of processor time, one that resumes a tenth; what is kept
is a session per server name, for an hour at most: a resumed handshake does not look at the
certificate again. A context that does not verify and one that does never share sessions. A session
is fetched only where none was resumed, and where Python leaks it, only so often.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from typing import Any, Final

from posthouse.flow import Failure, NetworkFailure, Security, Stage
from posthouse.net.smtp_open import Refused
from posthouse.net.tls import MODERN_CIPHERS, verify
from posthouse.protocol.smtp.reply import Reply
from posthouse.send.hop import Hop, TlsPolicy

SESSION_SECONDS: Final = 3_600.0  # an expired or revoked certificate is noticed after that
SESSIONS_LIMIT: Final = 500  # server names; some 20 KB each, since the certificates are in it
# Before Python 3.12.8 and 3.13.1 ``SSLObject.session`` copies the session and loses the copy
# (CPython's issue 116810): each time takes 6 to 20 KB until the process ends.
LEAKS: Final = sys.version_info < (3, 12, 8) or (3, 13) <= sys.version_info < (3, 13, 1)
LEAKED_LIMIT: Final = 500  # times, for each context; after that handshakes are whole ones
# Any TLS is better than none where nobody is verified (RFC 7435 section 3), so keys of 1024 bits
# pass; old protocol versions don't (RFC 8996), the message goes in the clear as it would without.
_UNVERIFIED_CIPHERS: Final = MODERN_CIPHERS.replace("@SECLEVEL=2", "@SECLEVEL=1")


class Sessions(ssl.SSLContext):
    """A client's context that resumes. ``now`` gives monotonic seconds.

    Event loops make their TLS object by ``wrap_bio`` and have no way to name a session.
    """

    _now: Callable[[], float]
    _kept: dict[str, tuple[float, ssl.SSLSession]]
    _leaked: int  # sessions

    @classmethod
    def client(cls, now: Callable[[], float]) -> Sessions:
        """One without certificates to trust, that verifies."""
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context._now = now
        context._kept = {}
        context._leaked = 0
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
        return context

    def wrap_bio(self, *args: Any, **more: Any) -> ssl.SSLObject:
        """As ssl's, with the session kept for that name."""
        kept = self._kept.get(more.get("server_hostname") or "")
        if kept is not None and kept[0] > self._now():
            more["session"] = kept[1]
        return super().wrap_bio(*args, **more)

    def keep(self, host: str, secured: ssl.SSLObject | None) -> None:
        """Remember a good connection's session. TLS 1.3 sends it with the first answers.

        What was resumed is kept on, and is as old as the handshake that looked at the certificate.
        """
        if secured is None or secured.session_reused or self._leaked >= LEAKED_LIMIT:
            return
        self._leaked += LEAKS
        session = secured.session
        if session is None or not session.has_ticket:
            return
        if len(self._kept) >= SESSIONS_LIMIT:
            self._kept.clear()
        self._kept[host] = (self._now() + SESSION_SECONDS, session)

    def forget(self, host: str) -> None:
        """The next handshake is a whole one."""
        self._kept.pop(host, None)


class Contexts:
    """The owner of contexts: one for each CA file that verifies, one that does not."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._made: dict[tuple[bool, str | None], Sessions] = {}

    def get(self, policy: TlsPolicy, ca_file: str | None) -> Sessions:
        """The context of a policy. Raises NetworkFailure."""
        verified = policy is TlsPolicy.VERIFIED
        key = (verified, ca_file if verified else None)
        context = self._made.get(key)
        if context is None:
            context = self._made[key] = self._make(*key)
        return context

    def _make(self, verified: bool, ca_file: str | None) -> Sessions:
        context = Sessions.client(self._now)
        if not verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            context.set_ciphers(_UNVERIFIED_CIPHERS)
            return context
        try:
            verify(context, ca_file)
        except (OSError, ssl.SSLError) as error:
            raise NetworkFailure(
                Failure.CERTIFICATE, Stage.TLS, ca_file=ca_file, reason="ca_file"
            ) from error
        return context


def policy_of(hop: Hop) -> TlsPolicy:
    """The policy that holds. Raises Refused where the hop's settings would show its password.

    A password is only ever sent to a server whose certificate is good for its name, so a hop with
    a login is verified whatever else is asked for (RFC 8314 section 3, RFC 4954 section 4).
    MTA-STS (RFC 8461) and DANE (RFC 7672) would raise the policy of an MX here.
    """
    if not hop.user:
        return hop.tls
    if not hop.targets:  # or whoever owns a recipient's domain would be handed our password
        text = f"hop {hop.name}: no login where the recipient's MX decides; name the hop's hosts"
        raise Refused(Stage.AUTH, Reply.make(530, text, "5.7.0"), heard=False)
    if hop.tls is TlsPolicy.NONE or hop.security is Security.NONE:
        text = f'hop {hop.name}: no password without TLS; set security = "tls", tls = "verified"'
        raise Refused(Stage.AUTH, Reply.make(530, text, "5.7.0"), heard=False)
    return TlsPolicy.VERIFIED
