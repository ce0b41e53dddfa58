"""directory: what is known about providers of outgoing mail, as small TOML facts.

Enters: a domain, an MX, NS or SMTP host, a provider id. Leaves: frozen ``Provider`` facts with
their sources, dates and trust. ``setup.find`` asks for settings, ``explain`` for a provider's own
remedy. One file a provider lies in ``providers/``; ``index.tsv`` is made from them by
``scripts/directory index``. Answers need no network; only an unknown id fails (KeyError).
"""

from __future__ import annotations

from posthouse.directory.index import committed
from posthouse.directory.model import (
    Credential,
    End,
    Kind,
    Limits,
    Pattern,
    Provider,
    Server,
    Source,
    TenantMatch,
    Trust,
    UsernameForm,
    UsernameRule,
)
from posthouse.directory.read import read

__all__ = [
    "Credential",
    "End",
    "Kind",
    "Limits",
    "Pattern",
    "Provider",
    "Server",
    "Source",
    "TenantMatch",
    "Trust",
    "UsernameForm",
    "UsernameRule",
    "by_domain",
    "by_host",
    "by_mx",
    "by_ns",
    "ids",
    "load",
    "pairing",
    "suggest_domain",
    "suggest_host",
]


def ids() -> tuple[str, ...]:
    """The ids of all providers, sorted."""
    return committed().ids


def load(provider_id: str) -> Provider:
    """The provider of that id. KeyError where there is none."""
    if provider_id not in ids():  # also keeps a hostile "../x" away from the file system
        raise KeyError(provider_id)
    return read(provider_id)


def by_domain(domain: str) -> Provider | None:
    """The provider of addresses under this domain."""
    return _loaded(committed().by_domain(domain))


def by_host(smtp_host: str) -> Provider | None:
    """The provider whose outgoing server has this name; where several share it, its owner."""
    return _loaded(committed().by_host(smtp_host))


def by_ns(ns_host: str) -> Provider | None:
    """The provider that usually goes with this name server: no more than a hint."""
    return _loaded(committed().by_ns(ns_host))


def by_mx(mx_host: str) -> TenantMatch | None:
    """The provider that takes in the mail of a domain with this MX, by the most specific rule."""
    found = committed().by_mx(mx_host)
    if found is None:
        return None
    provider = load(found[0])
    trust = next(rule.trust for rule in provider.mx if rule.pattern == found[1])
    return TenantMatch(provider, found[1], trust)


def pairing(address: str, host: str) -> str | None:
    """See ``pair``; imported late, as few questions need it."""
    from posthouse.directory import pair

    return pair.pairing(address, host)


def suggest_domain(domain: str) -> str | None:
    """The well-known domain that was probably meant, or None. See ``typo``."""
    from posthouse.directory import typo

    return typo.suggest_domain(domain)


def suggest_host(host: str, *, domain: str | None = None) -> str | None:
    """The outgoing host that was probably meant, or None. See ``typo``."""
    from posthouse.directory import typo

    return typo.suggest_host(host, domain=domain)


def _loaded(provider_id: str | None) -> Provider | None:
    return None if provider_id is None else load(provider_id)
