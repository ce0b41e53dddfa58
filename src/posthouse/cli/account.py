"""Whose account is used for what: options of ``probe`` and ``setup``, and what is made of them.

Enters: what click parsed, the server that is meant. Leaves: ``Login``, ``Envelope``,
``TestMessage`` and ``FetchBack`` for the probe. Fails with click's usage errors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from posthouse import directory
from posthouse.explain import Catalogue
from posthouse.flow import CredentialKind, Secret
from posthouse.protocol.server_input import ServerError, parse_server
from posthouse.setup.probe import Envelope, FetchBack, Login, TestMessage

# AWS: an IAM secret access key has 40 characters of base64; an SMTP password has 44.
_IAM_SECRET: Final = re.compile(r"[A-Za-z0-9/+]{40}")
_SES_HOST: Final = re.compile(r"email-smtp(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com")
IMAPS: Final = 993


@dataclass(frozen=True, slots=True)
class Account:
    """What is known of the account: the address it sends as, the user name, the secret."""

    address: str
    username: str
    secret: Secret | None
    kind: CredentialKind
    derived: bool = False  # the secret was made of an IAM secret key


def options(words: Catalogue) -> list[click.Parameter]:
    """The options about an account and a test message."""

    def text(name: str) -> str:
        return words.text(f"cli.option.{name}")

    return [
        click.Option(["--user"], metavar="NAME", help=text("user")),
        click.Option(["--password-file"], metavar="FILE", help=text("password_file")),
        click.Option(["--oauth"], is_flag=True, help=text("oauth")),
        click.Option(["--send-test"], metavar="ADDRESS", help=text("send_test")),
        click.Option(["--imap"], metavar="HOST[:PORT]", help=text("imap")),
    ]


def account(address: str, username: str, secret: Secret | None, host: str, oauth: bool) -> Account:
    """The account; for SES an IAM secret key is turned into the SMTP password it stands for."""
    kind = CredentialKind.OAUTH2 if oauth else CredentialKind.UNKNOWN
    region = _SES_HOST.fullmatch(host)
    if secret is None or region is None or not _IAM_SECRET.fullmatch(secret.reveal()):
        return Account(address, username, secret, kind)
    from posthouse.directory import ses

    try:
        made = ses.password(secret, region[1], key_id=username)
    except ses.SesError:
        return Account(address, username, secret, kind)
    return Account(address, username, made, kind, derived=True)


def login(who: Account) -> Login | None:
    """The one try to sign in, where there is a secret for it."""
    if who.secret is None:
        return None
    return Login(who.username, who.secret, who.kind, address=who.address)


def save(words: Catalogue, secret: Secret, path: str) -> None:
    """Write a secret to a new file that only its owner can read."""
    import os

    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(secret.reveal() + "\n")
    except OSError:
        raise click.ClickException(words.text("cli.error.write_file", path=path)) from None


def test_of(
    given: Mapping[str, Any], who: Account, words: Catalogue
) -> tuple[Envelope | None, TestMessage | None, FetchBack | None]:
    """The test message that is asked for, and where it is to be fetched back."""
    recipient = given.get("send_test")
    if not recipient:
        return None, None, None
    envelope = Envelope(who.address, (recipient,))
    return envelope, TestMessage(lang=words.lang), fetch_back(given.get("imap"), who, words)


test_of.__test__ = False  # type: ignore[attr-defined]  # not a test case, whatever its name


def fetch_back(imap: str | None, who: Account, words: Catalogue) -> FetchBack | None:
    """Where to look for the test message."""
    if not imap or who.secret is None:
        return None
    try:
        server = parse_server(imap)
    except ServerError:
        raise click.UsageError(words.text("cli.error.imap_form")) from None
    return FetchBack(server.host, who.username, who.secret, server.port or IMAPS)


def username_for(address: str, host: str, given: str | None) -> str:
    """As given; else as the provider of the host wants it; "" where only its page can tell."""
    if given:
        return given
    provider = directory.by_host(host)
    return (provider.username.for_address(address) or "") if provider and address else address


def organisation_file(given: Mapping[str, Any]) -> Path | None:
    """The file of ``--profile``."""
    return Path(given["profile"]) if given.get("profile") else None
