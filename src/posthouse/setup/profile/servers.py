"""Mail servers that hand everything on to the outgoing server: Postfix and OpenSMTPD.

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails. The user name and the password are
in a map of their own, for root alone.
"""

from __future__ import annotations

from posthouse.setup.profile import quote
from posthouse.setup.profile.mailers import ca_file, comment
from posthouse.setup.profile.model import PASSWORD_HERE, File, Job, Level, Made

SYSTEM_CA = "/etc/ssl/certs/ca-certificates.crt"  # Debian's; the steps name the others
_LABEL = "posthouse"


def postfix(job: Job) -> Made:
    """main.cf's lines for one relayhost, and the map with its password."""
    settings = job.settings
    host = f"[{job.endpoint.host}]:{job.endpoint.port}"  # brackets: no MX lookup
    trust = "/etc/postfix/relay-ca.pem"
    values = {"relayhost": host}
    if settings.anonymous:
        values["smtp_sasl_auth_enable"] = "no"
    else:
        values |= {
            "smtp_sasl_auth_enable": "yes",
            "smtp_sasl_password_maps": "${default_database_type}:/etc/postfix/sasl_passwd",
            "smtp_sasl_security_options": "noanonymous",
            "smtp_sasl_tls_security_options": "noanonymous",
        }
    known = [m.lower() for m in settings.mechanisms if m in job.client.mechanisms]
    if known and not settings.anonymous:
        values["smtp_sasl_mechanism_filter"] = ", ".join(known)
    values |= {
        # A certificate is compared with names only, never with an address.
        "smtp_tls_security_level": "encrypt" if job.host_is_ip else "secure",
        "smtp_tls_wrappermode": "yes" if job.implicit_tls else "no",
        "smtp_tls_CAfile": trust if settings.ca_pem else SYSTEM_CA,
    }
    text = comment(job) + "".join(f"{name} = {value}\n" for name, value in values.items())
    files = [File("main.cf", text.encode(), "/etc/postfix/main.cf", append=True)]
    if not settings.anonymous:
        entry = f"{host} {settings.login}:{PASSWORD_HERE}\n"
        files.append(File("sasl_passwd", entry.encode(), "/etc/postfix/sasl_passwd", 0o600))
    notes = (("unverified", Level.WARN),) if job.host_is_ip else ()
    steps = ("steps",) if settings.anonymous else ("steps", "login", "last")
    return Made((*files, *ca_file(job, trust)), steps, notes=notes)


def opensmtpd(job: Job) -> Made:
    """A whole smtpd.conf: local mail stays, the rest goes to the outgoing server.

    smtp+tls and smtps both insist on TLS and check the certificate.
    """
    settings, secrets = job.settings, "/etc/smtpd-secrets"
    scheme = "smtps" if job.implicit_tls else "smtp+tls"
    label = "" if settings.anonymous else f"{_LABEL}@"
    url = f"{scheme}://{label}{job.bracketed}:{job.endpoint.port}"
    auth = "" if settings.anonymous else " auth <secrets>"
    lines = [
        "table aliases file:/etc/aliases",
        *([] if settings.anonymous else [f"table secrets file:{secrets}"]),
        "listen on 127.0.0.1",
        'action "local" mbox alias <aliases>',
        f'action "outgoing" relay host {quote.smtpd(url)}{auth}'
        f" mail-from {quote.smtpd(settings.email)}",
        'match for local action "local"',
        'match from local for any action "outgoing"',
    ]
    text = comment(job) + "\n".join(lines) + "\n"
    files = [File("smtpd.conf", text.encode(), "/etc/smtpd.conf")]
    if not settings.anonymous:
        entry = f"{_LABEL} {settings.login}:{PASSWORD_HERE}\n"
        files.append(File("smtpd-secrets", entry.encode(), secrets, 0o600))
    files += ca_file(job, "/usr/local/share/ca-certificates/posthouse-relay.crt")
    return Made(tuple(files), ("steps",) if settings.anonymous else ("steps", "login", "last"))
