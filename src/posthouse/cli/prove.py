"""Runs one probe with live progress, and shows what it found.

Enters: the Screen, what is wanted, the options. Leaves: a ``ProbeResult``, its screen, its exit
code. Called by ``probe`` and ``setup``. A target that names no server was refused before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from posthouse.cli import account
from posthouse.cli.account import Account
from posthouse.cli.options import Session
from posthouse.cli.progress import Progress
from posthouse.cli.root import OK, PROBLEM, SIGN_IN_REFUSED, UNDETERMINED
from posthouse.cli.screen import Screen
from posthouse.cli.wiring import network
from posthouse.flow import Endpoint, Security, Status
from posthouse.setup.probe import Envelope, Net, Options, ProbeResult, probe
from posthouse.setup.probe import words as probe_words

# Refusals of the account, whatever the step: a script may ask for another password.
SIGN_IN: Final = (
    "auth.credentials",
    "auth.app_password",
    "auth.disabled",
    "auth.mechanism",
    "auth.temporary",
)
UNKNOWN: Final = ("dns_failed", "offline")  # verdicts that say nothing about the server


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to probe, as whom, with which envelope or test message."""

    place: Endpoint | str
    who: Account
    envelope: Envelope | None
    given: Mapping[str, Any]


def options(asked: Session, address: str) -> Options:
    """What every probe of this session goes by."""
    return Options(timeout=asked.timeout, ca_file=asked.ca_file, address=address)


def run(screen: Screen, wanted: Wanted, how: Options) -> ProbeResult:
    """The probe."""
    return asyncio.run(_probe(screen, wanted, how))


async def _probe(screen: Screen, wanted: Wanted, how: Options) -> ProbeResult:
    net = network(screen.session)
    given, words = wanted.given, screen.words
    envelope, message, back = account.test_of(given, wanted.who, words)
    progress = Progress(screen)
    mode = given.get("security")
    with progress.running(words.text("screen.probe.running", server=str(wanted.place))):
        return await probe(
            wanted.place,
            Net(net.resolver, net.dialer, net.clock, net.http),
            port=given.get("port"),
            security=Security(mode) if mode else None,
            login=account.login(wanted.who),
            envelope=envelope or wanted.envelope,
            message=message,
            fetch_back=back,
            options=how,
            observer=progress,
        )


def exit_code(result: ProbeResult) -> int:
    """What the verdict means to a script."""
    verdict = result.verdict
    if verdict.status in (Status.OK, Status.WARN):
        return PROBLEM if any(f.status is Status.FAIL for f in result.findings) else OK
    if verdict.cause in SIGN_IN:
        return SIGN_IN_REFUSED
    return UNDETERMINED if verdict.id in UNKNOWN else PROBLEM


def show(screen: Screen, result: ProbeResult, *, details: bool) -> None:
    """The verdict, what to do, and (``details``) all that was seen."""
    screen.blank()
    verdict(screen, result)
    noticed = [f for f in result.findings if details or f.status is not Status.OK]
    if noticed:
        screen.blank()
    for finding in noticed:
        screen.mark(finding.status, probe_words.finding_text(finding, screen.session.lang))
    if details or not (result.tls is None or result.tls.trusted):
        _certificates(screen, result)
    if details:
        _extensions(screen, result)
    _neighbours(screen, result)


def verdict(screen: Screen, result: ProbeResult) -> None:
    """The one sentence, and the remedy."""
    lang = screen.session.lang
    screen.mark(result.verdict.status, probe_words.headline(result, lang), bold=True)
    steps = [line for line in probe_words.remedy(result, lang).splitlines() if line.strip()]
    for step in steps:
        screen.hanging("→", step)


def _certificates(screen: Screen, result: ProbeResult) -> None:
    session = result.tls
    if session is None or session.leaf is None:
        return
    leaf, words = session.leaf, screen.words
    screen.heading("screen.certificate.title")
    names = words.text("causes.word.comma").join(leaf.names[:8]) or leaf.subject
    rows = [
        ("names", names),
        ("issuer", leaf.issuer),
        ("valid", f"{leaf.not_before.date()} … {leaf.not_after.date()}"),
        ("key", f"{leaf.key} {leaf.key_bits}, {leaf.signature_hash}"),
        ("fingerprint", leaf.sha256),
    ]
    screen.table([(words.text(f"screen.certificate.{name}"), value) for name, value in rows])


def _extensions(screen: Screen, result: ProbeResult) -> None:
    if not result.extensions:
        return
    screen.heading("screen.probe.extensions")
    screen.table(
        [
            (f"{keyword} {value}".strip(), probe_words.extension_text(keyword, screen.session.lang))
            for keyword, value in result.extensions.items()
        ]
    )


def _neighbours(screen: Screen, result: ProbeResult) -> None:
    if not result.neighbours:
        return
    words, lang = screen.words, screen.session.lang
    screen.heading("screen.probe.around")
    screen.table(
        [
            (
                f"{seen.endpoint.host}:{seen.endpoint.port}",
                words.text(f"screen.mode.{seen.endpoint.security}"),
                probe_words.state_text(seen.state.value, lang),
                seen.protocol.upper() if seen.protocol else "",
            )
            for seen in result.neighbours
        ]
    )
