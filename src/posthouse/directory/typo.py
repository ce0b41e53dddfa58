"""Did you mean ...? For mistyped mail domains and server names.

Enters: a domain or a host as typed. Leaves: the one that was probably meant, or None. Callers:
``find`` (before DNS is asked in vain), ``explain`` (NXDOMAIN). Nothing fails. A false alarm is
worse than silence: whatever is known to be real is never corrected, and the shorter a name is, the
less may differ. The lists are data: ``typo.toml``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Final

from posthouse.directory import pattern
from posthouse.directory.index import committed
from posthouse.directory.read import read

LONGEST: Final = 253  # RFC 1035 section 2.3.4: no host name is longer, so none is looked at
SHORT: Final = 4  # up to here every other name of that length is taken by somebody
TINY: Final = 3  # and here every permutation of it, too
LONG: Final = 8  # from here two slips are still likelier than another real name
FAR: Final = 9  # "not a typo of this"


@dataclass(frozen=True, slots=True)
class _Lists:
    popular: tuple[str, ...]
    real: frozenset[str]
    tld: Mapping[str, tuple[str, ...]]
    service: Mapping[str, tuple[str, ...]]


@cache
def _lists() -> _Lists:
    data = tomllib.loads(Path(__file__).with_name("typo.toml").read_text("utf-8"))
    return _Lists(tuple(data["popular"]), frozenset(data["real"]), data["tld"], data["service"])


def suggest_domain(domain: str) -> str | None:
    """The popular domain that was probably meant; None where the domain is fine or unlike any."""
    typed = pattern.normal(domain)
    name = typed.replace(",", ".")
    if not 0 < len(name) <= LONGEST or _is_real(name):
        return name if name != typed and len(name) <= LONGEST else None
    near = min(_lists().popular, key=lambda known: _distance(name, known))  # the earlier on a tie
    return near if _distance(name, near) < FAR else None


def suggest_host(host: str, *, domain: str | None = None) -> str | None:
    """The outgoing host that was probably meant.

    ``domain`` is that of the user's address, which may be the key to it: smtp.example.net is a slip
    where the address is at example.com. An incoming host (imap., pop.) of a known provider, or a
    made-up one (mail.gmail.com), leads to the provider's outgoing host.
    """
    typed = pattern.normal(host)
    name = typed.replace(",", ".")
    if not 0 < len(name) <= LONGEST:
        return None
    if committed().by_host(name) is not None:
        return name if name != typed else None
    return (
        _of_the_tenant(name)
        or _sibling(name)
        or _near_host(name)
        or _of_its_domain(name)
        or _of_the_address(name, domain)
    )


def _is_real(domain: str) -> bool:
    return domain in _lists().real or committed().by_domain(domain) is not None


def _of_the_tenant(name: str) -> str | None:
    """The outgoing host of the company mail service whose incoming host was given."""
    found = committed().by_mx(name)
    return None if found is None else _first_host(found[0])


def _sibling(name: str) -> str | None:
    """imap.X, pop.X or mail.X, where smtp.X is a known host."""
    return _offered_host(f"smtp.{name.partition('.')[2]}")


def _offered_host(host: str) -> str | None:
    """A known host, or for one of its older names the host offered today."""
    provider_id = committed().by_host(host)
    if provider_id is None:
        return None
    offered = {server.endpoint.host for server in read(provider_id).offered}
    return host if host in offered else _first_host(provider_id)


def _first_host(provider_id: str) -> str | None:
    offered = read(provider_id).offered
    return offered[0].endpoint.host if offered else None


def _near_host(name: str) -> str | None:
    """A known host whose labels differ by no more than slips."""
    known = (host for host in committed().host if "*" not in host and "." in host)
    near = min(known, key=lambda host: _host_distance(name, host))
    return _offered_host(near) if _host_distance(name, near) < FAR else None


def _host_distance(name: str, known: str) -> int:
    typed_service, _, typed_rest = name.partition(".")
    service, _, rest = known.partition(".")
    if typed_service in _lists().service.get(service, ()):
        return 0 if typed_rest == rest else _distance(typed_rest, rest)
    return _distance(name, known) if typed_service == service else FAR


def _of_its_domain(name: str) -> str | None:
    """The outgoing host of the mail domain right above the name, be that mistyped or not.

    Right above only: any.thing.qq.com need not belong to the mailboxes of qq.com.
    """
    above = name.partition(".")[2]
    meant = above if _is_real(above) else suggest_domain(above)
    provider_id = committed().by_domain(meant) if meant else None
    return None if provider_id is None else _first_host(provider_id)


def _of_the_address(name: str, domain: str | None) -> str | None:
    """The same host under the domain of the address, where that is what was mistyped."""
    if domain is None:
        return None
    own, above = pattern.normal(domain), name.partition(".")[2]
    if above != own and above.count(".") == own.count(".") > 0 and _slips_apart(above, own):
        return f"{name.partition('.')[0]}.{own}"
    return None


def _slips_apart(above: str, own: str) -> bool:
    """Same name under another top-level domain, or within the distance its length allows."""
    return above.rpartition(".")[0] == own.rpartition(".")[0] or _distance(above, own) < FAR


def _distance(typed: str, known: str) -> int:
    """Slips between two domains, label by label; FAR where they are more than likely slips."""
    if "." not in typed:
        return 1 if typed == known.replace(".", "") else FAR  # the dot was forgotten
    typed_labels, labels = typed.split("."), known.split(".")
    if len(typed_labels) != len(labels):
        return FAR
    total = sum(map(_label_distance, typed_labels[:-1], labels[:-1]))
    if typed_labels[-1] != labels[-1]:
        total += 1 if typed_labels[-1] in _lists().tld.get(labels[-1], ()) else FAR
    return total if 0 < total <= _allowed(max(labels[:-1], key=len)) + 1 else FAR


def _label_distance(typed: str, label: str) -> int:
    if typed == label:
        return 0
    slips = edits(typed, label, limit=2)
    if len(label) <= SHORT:
        swapped = slips == 1 and len(label) > TINY and sorted(typed) == sorted(label)
        return 1 if swapped else FAR
    return slips if slips <= _allowed(label) and _begins_alike(typed, label) else FAR


def _allowed(label: str) -> int:
    return 2 if len(label) >= LONG else 1


def _begins_alike(typed: str, label: str) -> bool:
    """A first letter is seldom wrong: "email" and "ymail" are no slips of "gmail"."""
    return len(label) >= LONG - 1 or typed[:1] == label[0] or typed[:2] == label[1] + label[0]


def edits(one: str, other: str, *, limit: int) -> int:
    """Insertions, deletions, substitutions and swaps of neighbours from one to the other.

    That is the Damerau-Levenshtein distance (optimal string alignment), bounded: ``limit`` + 1
    stands for anything above the limit. Common ends are cut off first, as slips are few.
    """
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    one, other = one[same:], other[same:]
    before: list[int] = []
    last = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        line = [row]
        for column, wanted in enumerate(other, 1):
            best = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != wanted))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == wanted:
                best = min(best, before[column - 2] + 1)
            line.append(best)
        before, last = last, line
    return min(last[-1], limit + 1)
