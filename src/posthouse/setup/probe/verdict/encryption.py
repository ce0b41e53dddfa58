"""Rules for TLS: whether it is offered, whether it comes about, whether the certificate is good."""

from __future__ import annotations

from typing import Any, Final

from posthouse.flow import Endpoint, Failure, Stage
from posthouse.net.tls import CertificateProblem, Problem
from posthouse.setup.probe.facts import Facts, Stop
from posthouse.setup.probe.verdict.rule import Hit, Rule, elsewhere, is_ip, quote, some, submission

OLD: Final = ("SSLv2", "SSLv3", "TLSv1.0", "TLSv1.1")  # RFC 7568, RFC 8996
MODERN: Final = ("TLSv1.2", "TLSv1.3")
CLOCK_MATTERS: Final = 3600.0  # seconds a clock may be wrong before certificates suffer
# net.pump's "kind" of a failed handshake
WEAK_KINDS: Final = frozenset({"weak_dh", "weak_key", "weak_signature", "no_common_cipher"})


def starttls_erased(facts: Facts, stop: Stop) -> Hit | None:
    """Cisco's inspection writes XXXXXXXA over the word STARTTLS in the EHLO answer."""
    if stop.failure is not Failure.TLS_STRIPPED:
        return None
    best = elsewhere(facts)
    seen = str(stop.detail.get("seen") or "XXXXXXXA")[:40]
    return Hit({"seen": seen, "use": str(best) if best else ""}, best, "elsewhere" if best else "")


def no_encryption(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is not Failure.TLS_NOT_OFFERED:
        return None
    best = elsewhere(facts) or submission(facts)
    return Hit({"use": str(best) if best else ""}, best, "elsewhere" if best else "")


def old_tls(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 8996: TLS 1.0 and 1.1 are no longer to be used, so modern programs refuse."""
    broken = (Failure.TLS_HANDSHAKE, Failure.CLOSED, Failure.RESET)
    if stop.stage is not Stage.TLS or stop.failure not in broken:
        return None
    spoken = [v for v in OLD if facts.versions.get(v)]
    if any(facts.versions.get(v) for v in MODERN):
        return None
    if not spoken:
        version = stop.detail.get("kind") == "version"
        return Hit(suggestion=elsewhere(facts), variant="unknown") if version else None
    return Hit({"versions": [_readable(v) for v in spoken]}, elsewhere(facts))


def weak_tls(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 9325 section 4: what we do not speak any more, and the server still asks for."""
    kind = str(stop.detail.get("kind") or "")
    if stop.failure is not Failure.TLS_HANDSHAKE or kind not in WEAK_KINDS:
        return None
    return Hit({"reason": _reason(stop)}, elsewhere(facts))


def starttls_broken(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 3207 section 4: 220 must be followed by a handshake; 454 says it can't be now."""
    if stop.step not in ("starttls", "tls") or facts.endpoint.security.value != "starttls":
        return None
    best = elsewhere(facts)
    variant = "refused" if stop.code is not None else ""
    return Hit({"reply": quote(stop), "use": str(best) if best else ""}, best, variant)


def tls_failed(facts: Facts, stop: Stop) -> Hit | None:
    if stop.stage is not Stage.TLS or stop.failure is Failure.CERTIFICATE:
        return None
    return Hit({"reason": _reason(stop)}, elsewhere(facts))


def _reason(stop: Stop) -> str:
    reason = str(stop.detail.get("reason") or stop.detail.get("kind") or stop.failure or "?")
    return " ".join(reason.replace("_", " ").split())[:120]


def clock_wrong(facts: Facts, stop: Stop) -> Hit | None:
    """The certificate's dates look wrong because ours is."""
    dated = _problem(facts, Problem.EXPIRED) or _problem(facts, Problem.NOT_YET_VALID)
    behind = facts.clock_behind
    if dated is None or behind is None or abs(behind) < CLOCK_MATTERS:
        return None
    variant = "" if behind > 0 else "ahead"
    return Hit({"off_seconds": abs(behind), "today": facts.now[:10]}, variant=variant)


def intercepted(facts: Facts, stop: Stop) -> Hit | None:
    problem = _problem(facts, Problem.INTERCEPTION)
    if problem is None:
        return None
    by = str(problem.params.get("product") or "") or _issuer(facts, problem)
    return Hit({"issuer": by})


def expired(facts: Facts, stop: Stop) -> Hit | None:
    problem = _problem(facts, Problem.EXPIRED)
    leaf = facts.tls.leaf if facts.tls else None
    if problem is None or leaf is None:
        return None
    date = str(problem.params.get("date") or leaf.not_after.date().isoformat())[:10]
    days = problem.params.get("days", 0)
    return Hit({"date": date, "days": abs(int(days or 0)), "today": facts.now[:10]})


def not_yet_valid(facts: Facts, stop: Stop) -> Hit | None:
    problem = _problem(facts, Problem.NOT_YET_VALID)
    leaf = facts.tls.leaf if facts.tls else None
    if problem is None or leaf is None:
        return None
    date = str(problem.params.get("date") or leaf.not_before.date().isoformat())[:10]
    return Hit({"date": date, "today": facts.now[:10]})


def wrong_name(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 9525: the name that was asked for must stand in the certificate."""
    if _problem(facts, Problem.WRONG_NAME) is None or facts.tls is None:
        return None
    leaf = facts.tls.leaf
    names = list(leaf.names if leaf and leaf.names else (leaf.common_name,) if leaf else ())
    proven = facts.names.same_address
    plain = [n for n in names if "*" not in n and not is_ip(n)]
    use = proven[0] if proven else (plain[0] if plain else "")
    params: dict[str, Any] = {"names": some(names), "use": use}
    if not use:
        return Hit(params, variant="unnamed")
    here = Endpoint(use, facts.endpoint.port, facts.endpoint.security)
    return Hit(params, here, "" if proven else "unproven")


def missing_intermediate(facts: Facts, stop: Stop) -> Hit | None:
    problem = _problem(facts, Problem.MISSING_INTERMEDIATE)
    return Hit({"issuer": _issuer(facts, problem)}) if problem else None


def self_signed(facts: Facts, stop: Stop) -> Hit | None:
    problem = _problem(facts, Problem.SELF_SIGNED)
    return Hit(_identity(facts, problem)) if problem else None


def unknown_ca(facts: Facts, stop: Stop) -> Hit | None:
    problem = _problem(facts, Problem.UNKNOWN_CA)
    return Hit(_identity(facts, problem)) if problem else None


def weak_certificate(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 8301/9325: RSA under 2048 bits and SHA-1 signatures no longer protect."""
    key = _problem(facts, Problem.WEAK_KEY)
    signature = _problem(facts, Problem.WEAK_SIGNATURE)
    leaf = facts.tls.leaf if facts.tls else None
    if (key is None and signature is None) or leaf is None:
        return None
    params = {"algorithm": f"{leaf.key} {leaf.key_bits}", "hash": leaf.signature_hash.upper()}
    return Hit(params, variant="" if key else "signature")


def bad_certificate(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is not Failure.CERTIFICATE:
        return None
    problems = facts.tls.problems if facts.tls else ()
    reason = next((str(p.params.get("reason")) for p in problems if p.params.get("reason")), "?")
    return Hit({"reason": reason[:120]})


def _problem(facts: Facts, kind: Problem) -> CertificateProblem | None:
    """Only where the certificate is what stopped us."""
    if facts.stop is None or facts.stop.failure is not Failure.CERTIFICATE or facts.tls is None:
        return None
    return facts.tls.problem(kind)


def _issuer(facts: Facts, problem: CertificateProblem) -> str:
    leaf = facts.tls.leaf if facts.tls else None
    return str(problem.params.get("issuer") or (leaf.issuer if leaf else "?"))[:120]


def _identity(facts: Facts, problem: CertificateProblem) -> dict[str, Any]:
    leaf = facts.tls.leaf if facts.tls else None
    return {"issuer": _issuer(facts, problem), "sha256": leaf.sha256 if leaf else "?"}


def _readable(version: str) -> str:
    return version.replace("TLSv", "TLS ").replace("SSLv", "SSL ")


RULES: Final = (
    Rule("starttls_erased", starttls_erased, "tls.failed"),
    Rule("no_encryption", no_encryption, "tls.failed"),
    Rule("old_tls", old_tls, "tls.failed"),
    Rule("clock_wrong", clock_wrong, "tls.certificate"),
    Rule("intercepted", intercepted, "tls.certificate"),
    Rule("expired", expired, "tls.certificate"),
    Rule("not_yet_valid", not_yet_valid, "tls.certificate"),
    Rule("wrong_name", wrong_name, "tls.certificate"),
    Rule("missing_intermediate", missing_intermediate, "tls.certificate"),
    Rule("self_signed", self_signed, "tls.certificate"),
    Rule("unknown_ca", unknown_ca, "tls.certificate"),
    Rule("weak_certificate", weak_certificate, "tls.failed"),
    Rule("bad_certificate", bad_certificate, "tls.certificate"),
    Rule("weak_tls", weak_tls, "tls.failed"),
    Rule("starttls_broken", starttls_broken, "tls.failed"),
    Rule("tls_failed", tls_failed, "tls.failed"),
)
