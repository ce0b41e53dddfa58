"""Do an address and a server belong together?

Enters: an address and the host somebody wants to log in to with it. Leaves: None, or the id of the
finding to show before a password goes to the wrong company. Nothing fails; what is unknown is None.
"""

from __future__ import annotations

from typing import Final

from posthouse.directory import pattern
from posthouse.directory.index import committed
from posthouse.directory.model import Kind, Provider
from posthouse.directory.read import read

OTHER_PROVIDER: Final = "pairing.other_provider"


def pairing(address: str, host: str) -> str | None:
    """``pairing.other_provider`` where the address is known to be no account of that server.

    A sending service takes any verified sender, and a company's own domain may lie with anybody:
    both are None.
    """
    of_address = committed().by_domain(address.rpartition("@")[2])
    of_host = committed().by_host(host)
    if of_address is None or of_host is None or of_address == of_host:
        return None
    if read(of_host).kind is Kind.SERVICE or _serves(read(of_address), pattern.normal(host)):
        return None
    return OTHER_PROVIDER


def _serves(provider: Provider, host: str) -> bool:
    names = {server.endpoint.host for server in provider.servers} | set(provider.also_hosts)
    return pattern.best(names, host) is not None
