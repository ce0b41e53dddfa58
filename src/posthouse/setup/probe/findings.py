"""What is worth knowing beside the verdict. Pure: sessions, replies and records in, findings out.

Enters: a TLS session, extensions, replies, DNS answers. Leaves: ``Finding``s whose words are
"probe.finding.<id>". RFC 9325 for TLS, RFC 8996 for old versions. Never fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from posthouse.flow import Endpoint, Finding, Security, Status
from posthouse.net.tls import CertificateInfo, Problem, TlsSession
from posthouse.protocol import dane
from posthouse.protocol.ports import RELAY_PORT, PortVerdict, judge_port
from posthouse.protocol.smtp import Reply

SOON: Final = timedelta(days=14)  # a renewal that has not come by then has probably failed
SHORT_SHARE: Final = 3  # certificates are renewed when a third of their life is left (RFC 9773)
SLOW_GREETING: Final = 5.0  # seconds; impatient programs give up after 10
NAMES_SHOWN: Final = 5
STRONG_BITS: Final = 128
_PFS: Final = ("ECDHE", "DHE", "TLS_")  # TLS 1.3 suites begin with TLS_ and always have it
_WEAK: Final = ("RC4", "DES", "NULL", "EXP", "MD5", "anon", "ADH", "AECDH")
_OLD: Final = ("SSLv3", "TLSv1.0", "TLSv1.1")


def of_session(session: TlsSession, now: datetime) -> tuple[Finding, ...]:
    """Version, cipher and certificate of one TLS session."""
    params = {"version": readable(session.version), "cipher": session.cipher, "bits": session.bits}
    weak = session.bits < STRONG_BITS or any(word in session.cipher for word in _WEAK)
    found = [Finding("tls_version", Status.OK, None, params)]
    if weak:
        found.append(Finding("tls_weak_cipher", Status.WARN, "tls.failed", params))
    if not session.cipher.startswith(_PFS):
        found.append(Finding("tls_no_forward_secrecy", Status.WARN, None, params))
    leaf = session.leaf
    if leaf is not None:
        found += _of_certificate(session, leaf, now)
    return tuple(found)


def _of_certificate(session: TlsSession, leaf: CertificateInfo, now: datetime) -> list[Finding]:
    found = [_certificate(leaf)]
    for problem in session.problems:
        if problem.kind is Problem.INTERCEPTION and session.trusted:
            who = str(problem.params.get("product") or leaf.issuer)
            params: dict[str, Any] = {"issuer": who}
            found.append(Finding("certificate_intercepted", Status.WARN, "tls.certificate", params))
        else:
            params = {**_renamed(problem.params), "problem": problem.kind.value}
            found.append(Finding("certificate_problem", Status.FAIL, "tls.certificate", params))
    left = leaf.not_after - now
    life = leaf.not_after - leaf.not_before
    if timedelta(0) < left <= min(SOON, life / SHORT_SHARE):
        params = {"date": leaf.not_after.date().isoformat(), "days": left.days}
        found.append(Finding("certificate_expires_soon", Status.WARN, "tls.certificate", params))
    return found


def _renamed(params: Mapping[str, Any]) -> dict[str, Any]:
    """ "key" and "kind" mean something else where a text is looked up and shown."""
    names = {"key": "algorithm", "kind": "product_kind"}
    return {names.get(name, name): value for name, value in params.items()}


def _certificate(leaf: CertificateInfo) -> Finding:
    names = list(leaf.names[:NAMES_SHOWN]) or [leaf.common_name]
    if len(leaf.names) > NAMES_SHOWN:
        names.append("…")
    params = {
        "names": names,
        "issuer": leaf.issuer,
        "date": leaf.not_after.date().isoformat(),
        "algorithm": f"{leaf.key} {leaf.key_bits}",
        "sha256": leaf.sha256,
    }
    return Finding("certificate", Status.OK, None, params)


def of_hellos(
    spoken: Mapping[str, bool | None], *, weak_ciphers: bool | None = None
) -> tuple[Finding, ...]:
    """Which TLS versions the server speaks, and whether it takes broken ciphers, by raw hello."""
    old = [v for v in _OLD if spoken.get(v)]
    found = []
    if spoken.get("SSLv3"):  # RFC 7568, CVE-2014-3566
        found.append(Finding("tls_sslv3", Status.FAIL, "tls.failed"))
    if old:
        params = {"versions": [readable(v) for v in old]}
        found.append(Finding("tls_old_versions", Status.WARN, "tls.failed", params))
    if weak_ciphers:  # RFC 9325 section 4.1
        found.append(Finding("tls_weak_ciphers", Status.WARN, "tls.failed"))
    modern = [readable(v) for v in spoken if spoken[v] and v not in _OLD]
    if modern and not old:
        found.append(Finding("tls_modern", Status.OK, None, {"versions": modern}))
    return tuple(found)


def of_role(endpoint: Endpoint, extensions: Mapping[str, str]) -> tuple[Finding, ...]:
    """What the port is for, and whether the first EHLO answer (before TLS) is a danger."""
    found = []
    if endpoint.port == RELAY_PORT:
        found.append(Finding("relay_port", Status.WARN))
    if judge_port(endpoint.port, endpoint.security) is PortVerdict.DEV_CATCHER:
        found.append(Finding("dev_catcher", Status.WARN))
    if endpoint.security is not Security.TLS and extensions:
        if "STARTTLS" not in extensions:
            found.append(Finding("no_tls", Status.FAIL, "tls.failed"))
        if "AUTH" in extensions:  # RFC 8314 section 3.3, RFC 4954 section 4
            found.append(Finding("auth_before_tls", Status.WARN))
    return tuple(found)


def of_change(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[Finding, ...]:
    """What the EHLO answer lost, gained or changed since an earlier run."""
    kinds = {
        "extensions_gone": sorted(set(before) - set(now)),
        "extensions_new": sorted(set(now) - set(before)),
        "extensions_changed": sorted(k for k in before if k in now and before[k] != now[k]),
    }
    gone = "extensions_gone"
    return tuple(
        Finding(id_, Status.WARN if id_ == gone else Status.OK, None, {"extensions": names})
        for id_, names in kinds.items()
        if names
    )


def of_replies(replies: list[Reply]) -> tuple[Finding, ...]:
    """How much good will it took to read the server's answers."""
    defects = list(dict.fromkeys(d for r in replies for d in r.defects))
    encodings = sorted({r.encoding for r in replies} - {"ascii"})
    found = []
    if defects:
        found.append(Finding("reply_defects", Status.WARN, "protocol.error", {"defects": defects}))
    if encodings:
        found.append(Finding("reply_encoding", Status.OK, None, {"encoding": ", ".join(encodings)}))
    return tuple(found)


def of_tlsa(
    name: str, records: tuple[str, ...], signed: bool, session: TlsSession | None
) -> tuple[Finding, ...]:
    """RFC 7672 section 2.2: TLSA records count only where DNSSEC vouches for them."""
    if not records:
        return ()
    if not signed:
        return (Finding("dane_unsigned", Status.WARN, None, {"name": name}),)
    chain = [certificate.der for certificate in session.chain] if session else []
    host = name.split(".", 2)[-1]
    # Dates are left out: the certificate's own findings tell of them.
    judged = dane.judge_records(records, chain, (host,))
    if judged.outcome is dane.Outcome.UNUSABLE:
        return ()
    if chain and judged.outcome is dane.Outcome.MISMATCH:
        return (Finding("dane_mismatch", Status.FAIL, "tls.certificate", {"name": name}),)
    return (Finding("dane_ok", Status.OK, None, {"name": name}),)


def of_mta_sts(domain: str, records: tuple[str, ...]) -> tuple[Finding, ...]:
    """RFC 8461 section 3.1: one TXT record with version and id."""
    record = next((r for r in records if r.replace(" ", "").startswith("v=STSv1;")), None)
    if record is None:
        return ()
    fields = dict(part.strip().partition("=")[::2] for part in record.split(";"))
    return (
        Finding("mta_sts", Status.OK, None, {"domain": domain, "id": fields.get("id", "?")[:32]}),
    )


def readable(version: str) -> str:
    """ "TLSv1.3" as people write it."""
    return version.replace("TLSv", "TLS ").replace("SSLv3", "SSL 3.0")
