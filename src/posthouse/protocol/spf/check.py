"""check_host(): may this client use this domain? RFC 7208 section 4.

Enters: the client's address, the identity, and answers to the questions it yields. Leaves: a
``Result`` with every step taken. Called by the receiving side, the audit of a domain and the
command line. Fails with ValueError where the address of the client is none; whatever DNS or the
record's author did is a result.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

from posthouse.protocol.dns import Answer, AnswerStatus, Ask, Query
from posthouse.protocol.spf import names
from posthouse.protocol.spf.client import Client
from posthouse.protocol.spf.macro import expand, read
from posthouse.protocol.spf.model import (
    DEFAULT_LIMITS,
    MAX_EXPLANATION,
    NOTES,
    Limits,
    Note,
    Result,
)
from posthouse.protocol.spf.parse import is_record, parse
from posthouse.protocol.spf.record import (
    Code,
    MacroString,
    Mechanism,
    Networks,
    Record,
    RecordError,
)

_LOCAL: Final = frozenset("sl")
_OK: Final = AnswerStatus.OK
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def check_host(
    ip: str,
    domain: str,
    sender: str,
    *,
    helo: str = "",
    receiver: str = "",
    now: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Query[Result]:
    """Whether ``ip`` may use ``domain`` for ``sender``. Raises ValueError for what is no ``ip``.

    ``now`` is the time for %{t}, in seconds since 1970; ``receiver`` the checking host's name.
    """
    client = Client(ip, sender, helo, receiver=receiver, now=now, names_limit=limits.ptr_names)
    return _Check(client, limits).run(domain)


def check_mail(ip: str, sender: str, helo: str, **more: Any) -> Query[Result]:
    """The MAIL FROM identity; an empty sender is postmaster at HELO. Section 2.4."""
    domain, used = names.identity(sender, helo)
    return check_host(ip, domain, used, helo=helo, **more)


def check_helo(ip: str, helo: str, **more: Any) -> Query[Result]:
    """The HELO identity. Section 2.3."""
    return check_mail(ip, "", helo, **more)


class _Stop(Exception):
    """An error ends the whole check, however deep in includes. Section 5.2."""

    def __init__(self, code: Code, problem: str) -> None:
        super().__init__(problem)
        self.code = code
        self.problem = problem


class _Check:
    """The owner of what changes during one check: counters and trace."""

    def __init__(self, client: Client, limits: Limits) -> None:
        self._client = client
        self._type = client.type
        self._limits = limits
        self._lookups = 0
        self._voids = 0
        self._trace: list[Note] = []
        self._depth = 0
        self._problem = ""
        self._term = ""
        self._domain = ""  # whose record decides, also after redirect
        self._record: Record | None = None

    def run(self, domain: str) -> Query[Result]:
        """The whole check."""
        explanation = ""
        ascii_domain = names.a_labels(domain) or ""
        try:
            code = yield from self._host(ascii_domain or domain)
            if code is Code.FAIL:
                explanation = yield from self._explain()
        except _Stop as stop:
            code, self._problem, self._term = stop.code, stop.problem, ""
        return Result(
            code,
            self._domain or ascii_domain,
            self._term,
            self._problem,
            explanation,
            self._lookups,
            self._voids,
            self._record.text if self._record is not None else "",
            tuple(self._trace),
        )

    def _host(self, domain: str) -> Generator[Ask, Answer, Code]:
        """check_host() itself, which include and redirect call again."""
        name = names.host(domain)
        if name is None:
            self._note("domain_malformed", domain, "", {"name": domain})
            self._problem = "domain_malformed"
            return Code.NONE
        record = yield from self._fetch(name)
        if record is None:
            return Code.NONE
        shown = domain.removesuffix(".") if len(domain) <= len(name) + 1 else name
        if self._depth == 0:
            self._domain, self._record = shown, record
        for step in record.steps:
            if isinstance(step, Networks):
                match = self._network(step, shown)
            else:
                match = step if (yield from self._matches(step, shown)) else None
            if match is not None:
                if self._depth == 0:
                    self._term = match.text
                return match.code
        if record.redirect is not None:
            return (yield from self._redirect(record.redirect.value, shown))
        self._note("no_match", shown, "", {"result": Code.NEUTRAL.value})
        return Code.NEUTRAL  # section 4.7

    def _fetch(self, name: str) -> Generator[Ask, Answer, Record | None]:
        """Sections 4.4 to 4.6: the one record of a name, None where it has none."""
        answer = yield Ask(name, "TXT")
        if answer.status is not _OK and answer.failed:
            raise self._failed(name, "TXT", answer, name)
        found = [text for text in answer.records if is_record(text)]
        if not found:
            self._note("record_none", name, "", {"name": name})
            self._problem = "record_none"
            return None
        if len(found) > 1:
            self._note("record_several", name, "", {"name": name, "count": len(found)})
            raise _Stop(Code.PERMERROR, "record_several")
        self._note("record_found", name, "", {"record": found[0]})
        try:
            return parse(found[0])
        except RecordError as error:
            at = error.position
            self._note(
                "record_syntax",
                name,
                error.term,
                {"reason": error.reason, "position": at, "text": error.term},
            )
            raise _Stop(Code.PERMERROR, "record_syntax") from None

    def _redirect(self, value: MacroString, domain: str) -> Generator[Ask, Answer, Code]:
        """Section 6.1."""
        term = f"redirect={value}"
        self._count(domain, term)
        target = yield from self._expand(value, domain)
        self._note("redirect", domain, term, {"name": target})
        code = yield from self._host(target)
        if code is Code.NONE:
            self._note("redirect_none", domain, term, {"name": target})
            raise _Stop(Code.PERMERROR, "redirect_none")
        return code

    def _matches(self, mechanism: Mechanism, domain: str) -> Generator[Ask, Answer, bool]:
        """One directive. Section 5."""
        name = mechanism.name
        if name == "all":
            self._note("all", domain, mechanism.text, {"result": mechanism.code.value})
            return True
        self._count(domain, mechanism.text)
        source = mechanism.domain
        if source is None:
            target = domain
        elif source.literal is not None:
            target = source.literal
        elif _LOCAL & source.letters and not self._client.values["l"].isascii():
            # RFC 8616 section 4: a local part that is not ASCII makes no name
            self._note("target_local", domain, mechanism.text)
            return False
        else:
            target = yield from self._expand(source, domain)
        if name == "include":  # there a malformed target is one without a record
            return (yield from self._include(mechanism, domain, target))
        asked = names.question(target)
        if asked is None:  # section 4.8 leaves it open; no name has no address
            self._note("target_malformed", domain, mechanism.text, {"name": target})
            return False
        look = {"a": self._a, "mx": self._mx, "exists": self._exists, "ptr": self._ptr}[name]
        return (yield from look(mechanism, domain, asked))

    def _network(self, step: Networks, domain: str) -> Mechanism | None:
        """The first of some ip4 and ip6 terms that matches. Section 5.6."""
        client = self._client
        value = client.value
        for shift, base, mechanism in step.ip4 if client.four else step.ip6:
            if value >> shift == base:
                self._matched("ip_match", mechanism, domain, ip=client.plain)
                return mechanism
        self._note("ip_miss", domain, step.text, {"ip": client.plain})
        return None

    def _a(self, mechanism: Mechanism, domain: str, name: str) -> Generator[Ask, Answer, bool]:
        """Section 5.3."""
        answer = yield from self._ask(name, self._type, domain, mechanism)
        if answer.status is not _OK:
            return False
        hit = self._client.hit(answer, mechanism.cidr4, mechanism.cidr6)
        if hit:
            self._matched("a_match", mechanism, domain, name=name, ip=hit)
        else:
            self._note(
                "a_miss",
                domain,
                mechanism.text,
                {"name": name, "addresses": ", ".join(answer.records)},
            )
        return bool(hit)

    def _mx(self, mechanism: Mechanism, domain: str, name: str) -> Generator[Ask, Answer, bool]:
        """Section 5.4. A host without address is no void lookup: the term did find something."""
        answer = yield from self._ask(name, "MX", domain, mechanism)
        if answer.status is not _OK:
            return False
        count, limit = len(answer.records), self._limits.mx_names
        if count > limit:  # section 4.6.4; before any is asked, so that their order is no matter
            self._note(
                "mx_many", domain, mechanism.text, {"name": name, "count": count, "limit": limit}
            )
            raise _Stop(Code.PERMERROR, "mx_many")
        hosts = [row.rpartition(" ")[2].removesuffix(".") for row in answer.records]
        for host in hosts:
            asked = names.question(host)  # None for the null MX of RFC 7505
            if asked is None:
                continue
            found = yield Ask(asked, self._type)
            if found.status is not _OK and found.failed:
                raise self._failed(asked, self._type, found, domain, mechanism.text)
            if hit := self._client.hit(found, mechanism.cidr4, mechanism.cidr6):
                self._matched("mx_match", mechanism, domain, name=name, host=host, ip=hit)
                return True
        self._note("mx_miss", domain, mechanism.text, {"name": name, "hosts": ", ".join(hosts)})
        return False

    def _exists(self, mechanism: Mechanism, domain: str, name: str) -> Generator[Ask, Answer, bool]:
        """Section 5.7: an A lookup, whatever the client's family."""
        answer = yield from self._ask(name, "A", domain, mechanism)
        if answer.status is not _OK:
            return False
        self._matched("exists_match", mechanism, domain, name=name)
        return True

    def _ptr(self, mechanism: Mechanism, domain: str, name: str) -> Generator[Ask, Answer, bool]:
        """Section 5.5. Only names below the target are worth proving."""
        arpa = self._client.arpa
        answer = yield Ask(arpa, "PTR")
        if answer.failed:  # no error: the domain's owner can't help it
            self._note(
                "ptr_failed", domain, mechanism.text, {"name": arpa, "status": answer.status.value}
            )
            return False
        if answer.status is not _OK:
            self._void(arpa, "PTR", answer, domain, mechanism.text)
            return False
        hosts = self._client.claimed(answer)
        for host in hosts:
            if names.within(host, name) and (yield from self._client.proves(host)):
                self._matched("ptr_match", mechanism, domain, name=name, host=host)
                return True
        self._note("ptr_miss", domain, mechanism.text, {"name": name, "hosts": ", ".join(hosts)})
        return False

    def _include(
        self, mechanism: Mechanism, domain: str, target: str
    ) -> Generator[Ask, Answer, bool]:
        """Section 5.2."""
        self._note("include", domain, mechanism.text, {"name": target})
        self._depth += 1
        code = yield from self._host(target)
        self._depth -= 1
        if code is Code.PASS:
            self._matched("include_match", mechanism, domain, name=target)
            return True
        if code is Code.NONE:
            self._note("include_none", domain, mechanism.text, {"name": target})
            raise _Stop(Code.PERMERROR, "include_none")
        self._note("include_miss", domain, mechanism.text, {"name": target, "inner": code.value})
        return False

    def _ask(
        self, name: str, type_: str, domain: str, mechanism: Mechanism
    ) -> Generator[Ask, Answer, Answer]:
        """A term's own question: an error ends the check, nothing found is counted."""
        answer = yield Ask(name, type_)
        if answer.status is not _OK:
            if answer.failed:
                raise self._failed(name, type_, answer, domain, mechanism.text)
            self._void(name, type_, answer, domain, mechanism.text)
        return answer

    def _failed(self, name: str, type_: str, answer: Answer, domain: str, term: str = "") -> _Stop:
        """Section 5: server failure and silence are temporary."""
        status = answer.status.value
        self._note("dns_failed", domain, term, {"name": name, "type": type_, "status": status})
        return _Stop(Code.TEMPERROR, "dns_failed")

    def _count(self, domain: str, term: str) -> None:
        """Section 4.6.4: at most ten terms that ask."""
        self._lookups += 1
        if self._lookups > self._limits.lookups:
            self._note("lookups_over", domain, term, {"limit": self._limits.lookups})
            raise _Stop(Code.PERMERROR, "lookups_over")

    def _void(self, name: str, type_: str, answer: Answer, domain: str, term: str) -> None:
        """Section 4.6.4: a term whose question found nothing; two may."""
        self._voids += 1
        count, limit, status = self._voids, self._limits.voids, answer.status.value
        self._note(
            "void",
            domain,
            term,
            {"name": name, "type": type_, "status": status, "count": count, "limit": limit},
        )
        if count > limit:
            self._note(
                "voids_over",
                domain,
                term,
                {"name": name, "type": type_, "count": count, "limit": limit},
            )
            raise _Stop(Code.PERMERROR, "voids_over")

    def _expand(self, source: MacroString, domain: str) -> Generator[Ask, Answer, str]:
        if source.literal is not None:
            return source.literal
        values = self._client.values
        values["d"] = domain
        if "p" in source.letters:
            values["p"] = yield from self._client.name(domain)
            self._note("client_name", domain, str(source), {"host": values["p"]})
        return expand(source, values)

    def _explain(self) -> Generator[Ask, Answer, str]:
        """Section 6.2: the owner's words; whatever is wrong with them, there are none."""
        record = self._record
        if record is None or record.exp is None:
            return ""
        target = yield from self._expand(record.exp.value, self._domain)
        name = names.question(target)
        text = ""
        if name is not None:
            answer = yield Ask(name, "TXT")
            if answer.status is _OK and len(answer.records) == 1:
                text = yield from self._explanation(answer.records[0])
        found = "explained" if text else "explanation_unusable"
        self._note(found, self._domain, record.exp.text, {"name": target})
        return text

    def _explanation(self, source: str) -> Generator[Ask, Answer, str]:
        if len(source) > MAX_EXPLANATION:
            return ""
        try:
            macros = _read_explanation(source)
        except RecordError:
            return ""
        text = yield from self._expand(macros, self._domain)
        # It is meant for a reply of SMTP, and a local part may hold anything.
        printable = text.isascii() and text.isprintable()
        return text if printable and len(text) <= MAX_EXPLANATION else ""

    def _note(
        self, id_: str, domain: str, term: str, params: Mapping[str, Any] = _NOTHING, /
    ) -> None:
        if len(self._trace) < NOTES:
            self._trace.append(Note(id_, self._depth, domain, term, params))

    def _matched(self, id_: str, mechanism: Mechanism, domain: str, /, **params: Any) -> None:
        params["result"] = mechanism.code.value
        self._note(id_, domain, mechanism.text, params)


@lru_cache(128)  # texts, none longer than MAX_EXPLANATION
def _read_explanation(text: str) -> MacroString:
    return read(text, explanation=True)
