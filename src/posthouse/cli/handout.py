"""Hands a profile out: to the screen, to a pipe, to files; or says why there is none.

Enters: what was found and proved, the client that is asked for. Leaves: files with the modes they
need, steps in the user's language, the exit code. Files that exist are not overwritten. On a pipe
stdout is the file alone, so that ``posthouse profile A --for msmtp > .msmtprc`` does what it says.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from posthouse.cli.root import OK, PROBLEM, USAGE
from posthouse.cli.screen import Screen
from posthouse.flow import CredentialKind, Security, Status
from posthouse.protocol.discovery.offer import Incoming
from posthouse.setup import profile
from posthouse.setup.find import FindResult
from posthouse.setup.profile import Client, Level, Profile, Settings

if TYPE_CHECKING:
    from posthouse.cli.wizard import Choice

STATUSES: Final[Mapping[Level, Status]] = {
    Level.INFO: Status.OK,
    Level.WARN: Status.WARN,
    Level.FAIL: Status.FAIL,
}


def client(screen: Screen, name: str) -> Client:
    """The client of that name; else a usage error with the one that was probably meant."""
    try:
        return profile.find_client(name)
    except profile.UnknownClient as error:
        near = error.suggestion or ""
        text = screen.words.text("cli.error.client_unknown", client=name, near=near)
        raise click.UsageError(text) from None


def settings(
    screen: Screen, found: FindResult, choice: Choice | None, given: Mapping[str, Any]
) -> Settings | int:
    """What was proved, else what was found, as the makers want it."""
    best = choice.candidate if choice else found.candidates[0]
    first = choice.endpoint if choice else best.endpoint
    others = [c.endpoint for c in found.candidates if c.endpoint.host == best.endpoint.host]
    offered = choice.result.extensions.get("AUTH", "").split() if choice else []
    try:
        return Settings(
            address=found.address,
            outgoing=tuple(dict.fromkeys((first, *others))),
            username=given.get("user") or best.username,
            credential=CredentialKind.OAUTH2 if given.get("oauth") else best.credential,
            auth=tuple(offered) or best.auth,
            incoming=_incoming(found),
            display_name=given.get("display_name") or "",
            ca_pem=_ca(screen),
            exchange=any(f.id == "exchange_account" for f in found.findings),
        )
    except profile.SettingsError as error:
        screen.problem(profile.error_text(error, screen.session.lang))
        return USAGE


def _incoming(found: FindResult) -> Incoming | None:
    """The server for reading mail: IMAP rather than POP3, never without encryption."""
    secure = [one for one in found.incoming if one.security is not Security.NONE]
    return next((one for one in secure if one.protocol == "imap"), None) or next(
        (one for one in secure if one.protocol == "pop3"), None
    )


def _ca(screen: Screen) -> str:
    """The authority of ``--ca-file``: whoever uses the settings must trust it as well."""
    path = screen.session.ca_file
    return Path(path).read_text("utf-8", "replace") if path else ""


def make(
    screen: Screen, client_id: str, known: Settings | int, given: Mapping[str, Any]
) -> Profile | int:
    """The profile, or the exit code where it can't be made."""
    if isinstance(known, int):
        return known
    try:
        return profile.make(client_id, known, screen.session.lang, signer=_signer(screen, given))
    except profile.CertificateError as error:
        screen.problem(profile.error_text(error, screen.session.lang))
        return USAGE


def _signer(screen: Screen, given: Mapping[str, Any]) -> profile.Signer | None:
    paths = given.get("sign_cert"), given.get("sign_key")
    if not any(paths):
        return None
    contents = []
    for path in paths:
        try:
            contents.append(Path(path or "").read_bytes())
        except OSError:
            text = screen.words.text("cli.error.read_file", path=path or "--sign-cert, --sign-key")
            raise click.ClickException(text) from None
    return profile.Signer(*contents)


def give(screen: Screen, made: Profile, out: str | None, *, alone: bool = True) -> int:
    """Print or write everything. The exit code is 1 where the client can't work with it.

    ``alone``: nothing else goes to stdout, so that on a pipe it is the file itself.
    """
    written = write(screen, made, out) if out and made.files else {}
    if screen.session.json:
        screen.json({**profile.to_dict(made), "written": dict(written)})
    else:
        _show(screen, made, written, alone=alone)
    return OK if made.usable else PROBLEM


def write(screen: Screen, made: Profile, out: str) -> dict[str, str]:
    """Write the files: one to ``out`` itself, several into the folder ``out``. name -> path."""
    target = Path(out)
    several = len(made.files) > 1 or target.is_dir() or out.endswith(os.sep)
    written = {}
    for file in made.files:
        path = target / file.name.lstrip("/") if several else target
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode)
            with os.fdopen(number, "wb") as stream:
                stream.write(file.content)
        except OSError:
            text = screen.words.text("cli.error.write_file", path=str(path))
            raise click.ClickException(text) from None
        written[file.name] = str(path)
    return written


def _show(screen: Screen, made: Profile, written: Mapping[str, str], *, alone: bool) -> None:
    words = screen.words
    piped = alone and not sys.stdout.isatty() and len(made.files) == 1 and not written
    if piped:  # the file alone: everything else goes to stderr
        sys.stdout.flush()
        sys.stdout.buffer.write(made.files[0].content)
        sys.stdout.buffer.flush()
        screen = screen.aside()
    screen.say(
        words.text("screen.profile.heading", client=made.client.name(made.lang)), style="bold"
    )
    for note in made.notes:
        screen.mark(STATUSES[note.level], note.text, indent=2)
    if made.steps:
        screen.heading("screen.profile.steps")
    for number, step in enumerate(made.steps, 1):
        screen.hanging(f"{number}.", step)
    for name, path in written.items():
        screen.mark(Status.OK, words.text("screen.profile.written", name=name, path=path))
    if not (piped or written):
        _contents(screen, made)


def _contents(screen: Screen, made: Profile) -> None:
    """What is to be read or copied: the text, where there is one, else the files."""
    if made.text:
        screen.blank()
        screen.verbatim(made.text)
        if made.files:
            names = ", ".join(file.name for file in made.files)
            screen.blank()
            screen.say(screen.words.text("screen.profile.files", names=names), style="dim")
        return
    for file in made.files:
        place = file.place or file.name
        key = "screen.profile.add_to" if file.append else "screen.profile.file"
        screen.heading(key, place=place)
        screen.verbatim(_printable(file.content))


def _printable(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return f"({len(content)} bytes)"
