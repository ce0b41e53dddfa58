"""probe: one server, proved step by step against the real thing, ending in one verdict.

Enters: an endpoint or host, the net, and what to prove: a login, an envelope, a test message.
Leaves: ``ProbeResult``: verdict with its cause, findings, the Trace, certificates, neighbours.
``words`` says it in English or Chinese, ``render`` as JSON. Called by the command line.

DNS, TCP (RFC 8305), greeting, EHLO (RFC 5321), STARTTLS (RFC 3207) or TLS (RFC 8314), certificate,
AUTH (RFC 4954; one try, only inside verified TLS), MAIL, RCPT, DATA. After a failure it looks
around, without credentials. Fails with ServerError for a target that names no server.
"""

from posthouse.setup.probe.facts import (
    Delivery,
    Envelope,
    FetchBack,
    Login,
    Neighbour,
    Net,
    Options,
    ProbeResult,
    TestMessage,
)
from posthouse.setup.probe.nearest import Nearest, NearestChoice, Reach, nearest
from posthouse.setup.probe.render import to_dict
from posthouse.setup.probe.run import probe
from posthouse.setup.probe.words import finding_text, headline, remedy, step_text

__all__ = [
    "Delivery",
    "Envelope",
    "FetchBack",
    "Login",
    "Nearest",
    "NearestChoice",
    "Neighbour",
    "Net",
    "Options",
    "ProbeResult",
    "Reach",
    "TestMessage",
    "finding_text",
    "headline",
    "nearest",
    "probe",
    "remedy",
    "step_text",
    "to_dict",
]
