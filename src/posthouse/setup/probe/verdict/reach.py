"""Rules for everything before encryption: names, connections, first words, EHLO."""

from __future__ import annotations

from typing import Final

from posthouse.flow import Endpoint, Failure, Security, Stage, Status
from posthouse.setup.probe.facts import Facts, Relation, State, Stop
from posthouse.setup.probe.verdict.blocklists import blocklist_in
from posthouse.setup.probe.verdict.rule import (
    Hit,
    Rule,
    address_in,
    elsewhere,
    first_words,
    link_in,
    open_ports,
    other_mode,
    submission,
)

EARLY: Final = (Stage.CONNECT, Stage.GREETING)


def name_unknown(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is not Failure.NAME_NOT_FOUND:
        return None
    if facts.names.suggestion:
        meant = Endpoint(facts.names.suggestion, facts.endpoint.port, facts.endpoint.security)
        return Hit({"meant": meant.host}, meant, "typo")
    if facts.provider:  # a server that everybody knows: it is the DNS here that does not
        return Hit(variant="hidden")
    target = submission(facts)
    if target is None or target.host == facts.endpoint.host:
        return Hit()
    return Hit({"domain": facts.names.domain, "published": str(target)}, target, "published")


def no_address(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is not Failure.NO_ADDRESS:
        return None
    target = submission(facts)
    if target is not None:
        return Hit({"published": str(target)}, target, "published")
    return Hit(variant="mail_domain" if facts.names.incoming else "")


def dns_failed(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure not in (Failure.DNS_FAILED, Failure.DNS_TIMEOUT):
        return None
    params = {
        "resolver": stop.detail.get("server") or "?",
        "answer": str(stop.detail.get("status") or "?").upper(),
        "took_seconds": stop.detail.get("seconds") or 0,
    }
    return Hit(params, variant="silent" if stop.failure is Failure.DNS_TIMEOUT else "")


def offline(facts: Facts, stop: Stop) -> Hit | None:
    return Hit() if stop.failure is Failure.OFFLINE else None


def unreachable(facts: Facts, stop: Stop) -> Hit | None:
    return Hit() if stop.failure is Failure.UNREACHABLE else None


def ipv6_only(facts: Facts, stop: Stop) -> Hit | None:
    """Only IPv6 addresses, and none of them can be reached from here."""
    addresses = facts.names.addresses
    if stop.stage is not Stage.CONNECT or not addresses or any(":" not in a for a in addresses):
        return None
    if ":" in facts.endpoint.host or stop.failure is Failure.REFUSED:
        return None
    return Hit({"addresses": list(addresses[:3])}, submission(facts))


def refused(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is not Failure.REFUSED:
        return None
    ports = open_ports(facts)
    return Hit({"open": ports}, elsewhere(facts), "" if ports else "nothing")


def works_elsewhere(facts: Facts, stop: Stop) -> Hit | None:
    """One port is dead silent and another of the same host is fine: the way blocks that port."""
    ports = open_ports(facts)
    if stop.failure is not Failure.TIMEOUT or stop.stage is not Stage.CONNECT or not ports:
        return None
    best = elsewhere(facts)
    use = best.port if best else ports[0]
    return Hit({"open": ports, "use": use, **_waited(stop)}, best)


def filtered(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure is not Failure.TIMEOUT or stop.stage is not Stage.CONNECT:
        return None
    answers = (State.REFUSED, State.OPEN, State.CLOSED, State.SILENT)
    alive = any(n.state in answers for n in facts.neighbours if n.relation is Relation.PORT)
    return Hit(_waited(stop), variant="alive" if alive else "")


def captive_portal(facts: Facts, stop: Stop) -> Hit | None:
    if stop.detail.get("protocol") == "http":
        return Hit()
    mode = other_mode(facts)
    silent = stop.failure in (Failure.SILENT, Failure.CLOSED) and stop.stage in EARLY
    return Hit() if silent and mode is not None and mode.protocol == "http" else None


def incoming_server(facts: Facts, stop: Stop) -> Hit | None:
    protocol = stop.detail.get("protocol")
    mode = other_mode(facts)
    silent = stop.failure in (Failure.SILENT, Failure.CLOSED) and stop.stage in EARLY
    if protocol not in INCOMING and silent and mode is not None:
        protocol = mode.protocol
    if protocol not in INCOMING:
        return None
    target = submission(facts)
    params = {"protocol": INCOMING[protocol], "published": str(target) if target else ""}
    return Hit(params, target, "published" if target else "")


INCOMING: Final = {
    "imap": "IMAP",
    "pop3": "POP3",
    "sieve": "ManageSieve",
    "managesieve": "ManageSieve",
}


def wrong_service(facts: Facts, stop: Stop) -> Hit | None:
    protocol = stop.detail.get("protocol")
    foreign = (Failure.NOT_SMTP, Failure.BAD_REPLY)
    hello_met = stop.failure is Failure.PLAIN_EXPECTED and facts.endpoint.security is Security.TLS
    if stop.failure not in foreign and not hello_met:
        return None
    known = str(protocol).upper() if protocol and protocol != "unknown" else ""
    first = first_words(stop)
    return Hit({"protocol": known, "first": first}, submission(facts), "" if known else "unknown")


def tls_from_first_byte(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 8314 section 3: implicit TLS; the server waits for our hello while we wait for its."""
    if facts.endpoint.security is Security.TLS or stop.stage not in EARLY:
        return None
    mode = other_mode(facts)
    spoke = mode is not None and mode.state is State.OPEN and mode.protocol in ("smtp", "tls")
    told = stop.failure is Failure.TLS_EXPECTED or stop.detail.get("protocol") == "tls"
    mute = stop.failure in (Failure.SILENT, Failure.CLOSED, Failure.RESET)
    if not told and not (mute and spoke):
        return None
    return Hit(suggestion=Endpoint(facts.endpoint.host, facts.endpoint.port, Security.TLS))


def starttls_here(facts: Facts, stop: Stop) -> Hit | None:
    """Our TLS hello met plain words: the port starts in plain text (RFC 3207)."""
    if facts.endpoint.security is not Security.TLS or stop.stage is not Stage.TLS:
        return None
    mode = other_mode(facts)
    plain = mode is not None and mode.state is State.OPEN and mode.protocol == "smtp"
    if stop.failure is not Failure.PLAIN_EXPECTED and not plain:
        return None
    if stop.detail.get("protocol", "smtp") not in ("smtp", "unknown", ""):
        return None
    first = first_words(stop) or "220"
    here = Endpoint(facts.endpoint.host, facts.endpoint.port, Security.STARTTLS)
    return Hit({"first": first}, here)


def hangs_up(facts: Facts, stop: Stop) -> Hit | None:
    if stop.failure not in (Failure.RESET, Failure.CLOSED) or not _at_first(facts, stop):
        return None
    if any(facts.versions.values()):
        return None  # it does speak TLS, only not ours
    best = elsewhere(facts)
    return Hit({"use": str(best) if best else ""}, best, "elsewhere" if best else "")


def slow_greeting(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 5321 section 4.5.3.2.1: a client should wait five minutes for the greeting."""
    if stop.failure is not Failure.SILENT or not _at_first(facts, stop):
        return None
    variant = "tls" if stop.stage is Stage.TLS else ""
    return Hit(_waited(stop), elsewhere(facts), variant)


def _at_first(facts: Facts, stop: Stop) -> bool:
    """Before the server has said anything: on a TLS port its hello is its first word."""
    if stop.stage is Stage.TLS:
        return facts.endpoint.security is Security.TLS
    return stop.stage in EARLY


def ip_blocked(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "sender.reputation":
        return None
    listed = blocklist_in(stop.text)
    link = link_in(stop.text) or (listed.delist if listed else "")
    ip = address_in(stop.text) or facts.names.ip
    params = {"list": listed.name if listed else "", "ip": ip or "?", "link": link}
    target = submission(facts)
    if listed is None and not link:
        return Hit(params, target, "unnamed")
    return Hit(params, target, "" if listed else "linked")


def too_many(facts: Facts, stop: Stop) -> Hit | None:
    if stop.cause != "rate.limited":
        return None
    return Hit(variant="" if stop.stage in (Stage.GREETING, Stage.EHLO) else "speed")


def greeting_refused(facts: Facts, stop: Stop) -> Hit | None:
    """RFC 5321 section 3.1: 554 instead of 220 says that no SMTP service is given here."""
    if stop.stage is not Stage.GREETING or stop.code is None:
        return None
    return Hit(suggestion=submission(facts))


def ancient(facts: Facts, stop: Stop) -> Hit | None:
    """EHLO is unknown, HELO works: SMTP of before 1993, without encryption or login."""
    return Hit(suggestion=submission(facts)) if "helo" in facts.passed else None


def helo_name(facts: Facts, stop: Stop) -> Hit | None:
    if stop.code is None or stop.code < 500:
        return None
    if stop.stage is not Stage.EHLO and not (
        stop.cause == "sender.ip_identity" and "helo" in stop.text.lower()
    ):
        return None
    return Hit({"ehlo": facts.ehlo_name})


def ipv6_broken(facts: Facts) -> Hit | None:
    """All went well by IPv4 after IPv6 failed: other programs may hang for minutes here."""
    if not facts.broken_family:
        return None
    works = "IPv4" if facts.broken_family == "IPv6" else "IPv6"
    address = facts.names.addresses[0] if facts.names.addresses else ""
    params = {"broken": facts.broken_family, "works": works, "address": address}
    return Hit(params, status=Status.WARN)


def _waited(stop: Stop) -> dict[str, object]:
    return {"took_seconds": stop.detail.get("seconds") or 0}


NAME_RULES: Final = (
    Rule("name_unknown", name_unknown, "dns.server_name"),
    Rule("no_address", no_address, "dns.server_name"),
    Rule("dns_failed", dns_failed, "dns.temporary"),
)
CONNECT_RULES: Final = (
    Rule("ipv6_only", ipv6_only, "conn.timeout"),
    Rule("offline", offline, "conn.timeout"),
    Rule("unreachable", unreachable, "conn.timeout"),
    Rule("refused", refused, "conn.refused"),
    Rule("works_elsewhere", works_elsewhere, "conn.timeout"),
    Rule("filtered", filtered, "conn.timeout"),
)
GREETING_RULES: Final = (
    Rule("captive_portal", captive_portal, "conn.lost"),
    Rule("incoming_server", incoming_server, "protocol.error"),
    Rule("tls_from_first_byte", tls_from_first_byte, "tls.failed"),
    Rule("starttls_here", starttls_here, "tls.failed"),
    Rule("wrong_service", wrong_service, "protocol.error"),
    Rule("hangs_up", hangs_up, "conn.lost"),
    Rule("slow_greeting", slow_greeting, "conn.timeout"),
    Rule("ip_blocked", ip_blocked, "sender.reputation"),
    Rule("too_many", too_many, "rate.limited"),
    Rule("greeting_refused", greeting_refused),
    Rule("ancient", ancient, "protocol.error"),
    Rule("helo_name", helo_name, "sender.ip_identity"),
)
__all__ = ["CONNECT_RULES", "GREETING_RULES", "NAME_RULES", "ipv6_broken"]
