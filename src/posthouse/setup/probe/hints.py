"""What looks odd about an account before it is used: a hint costs nothing, a locked account does.

Enters: the login and the host. Leaves: findings, whose ids without "username_" and "password_" are
the hints of the verdict. Nothing here sees the network; the secret is looked at and not kept.
"""

from __future__ import annotations

from typing import Final

from posthouse import directory
from posthouse.directory import Provider, UsernameForm, beside
from posthouse.flow import CredentialKind, Finding, Status
from posthouse.setup.probe.facts import Login

RECIPIENTS_READ: Final = 20  # a longer list of remarks helps nobody
CAUSE: Final = "auth.credentials"


def odd(login: Login, host: str) -> tuple[Finding, ...]:
    """Everything that looks wrong with user name and password; () where all looks well."""
    secret = login.secret.reveal()
    provider = directory.by_host(host)
    found = []
    if "%40" in login.username and "@" not in login.username:
        found.append(_warn("username_percent_at", login))
    elif login.username.count(":") and secret and secret in login.username.split(":", 1)[1]:
        found.append(_warn("username_colon", login))
    elif "@" not in login.username and _wants_address(provider):
        found.append(_warn("username_local_part", login))
    elif "@" in login.username and provider and provider.username.form is UsernameForm.LOCAL:
        found.append(_warn("username_full_address", login))
    if secret != secret.strip():
        found.append(_warn("password_blanks", login))
    if login.kind is not CredentialKind.OAUTH2 and not (login.username + secret).isascii():
        found.append(_warn("password_non_ascii", login))
    return tuple(found)


def _wants_address(provider: Provider | None) -> bool:
    return provider is None or provider.username.form is UsernameForm.ADDRESS


def _warn(id_: str, login: Login) -> Finding:
    return Finding(id_, Status.WARN, CAUSE, {"username": shown(login)})


def shown(login: Login) -> str:
    """The user name, without the password that was pasted along with it."""
    secret = login.secret.reveal()
    return login.username.replace(secret, "***") if secret else login.username


def pairing(login: Login, host: str) -> Finding | None:
    """A mailbox provider's account given to another provider's server."""
    address = login.address or login.username
    if "@" not in address or directory.pairing(address, host) is None:
        return None
    theirs, ours = directory.by_host(host), directory.by_domain(address.rpartition("@")[2])
    params = {
        "username": shown(login),
        "account_provider": ours.id if ours else "?",
        "server_provider": theirs.id if theirs else "?",
    }
    return Finding("pairing", Status.WARN, CAUSE, params)


def recipients(addresses: tuple[str, ...]) -> tuple[Finding, ...]:
    """Recipients that are no person: thrown away after use, or a task's (RFC 2142)."""
    found = []
    for address in dict.fromkeys(addresses[:RECIPIENTS_READ]):
        local, _, domain = address.rpartition("@")
        params = {"recipient": address}
        if beside.is_disposable(domain):
            found.append(Finding("recipient_disposable", Status.WARN, None, params))
        elif beside.is_role(local):
            found.append(Finding("recipient_role", Status.OK, None, params))
    return tuple(found)


def short(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    """The hints by the names that the verdict's rules know."""
    return tuple(f.id.removeprefix("username_").removeprefix("password_") for f in findings)
