"""Discovery: what a domain, a provider or an IT department publishes about its mail servers.

Enters: bytes that were fetched (XML, JSON, property lists) and DNS records in presentation form.
Leaves: ``Offer`` for outgoing servers and ``Incoming`` for the others, one shape for all sources,
besides the URLs and names to ask for. Called by setup.find. No network here.
Fails with DiscoveryError alone, whatever the bytes; it names the line where there are lines.

``autoconfig`` Mozilla's config-v1.1.xml; ``pacc`` the JSON of draft-ietf-mailmaint-pacc;
``autodiscover_pox`` and ``autodiscover_v2`` Microsoft's; ``srv`` RFC 6186 and RFC 8314;
``organisation`` a file that an IT department hands out.
"""
