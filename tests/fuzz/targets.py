"""The table of fuzz targets: one for every parser that reads what strangers send.

A target takes any bytes. It returns, or the parser is broken: the errors a parser documents are
caught in the target, everything else comes through, and so do broken invariants. A new parser
gets a row here; ``test_targets`` runs every row, ``scripts/fuzz NAME`` runs one for longer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from fuzz import (
    handing,
    login,
    mail,
    names,
    nexthop,
    policies,
    reading,
    relay,
    reports,
    seeds,
    senders,
    settings,
    signatures,
    smtp,
    submit,
    wires,
)


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: what to call, and what it likes to read."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]
    examples: int = 60  # of hypothesis in a normal run; fewer for slow parsers

    def __call__(self, data: bytes) -> None:
        self.check(data)


TARGETS: Mapping[str, Target] = {
    # protocol.smtp
    "smtp.client": Target(smtp.client, [bytes([n]) + s for n, s in enumerate(seeds.REPLIES)]),
    "smtp.server": Target(smtp.server, seeds.SESSIONS),
    "smtp.pasted_reply": Target(smtp.reply_pasted, seeds.REPLIES + seeds.PASTED),
    "smtp.ehlo": Target(smtp.ehlo, seeds.EHLO),
    "smtp.command": Target(smtp.command, seeds.COMMANDS),
    "smtp.auth_response": Target(smtp.response, seeds.SASL_LINES),
    "smtp.path": Target(smtp.path, seeds.PATHS),
    "smtp.xtext": Target(smtp.xtext, seeds.XTEXT),
    "smtp.data": Target(smtp.body, seeds.BODIES),
    "smtp.bdat": Target(smtp.chunks, seeds.BODIES),
    "smtp.masking": Target(smtp.masking, seeds.MASKED),
    # protocol.smtp.sasl
    "sasl.line": Target(login.line, seeds.SASL_LINES),
    "sasl.client": Target(login.client, seeds.SASL_CHALLENGES, 40),
    "sasl.server": Target(login.server, seeds.SASL_RESPONSES, 40),
    "sasl.scram": Target(login.scram, seeds.SCRAM, 40),
    "sasl.oauth_error": Target(login.oauth_error, seeds.OAUTH),
    "sasl.plain_typed": Target(login.inspect, seeds.PLAIN_TYPED),
    "sasl.saslprep": Target(login.prep, seeds.PREP),
    # protocol
    "address": Target(names.address, seeds.ADDRESSES),
    "route.address": Target(names.route_address, seeds.ADDRESSES),
    "host": Target(names.host, seeds.HOSTS),
    "server_input": Target(names.server, seeds.SERVERS),
    "first_bytes": Target(names.first_bytes, seeds.FIRST),
    "tls_hello": Target(names.tls_answer, seeds.HELLOS),
    # protocol.taglist, spf, dmarc, psl
    "taglist": Target(senders.tags, senders.TAG_LISTS),
    "spf.record": Target(senders.spf_record, senders.SPF_RECORDS),
    "spf.check": Target(senders.spf_check, senders.SPF_ZONES, 40),
    "spf.ranges": Target(senders.spf_ranges, senders.SPF_ZONES, 40),
    "spf.edit": Target(senders.spf_edit, senders.SPF_EDITS),
    "dmarc.record": Target(senders.dmarc_record, senders.DMARC_RECORDS),
    "dmarc.zone": Target(senders.dmarc_zone, senders.DMARC_ZONES, 40),
    "psl": Target(senders.suffixes, senders.SUFFIX_LISTS),
    # protocol.dkim, arc, authres
    "dkim.header": Target(signatures.header, signatures.HEADERS),
    "dkim.body": Target(signatures.body, signatures.BODIES),
    "dkim.key": Target(signatures.key, signatures.KEY_RECORDS),
    "dkim.verify": Target(signatures.verify, signatures.signed()),
    "dkim.sign": Target(signatures.sign, signatures.HEADERS + signatures.BODIES, 40),
    "arc.verify": Target(signatures.chain, signatures.sealed()),
    "arc.seal": Target(signatures.seal, signatures.HEADERS + signatures.sealed(), 40),
    "authres": Target(signatures.results, signatures.RESULTS),
    "authres.forged": Target(
        signatures.forged, [b"Authentication-Results:" + one for one in signatures.RESULTS]
    ),
    # protocol.dmarc.report, tlsrpt, arf
    "dmarc.unpack": Target(reports.documents, reports.AGGREGATES + reports.TLS),
    "dmarc.aggregate": Target(reports.aggregate, reports.AGGREGATES, 40),
    "tlsrpt.report": Target(reports.tls_report, reports.TLS),
    "tlsrpt.record": Target(reports.tls_record, reports.TLS_RECORDS),
    "arf": Target(reports.feedback, reports.FEEDBACK),
    # protocol.message
    "message.parts": Target(mail.parts, seeds.BOUNCES),
    "message.report": Target(mail.report, seeds.REPORTS),
    "message.pieces": Target(mail.pieces, seeds.PIECES),
    # protocol.discovery
    "discovery.xml": Target(settings.xml, seeds.AUTOCONFIG + seeds.POX),
    "discovery.json": Target(settings.tree, seeds.JSON + seeds.COMPANY),
    "discovery.autoconfig": Target(settings.autoconfig_xml, seeds.AUTOCONFIG),
    "discovery.autodiscover_pox": Target(settings.pox, seeds.POX),
    "discovery.autodiscover_v2": Target(settings.v2, seeds.V2),
    "discovery.pacc": Target(settings.pacc_json, seeds.PACC),
    "discovery.txt": Target(settings.txt, seeds.TXT),
    "discovery.srv": Target(settings.srv_records, seeds.SRV),
    "discovery.mobileconfig": Target(settings.profile, seeds.PROFILES),
    "discovery.organisation": Target(
        settings.company, seeds.COMPANY + seeds.PROFILES + seeds.AUTOCONFIG
    ),
    # protocol.mtasts, dane, bimi, dnsbl, fcrdns, mx
    "mtasts.record": Target(policies.sts_record, policies.STS_RECORDS),
    "mtasts.policy": Target(policies.sts_policy, policies.STS_POLICIES),
    "dane.tlsa": Target(policies.tlsa, policies.TLSA),
    "dane.chain": Target(policies.tlsa_chain, seeds.certificates(), 30),
    "bimi.record": Target(policies.bimi_record, policies.BIMI),
    "bimi.logo": Target(policies.logo, policies.LOGOS),
    "bimi.mark": Target(policies.mark, policies.marks(), 30),
    "dnsbl": Target(policies.listed, policies.SUBJECTS),
    "fcrdns": Target(policies.named, policies.HOSTS),
    "mx": Target(policies.exchanges, policies.MX),
    # protocol.message.recode, report; send.deliver
    "message.recode": Target(relay.recoded, relay.MESSAGES),
    "relay.prepare": Target(relay.prepared, relay.MESSAGES),
    "relay.report": Target(relay.reported, relay.MESSAGES + relay.REPLIES, 40),
    "relay.wait": Target(relay.waited, relay.REPLIES),
    # send.deliver.pool, net.smtp_carry
    "relay.next_hop": Target(nexthop.next_hop, nexthop.SCRIPTS, 200),
    "relay.two_ahead": Target(nexthop.two_ahead, nexthop.SCRIPTS, 200),
    # net
    "dns.question": Target(wires.dns_question, seeds.HOSTS),
    "dns.reply": Target(wires.dns_answer, seeds.dns_messages()),
    "net.dns_tcp": Target(wires.dns_over_tcp, seeds.dns_messages()),
    "net.imap": Target(wires.imap_client, seeds.IMAP),
    "net.http": Target(wires.http_client, seeds.HTTP, 40),
    "net.smtp": Target(wires.smtp_client, seeds.SMTP_SERVER),
    "net.starttls": Target(wires.smtp_starttls, seeds.STARTTLS),
    "net.tls": Target(wires.tls_handshake, seeds.HELLOS, 30),
    "net.certificate": Target(wires.certificate_der, seeds.certificates()),
    "net.chain": Target(wires.certificate_chain, seeds.certificates(), 15),
    "net.servertime": Target(wires.server_time, seeds.TIMES),
    # send.submit
    "submit.header": Target(submit.header, submit.HEADERS),
    "submit.authors": Target(submit.authors, submit.AUTHORS),
    "submit.parameters": Target(submit.parameters, submit.PARAMETERS),
    "submit.patterns": Target(submit.patterns, submit.PATTERNS),
    "submit.names": Target(submit.names, submit.NAMES),
    "submit.listen": Target(submit.listen, submit.PATTERNS),
    "submit.session": Target(submit.session, submit.SESSIONS),
    # send.client
    "send.mail": Target(handing.mail, handing.MAILS),
    "send.line": Target(handing.line, handing.OBJECTS),
    "send.files": Target(handing.files, handing.BOXES + handing.OBJECTS),
    # explain, setup, directory
    "explain.reply": Target(reading.line, seeds.PASTED + seeds.REPLIES),
    "explain.reading": Target(reading.read_line, seeds.PASTED + seeds.REPLIES),
    "bounce": Target(reading.bounced, seeds.BOUNCES),
    "letter": Target(reading.own_letter, seeds.BOUNCES),
    "directory.provider": Target(reading.provider, seeds.PROVIDERS),
}
