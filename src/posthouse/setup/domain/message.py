"""One received mail, explained: who sent it, what was proven, and why it went where it went.

Enters: the mail as bytes (.eml), ``Net``, and what the caller knows better than its header. Leaves:
``MessageReport``. Called by the command line. All is checked anew from DNS, as of now: a key that
was taken away since makes a good signature fail, and the finding says so. Nothing fails.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.flow import Finding
from posthouse.protocol import arc, dkim, dmarc, psl, spf
from posthouse.protocol.dmarc import Verdict as DmarcVerdict
from posthouse.protocol.host import parse_ip
from posthouse.setup.domain.checks.common import items
from posthouse.setup.domain.hop import Hop, receiving_hop
from posthouse.setup.domain.message_findings import Proven, Told, findings
from posthouse.setup.domain.model import Item, Net, Options, Verdict, worst
from posthouse.setup.domain.sample import Sample, Unsubscribe, read_sample, wire
from posthouse.setup.domain.scene import Scene


@dataclass(frozen=True, slots=True)
class Known:
    """What the caller knows of the mail. ``own``: names or domains of the reader's servers."""

    ip: str = ""
    helo: str = ""
    mail_from: str | None = None
    own: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)  # its limits count


@dataclass(frozen=True, slots=True)
class MessageReport:
    """All there is to say about one mail."""

    authors: tuple[str, ...]
    hop: Hop
    spf: spf.Result | None  # None: nobody knows the client's address
    dkim: dkim.Verification
    arc: arc.ArcResult
    dmarc: DmarcVerdict
    before: DmarcVerdict  # the same by RFC 7489
    told: tuple[Told, ...]
    unsubscribe: Unsubscribe
    items: tuple[Item, ...]

    @property
    def verdict(self) -> Verdict:
        """That of the worst finding."""
        return worst([item.verdict for item in self.items])


async def explain_message(raw: bytes, net: Net, known: Known | None = None) -> MessageReport:
    """Check it all again, and read what others wrote about it."""
    known = known or Known()
    scene = Scene("", net, known.options)
    try:
        sample = await scene.run(read_sample(raw, net.clock.now()))
        hop = receiving_hop(
            sample.headers,
            own=known.own,
            ip=known.ip,
            helo=known.helo,
            mail_from=known.mail_from,
        )
        checked = await _spf(scene, hop)
        chain = await scene.run(arc.verify(wire(raw), oldest=True))
        compared = await scene.run(
            dmarc.compare(
                psl.default_list(), sample.authors, _envelope(hop, checked), _signed(sample)
            )
        )
        return _report(scene, Proven(sample, hop, checked, chain, compared))
    finally:
        await scene.close()


async def _spf(scene: Scene, hop: Hop) -> spf.Result | None:
    if parse_ip(hop.ip) is None or (hop.mail_from is None and not hop.helo):
        return None
    sender = hop.mail_from if hop.mail_from is not None else ""
    now = int(scene.net.clock.now().timestamp())
    return await scene.run(spf.check_mail(hop.ip, sender, hop.helo, now=now))


def _envelope(hop: Hop, checked: spf.Result | None) -> dmarc.Spf | None:
    if checked is None:
        return None
    domain = (hop.mail_from or "").rpartition("@")[2] or hop.helo
    return dmarc.Spf(domain, checked.code.value)


def _signed(sample: Sample) -> list[dmarc.Dkim]:
    # a domain that only tries DKIM out (t=y) has not signed (RFC 6376 section 3.6.1)
    return [
        dmarc.Dkim(
            one.domain,
            "neutral" if one.passed and one.testing else one.code.value,
            one.selector,
        )
        for one in sample.dkim.results
    ]


def _report(scene: Scene, mail: Proven) -> MessageReport:
    verdict = mail.compared.now
    return MessageReport(
        mail.sample.authors,
        mail.hop,
        mail.checked,
        mail.sample.dkim,
        mail.chain,
        verdict,
        mail.compared.before,
        mail.told,
        mail.sample.unsubscribe,
        _items(scene, findings(mail), verdict),
    )


def _items(scene: Scene, found: Sequence[Finding], verdict: DmarcVerdict) -> tuple[Item, ...]:
    owner = verdict.discovery.domain if verdict.discovery is not None else ""
    made: list[Item] = []
    for each in found:
        params = each.params
        where = {
            "domain.message_spf": [(str(params.get("domain", "")), "TXT")],
            "domain.message_dkim": [
                (f"{params.get('selector')}._domainkey.{params.get('domain')}", "TXT")
            ],
            "domain.message_dmarc": [(f"_dmarc.{owner}", "TXT")],
        }
        head = "_".join(each.id.split("_")[:2])
        made += items("message", [each], scene, where=where.get(head, []))
    return tuple(made)
