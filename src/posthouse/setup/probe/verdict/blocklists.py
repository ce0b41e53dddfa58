"""Block lists by the names servers quote, and where one asks to be taken off.

Enters: a server's words. Leaves: the list, or None. Facts with their owners' own pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Blocklist:
    """One DNS block list."""

    name: str
    words: tuple[str, ...]  # lower case; any of them in a reply names the list
    delist: str
    known_as: str = ""  # its id in directory.blocklists, where it can be asked by DNS


# The first that fits wins, so the special stands before the general.
BLOCKLISTS: Final = (
    Blocklist("Spamhaus", ("spamhaus",), "https://check.spamhaus.org/", "spamhaus-zen"),
    Blocklist(
        "Barracuda",
        ("barracuda", "b.barracudacentral"),
        "https://www.barracudacentral.org/lookups",
        "barracuda",
    ),
    Blocklist("SpamCop", ("spamcop",), "https://www.spamcop.net/bl.shtml", "spamcop"),
    Blocklist(
        "UCEPROTECT",
        ("uceprotect",),
        "https://www.uceprotect.net/en/rblcheck.php",
        "uceprotect-1",
    ),
    Blocklist("Mailspike", ("mailspike",), "https://mailspike.org/iplookup.html", "mailspike-bl"),
    Blocklist("Invaluement", ("invaluement",), "https://www.invaluement.com/lookup/"),
    Blocklist("Abusix", ("abusix",), "https://lookup.abusix.com/"),
    Blocklist("SURBL", ("surbl",), "https://surbl.org/surbl-analysis"),
    Blocklist("PSBL", ("psbl.surriel", "psbl"), "https://psbl.org/", "psbl"),
    Blocklist("DroneBL", ("dronebl",), "https://dronebl.org/lookup", "dronebl"),
    Blocklist(
        "Trend Micro", ("mail-abuse", "trendmicro"), "https://servicecentral.trendmicro.com/"
    ),
    Blocklist("Proofpoint", ("proofpoint",), "https://ipcheck.proofpoint.com/"),
    Blocklist("Cloudmark", ("cloudmark",), "https://csi.cloudmark.com/en/reset/"),
    Blocklist("Microsoft", ("sender.office.com", "delist@microsoft"), "https://sender.office.com/"),
)


def blocklist_in(text: str) -> Blocklist | None:
    """The list that a server's words name."""
    words = text.lower()
    return next((b for b in BLOCKLISTS if any(word in words for word in b.words)), None)
