"""Programs that hand in single messages: msmtp, nullmailer, git send-email, mutt and neomutt.

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails. The password is read from a file
of its own with mode 0600, from the keyring, or asked for.
"""

from __future__ import annotations

import re

from posthouse.explain import catalogue
from posthouse.setup.profile import quote
from posthouse.setup.profile.model import PASSWORD_HERE, File, Job, Made, Settings

_PLACE = "~/.config/posthouse"


def slug(settings: Settings) -> str:
    """The address as part of a file name, also of an account name: nothing a shell would see."""
    return re.sub(r"[^a-z0-9.-]+", "-", settings.email.lower()).strip("-.") or "account"


def comment(job: Job, mark: str = "#") -> str:
    """The first line of a file: what it is, and that no password is in it."""
    text = catalogue(job.lang).text("profile.file.header", address=job.settings.email)
    return "".join(f"{mark} {line}\n" for line in text.splitlines())


def ca_file(job: Job, place: str) -> tuple[File, ...]:
    """The private authority as a file, where there is one."""
    if not job.settings.ca_pem:
        return ()
    name = place.rsplit("/", 1)[-1]
    return (File(name, job.settings.ca_pem.encode(), place),)


def msmtp(job: Job) -> Made:
    """~/.msmtprc: one account named after the address, so that several can stand in one file."""
    settings, secret = job.settings, f"{_PLACE}/{slug(job.settings)}.password"
    trust = f"{_PLACE}/{slug(settings)}-ca.pem"
    lines = [
        f"account {slug(settings)}",
        f"host {job.endpoint.host}",
        f"port {job.endpoint.port}",
        f"from {quote.msmtp(settings.email)}",
        "tls on",
        f"tls_starttls {'off' if job.implicit_tls else 'on'}",
        f"tls_trust_file {trust if settings.ca_pem else 'system'}",
    ]
    if settings.anonymous:
        lines.append("auth off")
    else:
        known = settings.needs_oauth or settings.mechanisms
        lines += [
            f"auth {job.mechanism.lower() if known else 'on'}",
            f"user {quote.msmtp(settings.login)}",
            f'passwordeval "cat {secret}"',
        ]
    text = comment(job) + "\n".join(lines) + f"\n\naccount default : {slug(settings)}\n"
    file = File(".msmtprc", text.encode(), "~/.msmtprc", 0o600, append=True)
    params = {"secret": "" if settings.anonymous else secret, "account": slug(settings)}
    return Made((file, *ca_file(job, trust)), params=params)


def nullmailer(job: Job) -> Made:
    """/etc/nullmailer/remotes holds the password itself: only root and nullmailer may read it."""
    settings, trust = job.settings, "/etc/nullmailer/ca.pem"
    words = [
        job.endpoint.host,
        "smtp",
        f"port={job.endpoint.port}",
        "tls" if job.implicit_tls else "starttls",
    ]
    if settings.ca_pem:
        words.append(f"x509cafile={trust}")
    if not settings.anonymous:
        if job.mechanism == "LOGIN":
            words.append("auth-login")
        words += [f"user={quote.shell(settings.login)}", f"pass={quote.shell(PASSWORD_HERE)}"]
    remotes = File(
        "remotes", (" ".join(words) + "\n").encode(), "/etc/nullmailer/remotes", mode=0o600
    )
    sender = File("allmailfrom", f"{settings.email}\n".encode(), "/etc/nullmailer/allmailfrom")
    return Made((remotes, sender, *ca_file(job, trust)))


def git(job: Job) -> Made:
    """[sendemail] without smtpPass: git then asks its credential helper, or the user."""
    settings, trust = job.settings, f"{_PLACE}/{slug(job.settings)}-ca.pem"
    values = {
        "from": _encoded(settings),
        "envelopeSender": settings.email,
        "smtpServer": job.endpoint.host,
        "smtpServerPort": str(job.endpoint.port),
        "smtpEncryption": "ssl" if job.implicit_tls else "tls",
    }
    if settings.anonymous:
        values["smtpAuth"] = "none"
    else:
        values["smtpUser"] = settings.login
        if settings.mechanisms:
            values["smtpAuth"] = job.mechanism
    if settings.ca_pem:
        values["smtpSSLCertPath"] = trust
    body = "".join(f"\t{name} = {quote.git(value)}\n" for name, value in values.items())
    text = comment(job) + "[sendemail]\n" + body
    file = File("gitconfig", text.encode(), "~/.gitconfig", append=True)
    login = f"{quote.url(settings.login)}@" if not settings.anonymous else ""
    url = f"smtp://{login}{job.bracketed}:{job.endpoint.port}"
    return Made((file, *ca_file(job, trust)), params={"url": url if login else ""})


def _encoded(settings: Settings) -> str:
    """git takes the first ``<`` for the address's and sends other scripts as they are: such a name
    is given to it as it stands in the header (RFC 2047)."""
    from email.header import Header

    name = settings.display_name
    if not name or re.fullmatch(r"[\w '-]+", name, re.ASCII):
        return f"{name} <{settings.email}>" if name else settings.email
    return f"{Header(name, 'utf-8', maxlinelen=10_000).encode()} <{settings.email}>"


def mutt(job: Job) -> Made:
    """mutt and neomutt read the same commands. Where smtp_pass is not set, they ask."""
    settings, name = job.settings, job.client.file
    secret = f"{_PLACE}/{slug(settings)}.password"
    trust = f"{_PLACE}/{slug(settings)}-ca.pem"
    login = "" if settings.anonymous else f"{quote.url(settings.login)}@"
    scheme = "smtps" if job.implicit_tls else "smtp"
    values = {
        "from": settings.email,
        "realname": settings.display_name,
        "smtp_url": f"{scheme}://{login}{job.bracketed}:{job.endpoint.port}/",
    }
    if not settings.anonymous and (settings.mechanisms or settings.needs_oauth):
        values["smtp_authenticators"] = job.mechanism.lower()
    if settings.needs_oauth:
        values["smtp_oauth_refresh_command"] = f"cat {secret}"
    if settings.ca_pem:
        values["certificate_file"] = trust
    lines = [f"set {key}={quote.mutt(value)}" for key, value in values.items() if value]
    lines += [
        "set ssl_force_tls=yes",
        *([] if job.implicit_tls else ["set ssl_starttls=yes"]),
        "set use_envelope_from=yes",
    ]
    if login and not settings.needs_oauth:
        lines.append(_password_command(secret))
    file = File(name, (comment(job) + "\n".join(lines) + "\n").encode(), f"~/.{name}", append=True)
    return Made((file, *ca_file(job, trust)), params={"secret": secret if login else ""})


def _password_command(secret: str) -> str:
    """The file's line as a command of mutt's own. sed does the quoting, so that the password can be
    written into its file as it is; backquotes would let mutt read ``$`` and quotes in it."""
    script = r"s/[\"\\$`]/\\&/g; s/^/set smtp_pass=\"/; s/$/\"/"
    command = f"sed -e '{script}' {secret} |"
    return f"source {quote.mutt(command)}"
