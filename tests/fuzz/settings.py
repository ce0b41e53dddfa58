"""Targets of discovery: every format in which a stranger may describe a mail server."""

from __future__ import annotations

import json
from collections.abc import Iterable

from posthouse.protocol.discovery import (
    autoconfig,
    autodiscover_pox,
    autodiscover_v2,
    mobileconfig,
    organisation,
    pacc,
    srv,
)
from posthouse.protocol.discovery.jsontree import Value, parse_json
from posthouse.protocol.discovery.offer import MAX_SERVERS, DiscoveryError, Incoming, Offer
from posthouse.protocol.discovery.txt import txt_value
from posthouse.protocol.discovery.xmltree import parse_xml
from posthouse.protocol.host import parse_host

ADDRESS = "alice@example.com"


def fine(outgoing: Iterable[Offer], incoming: Iterable[Incoming] = ()) -> None:
    """What is true of every server that came out, whatever went in."""
    offers, others = list(outgoing), list(incoming)
    assert len(offers) <= MAX_SERVERS
    assert len(others) <= MAX_SERVERS
    for host, port in [
        *((o.endpoint.host, o.endpoint.port) for o in offers),
        *((i.host, i.port) for i in others),
    ]:
        assert parse_host(host) == host
        assert 1 <= port <= 65_535
    for offer in offers:
        assert offer.username.isprintable()
        assert 0 < len(offer.username) <= 400


def shown(*texts: str | None) -> None:
    """Text for people: one line, printable, to be written in UTF-8."""
    for text in texts:
        assert text is None or (text.isprintable() and len(text) <= 2_000)


def told(error: DiscoveryError) -> None:
    shown(error.reason, error.detail)
    assert error.line is None or error.line >= 0


def xml(data: bytes) -> None:
    for doctype in (False, True):
        try:
            parse_xml(data, allow_doctype=doctype)
        except DiscoveryError as error:
            told(error)


def autoconfig_xml(data: bytes) -> None:
    try:
        answer = autoconfig.parse(data, address=ADDRESS)
    except DiscoveryError as error:
        told(error)
        return
    assert answer.outgoing
    fine(answer.outgoing, answer.incoming)
    shown(answer.display_name, answer.provider_id, *(d.url for d in answer.documentation))
    if answer.oauth:
        shown(answer.oauth.issuer, answer.oauth.scope, answer.oauth.auth_url)


def pox(data: bytes) -> None:
    try:
        answer = autodiscover_pox.parse(data, address=ADDRESS)
    except DiscoveryError as error:
        told(error)
        return
    fine(answer.outgoing, answer.incoming)
    shown(answer.display_name, answer.redirect_address, *(answer.error or ()))
    assert (answer.redirect_url or "https://").lower().startswith("https://")


def v2(data: bytes) -> None:
    try:
        answer = autodiscover_v2.parse(data)
    except DiscoveryError as error:
        told(error)
        return
    shown(answer.protocol, *(answer.error or ()))
    assert (answer.url or "https://").lower().startswith("https://")


def pacc_json(data: bytes) -> None:
    try:
        answer = pacc.parse(data, address=ADDRESS)
    except DiscoveryError as error:
        told(error)
    else:
        fine(answer.outgoing, answer.incoming)
        shown(answer.display_name, answer.documentation)
    verdict = pacc.verify(data, [data.decode("latin-1"), data.decode("utf-8", "replace")])
    assert verdict is not pacc.Digest.MATCH


def txt(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    found = txt_value(text)
    assert len(found) <= len(text)
    quoted = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert txt_value(quoted) == text


def tree(data: bytes) -> None:
    """Whatever our reader takes, the standard one reads alike."""
    try:
        found = parse_json(data)
    except DiscoveryError as error:
        told(error)
        return
    assert _plain(found) == json.loads(data.decode("utf-8-sig"))


def _plain(value: Value) -> object:
    assert len(value.path) <= 1_000
    if isinstance(value.data, dict):
        return {name: _plain(member) for name, member in value.data.items()}
    if isinstance(value.data, list):
        return [_plain(item) for item in value.data]
    return value.data


def srv_records(data: bytes) -> None:
    records, errors = srv.parse_all(data.decode("utf-8", "replace").split("\n"))
    assert len(records) + len(errors) <= MAX_SERVERS
    for error in errors:
        told(error)
    for pick in (lambda n: 0, lambda n: n - 1):
        ordered = srv.order(records, pick)
        usable = [r for r in records if r.target != srv.NOT_OFFERED]
        assert sorted(map(repr, ordered)) == sorted(map(repr, usable))
        assert [r.priority for r in ordered] == sorted(r.priority for r in usable)
    fine(srv.offer(r, srv.SUBMISSIONS, ADDRESS) for r in records if r.target != srv.NOT_OFFERED)


def profile(data: bytes) -> None:
    try:
        payloads = mobileconfig.parse(data, address=ADDRESS)
    except DiscoveryError as error:
        told(error)
        return
    fine((p.offer for p in payloads), (p.incoming for p in payloads if p.incoming))
    shown(*(p.name for p in payloads))


def company(data: bytes) -> None:
    try:
        answer = organisation.parse(data, address=ADDRESS)
    except DiscoveryError as error:
        told(error)
        return
    assert answer.outgoing
    fine(answer.outgoing, answer.incoming)
    shown(answer.display_name, *answer.domains, *(d.url for d in answer.documentation))
