"""What a domain has to publish so that its mail is believed: ``posthouse domain records``.

    inventory = read_file(Path("senders.toml"))      # or from_options("example.com", ...)
    inventory = await with_certificates(inventory, net)        # optional: connects for DANE
    served = await served_policy(inventory.domain, net)        # optional: fetches MTA-STS
    reports, unread = read_folder(Path("reports"))   # optional: gates DMARC and -all
    made = await propose(inventory, resolver, now, reports=reports, unread=unread, served=served)
    text(made, "zh"); zone(made); diff(made); to_dict(made, "zh"); exit_code(made)
    trend_text(trend(reports, since=day), "zh")      # whether fewer messages fail since then
    made.entries, made.changes, made.files, made.elsewhere, made.findings, made.uncovered

Enters: an inventory of who sends for the domain and which servers it has (``read`` has the form of
the file), what DNS answers now, aggregate reports, the time. Leaves: a ``Plan``: each record with
what is live, what to do (add, change, remove, same), why, and in which order; the files that a web
server has to show; records that others must publish; findings. ``plan`` is the same as a query that
asks nobody itself. Carried out and made again, a plan has nothing left to do.

Fails with InventoryError (its ``reason`` has words at "records.inventory.<reason>", filled with
``key`` and ``detail``; ``line`` is where), OSError for a folder that can't be read. What DNS does
not answer is "unknown" in the plan, and nothing is proposed there. Keys are in ``domain.keys``.
RFC 1035, 6186, 6376, 7208, 7672, 8314, 8460, 8461, 9989, 9990.
"""

from posthouse.setup.domain.records.inventory import (
    Inventory,
    InventoryError,
    Selector,
    Service,
    from_options,
)
from posthouse.setup.domain.records.model import (
    FINDING_IDS,
    Change,
    Cover,
    Entry,
    File,
    Plan,
    Record,
    SpfSummary,
    Stage,
)
from posthouse.setup.domain.records.plan import plan, steps
from posthouse.setup.domain.records.propose import propose
from posthouse.setup.domain.records.read import read, read_file
from posthouse.setup.domain.records.render import diff, exit_code, text, to_dict, trend_text, zone
from posthouse.setup.domain.records.reports import Unread, read_folder
from posthouse.setup.domain.records.served import served_policy, with_certificates
from posthouse.setup.domain.records.trend import Trend, trend

__all__ = [
    "FINDING_IDS",
    "Change",
    "Cover",
    "Entry",
    "File",
    "Inventory",
    "InventoryError",
    "Plan",
    "Record",
    "Selector",
    "Service",
    "SpfSummary",
    "Stage",
    "Trend",
    "Unread",
    "diff",
    "exit_code",
    "from_options",
    "plan",
    "propose",
    "read",
    "read_file",
    "read_folder",
    "served_policy",
    "steps",
    "text",
    "to_dict",
    "trend",
    "trend_text",
    "with_certificates",
    "zone",
]
