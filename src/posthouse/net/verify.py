"""Judge a certificate chain after the handshake, offline, and name everything that is wrong.

Enters: the chain as the server sent it, the name asked for, the roots to trust, a point in time.
Leaves: ``CertificateProblem``s and whether the chain is trusted. OpenSSL decides about the path
(through pyOpenSSL); it stops at the first error, so dates, name, key and signature strength are
looked at here too. Called by ``net.pump``; ``clock_verdict`` by the probe. What can fail:
``NetworkFailure`` CERTIFICATE when ``ca_file`` cannot be read, nothing else.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from OpenSSL import crypto
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)

from posthouse.flow import Failure, NetworkFailure, Stage
from posthouse.net import certificate as certs
from posthouse.net.tls import (
    PROBLEM_OF,
    CertificateInfo,
    CertificateProblem,
    Problem,
    TlsSession,
    a_label,
)

MIN_RSA_BITS: Final = 2048  # CA/Browser Forum BR 6.1.5, and what OpenSSL's level 2 asks for
MIN_EC_BITS: Final = 224
WEAK_HASHES: Final = frozenset(("md5", "md4", "md2", "sha1"))
NAMES_SHOWN: Final = 20  # of a certificate with hundreds of names
UNREADABLE: Final = "a certificate cannot be read"
INTERCEPTION_FILE: Final = Path(__file__).with_name("interception.toml")

# x509_vfy.h of OpenSSL; the numbers are ABI and do not change.
_NO_CHECK_TIME: Final = 0x200000
_NOT_YET_VALID, _EXPIRED = 9, 10
_LEAF_SELF_SIGNED, _SELF_SIGNED_IN_CHAIN = 18, 19
_NO_ISSUER: Final = frozenset((2, 20, 21))

PathError = tuple[int, str, x509.Certificate]  # OpenSSL's code and words, the culprit


def judged(
    session: TlsSession,
    ders: Sequence[bytes],
    *,
    ca_file: str | None = None,
    at: datetime | None = None,
) -> TlsSession:
    """The session with its chain, problems, trust and channel bindings filled in."""
    chain = tuple(info for der in ders if (info := certs.describe(der)) is not None)
    readable = len(chain) == len(ders)
    if not chain or not readable:
        reason = "no certificate was sent" if not ders else UNREADABLE
        problem = CertificateProblem(Problem.INVALID, {"reason": reason})
        return replace(session, chain=chain, problems=(problem,), trusted=False)
    problems = problems_of(chain, session.server_name, ca_file=ca_file, at=at)
    leaf = certs.parse(chain[0].der)
    binding = certs.end_point_hash(leaf) if leaf is not None else None
    bindings = dict(session.bindings)
    if binding is not None:
        bindings["tls-server-end-point"] = binding
    return replace(
        session,
        chain=chain,
        problems=problems,
        # A scanner whose root is installed here is trusted by this machine's owner; it is said.
        trusted=all(p.kind is Problem.INTERCEPTION for p in problems),
        channel_binding=binding,
        bindings=bindings,
    )


def problems_of(
    chain: Sequence[CertificateInfo],
    server_name: str,
    *,
    ca_file: str | None = None,
    at: datetime | None = None,
) -> tuple[CertificateProblem, ...]:
    """Everything wrong with a chain (leaf first, not empty) for that name at that time."""
    moment = at or datetime.now(UTC)
    parsed = [c for info in chain if (c := certs.parse(info.der)) is not None]
    found = [
        *_trust_problems(parsed, chain, ca_file),
        *_date_problems(parsed, chain[0], ca_file, moment),
        *_name_problems(parsed[0], chain[0], server_name),
        *_strength_problems(chain),
        *_purpose_problems(parsed[0]),
        *_interception_problems(chain),
    ]
    kinds: dict[tuple[Problem, str], CertificateProblem] = {}
    for problem in found:  # the same fault may be seen by OpenSSL and by us
        kinds.setdefault((problem.kind, str(problem.params.get("subject", ""))), problem)
    return tuple(kinds.values())


# -- the path to a root


def _store(ca_file: str | None) -> crypto.X509Store:
    store = crypto.X509Store()
    # A pinned intermediate or leaf in ca_file is an anchor too.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    system = ssl.get_default_verify_paths()
    if system.cafile or system.capath:
        store.load_locations(system.cafile, None if system.cafile else system.capath)
    else:  # Windows keeps its roots where only ssl can read them
        for der in ssl.create_default_context().get_ca_certs(binary_form=True):
            root = certs.parse(der)
            if root is not None:
                store.add_cert(crypto.X509.from_cryptography(root))
    if ca_file is not None:
        try:
            store.load_locations(os.fspath(ca_file))
        except (crypto.Error, OSError) as error:
            raise NetworkFailure(
                Failure.CERTIFICATE, Stage.TLS, ca_file=str(ca_file), reason="ca_file"
            ) from error
    return store


def _path_error(
    chain: Sequence[x509.Certificate], ca_file: str | None, at: datetime | None
) -> PathError | None:
    """OpenSSL's first complaint about the path, at a time or (None) whatever the time."""
    store = _store(ca_file)
    if at is None:
        store.set_flags(_NO_CHECK_TIME)
    else:
        store.set_time(at.astimezone(UTC))
    try:
        leaf, *others = (crypto.X509.from_cryptography(c) for c in chain)
    except crypto.Error:  # OpenSSL reads some octets more strictly than ``cryptography``
        return 0, UNREADABLE, chain[0]
    try:
        crypto.X509StoreContext(store, leaf, others).verify_certificate()
    except crypto.X509StoreContextError as error:
        code = error.errors[0] if error.errors else 0
        return int(code), str(error.errors[-1]), error.certificate.to_cryptography()
    return None


def _trust_problems(
    parsed: Sequence[x509.Certificate], chain: Sequence[CertificateInfo], ca_file: str | None
) -> list[CertificateProblem]:
    error = _path_error(parsed, ca_file, None)
    if error is None:
        return []
    code, text, culprit = error
    subject = certs.common_name(culprit.subject) or culprit.subject.rfc4514_string()
    if code == _LEAF_SELF_SIGNED or (code in _NO_ISSUER and chain[0].self_signed):
        return [CertificateProblem(Problem.SELF_SIGNED, {"subject": chain[0].subject})]
    if code == _SELF_SIGNED_IN_CHAIN:
        return [
            CertificateProblem(Problem.UNKNOWN_CA, {"issuer": culprit.subject.rfc4514_string()})
        ]
    if code in _NO_ISSUER:
        return [_issuer_problem(parsed, chain, culprit, ca_file)]
    kind = PROBLEM_OF.get(code)
    if kind is not None:
        return [CertificateProblem(kind, {"subject": subject})]
    params = {"reason": text, "code": code, "subject": subject}
    return [CertificateProblem(Problem.INVALID, params)]


def _issuer_problem(
    parsed: Sequence[x509.Certificate],
    chain: Sequence[CertificateInfo],
    top: x509.Certificate,
    ca_file: str | None,
) -> CertificateProblem:
    """Was an intermediate forgotten, or is the authority unknown? Offline, by the evidence.

    A certificate of a public authority shows it (log stamps, CA/Browser Forum policy, where to
    fetch the issuer); a private authority's has none of these. Fetching the issuer would prove it.
    """
    top_info = certs.describe(top.public_bytes(Encoding.DER)) or chain[-1]
    evidence = _public_evidence(parsed[0]) if len(chain) == 1 else []
    if len(chain) == 1 and top_info.issuer_url:
        evidence.append("issuer_url")
    wanted = certs.organisation(top.issuer)
    if wanted and wanted in _root_organisations(ca_file):
        evidence.append("issuer_organisation")
    params: dict[str, Any] = {
        "issuer": top_info.issuer,
        "issuer_url": top_info.issuer_url,
        "evidence": evidence,
        "sent": len(chain),
    }
    kind = Problem.MISSING_INTERMEDIATE if evidence else Problem.UNKNOWN_CA
    return CertificateProblem(kind, params)


def _public_evidence(leaf: x509.Certificate) -> list[str]:
    evidence = []
    if certs.extension(leaf, ExtensionOID.PRECERT_SIGNED_CERTIFICATE_TIMESTAMPS) is not None:
        evidence.append("certificate_transparency")
    policies = certs.extension(leaf, ExtensionOID.CERTIFICATE_POLICIES) or ()
    # 2.23.140.1.*: reserved by the CA/Browser Forum for publicly trusted certificates
    if any(p.policy_identifier.dotted_string.startswith("2.23.140.1.") for p in policies):
        evidence.append("public_policy")
    return evidence


def _root_organisations(ca_file: str | None) -> frozenset[str]:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    names = set()
    for root in context.get_ca_certs():
        subject: Any = root.get("subject", ())
        names |= {value for part in subject for key, value in part if key == "organizationName"}
    return frozenset(names)


# -- dates, name, strength, purpose


def _date_problems(
    parsed: Sequence[x509.Certificate],
    leaf: CertificateInfo,
    ca_file: str | None,
    moment: datetime,
) -> list[CertificateProblem]:
    own = _date_problem(leaf, moment)
    if own is not None:
        return [own]
    error = _path_error(parsed, ca_file, moment)
    if error is not None and error[0] in (_NOT_YET_VALID, _EXPIRED):
        culprit = certs.describe(error[2].public_bytes(Encoding.DER))
        other = _date_problem(culprit, moment) if culprit is not None else None
        return [other] if other is not None else []
    return []


def _date_problem(info: CertificateInfo, moment: datetime) -> CertificateProblem | None:
    params: dict[str, Any] = {
        "subject": info.common_name or info.subject,
        "not_before": info.not_before.isoformat(),
        "not_after": info.not_after.isoformat(),
        "now": moment.isoformat(timespec="seconds"),
        "ca": info.is_ca,
    }
    if moment > info.not_after:
        params |= {
            "date": info.not_after.date().isoformat(),
            "days": (moment - info.not_after).days,
        }
        return CertificateProblem(Problem.EXPIRED, params)
    if moment < info.not_before:
        left = (info.not_before - moment).days
        params |= {"date": info.not_before.date().isoformat(), "days": left}
        return CertificateProblem(Problem.NOT_YET_VALID, params)
    return None


def _name_problems(
    certificate: x509.Certificate, leaf: CertificateInfo, server_name: str
) -> list[CertificateProblem]:
    if not server_name or name_fits(certificate, server_name):
        return []
    names = list(leaf.names[:NAMES_SHOWN])
    params = {"wanted": server_name, "names": names, "common_name": leaf.common_name}
    return [CertificateProblem(Problem.WRONG_NAME, params)]


def name_fits(certificate: x509.Certificate, name: str) -> bool:
    """RFC 9525 section 6: SAN only, never the common name; a wildcard is one whole first label."""
    host = name.rstrip(".")
    try:
        if _is_address(host):
            verify_certificate_ip_address(certificate, host)
        else:
            verify_certificate_hostname(certificate, a_label(host))
    except (VerificationError, CertificateError, *certs.UNREADABLE):
        return False
    return True


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _strength_problems(chain: Sequence[CertificateInfo]) -> list[CertificateProblem]:
    found = []
    for info in chain:
        subject = info.common_name or info.subject
        least = {"RSA": MIN_RSA_BITS, "DSA": MIN_RSA_BITS, "EC": MIN_EC_BITS}.get(info.key, 0)
        if info.key_bits < least:
            params: dict[str, Any] = {"subject": subject, "key": info.key, "bits": info.key_bits}
            found.append(CertificateProblem(Problem.WEAK_KEY, params))
        # A root's own signature is never used: it is trusted by presence (RFC 5280 section 6.1).
        root = info.is_ca and info.self_signed
        if info.signature_hash in WEAK_HASHES and not root:
            params = {"subject": subject, "hash": info.signature_hash}
            found.append(CertificateProblem(Problem.WEAK_SIGNATURE, params))
    return found


def _purpose_problems(leaf: x509.Certificate) -> list[CertificateProblem]:
    """RFC 5280 section 4.2.1.12: an extended key usage, where given, must name servers."""
    usages = certs.extension(leaf, ExtensionOID.EXTENDED_KEY_USAGE)
    good = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)
    if usages is None or any(usage in usages for usage in good):
        return []
    return [CertificateProblem(Problem.INVALID, {"reason": "not for servers"})]


# -- products that open TLS on the way


@cache
def _interceptors() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    import tomllib

    table = tomllib.loads(INTERCEPTION_FILE.read_text("utf-8"))
    return tuple((p["name"], p["kind"], tuple(p["patterns"])) for p in table["product"])


def _interception_problems(chain: Sequence[CertificateInfo]) -> list[CertificateProblem]:
    issuers = "\n".join(info.issuer for info in chain).lower()
    for name, kind, patterns in _interceptors():
        if any(pattern in issuers for pattern in patterns):
            params = {"product": name, "kind": kind, "issuer": chain[-1].issuer}
            return [CertificateProblem(Problem.INTERCEPTION, params)]
    return []
