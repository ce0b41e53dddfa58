"""Other programs: Nodemailer, Spring Boot, Grafana, and services under systemd.

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails.
"""

from __future__ import annotations

from posthouse.setup.profile import quote
from posthouse.setup.profile.mailers import ca_file, comment
from posthouse.setup.profile.model import File, Job, Level, Made

_ENVIRONMENT = "/etc/posthouse/mail.env"
_SECRET = "/etc/posthouse/smtp-password"  # noqa: S105  the name of a file


def nodemailer(job: Job) -> Made:
    """mailer.js. ``secure`` is TLS from the first byte and for that alone; with STARTTLS it is
    ``requireTLS`` that insists."""
    settings = job.settings
    mode = "secure: true" if job.implicit_tls else "secure: false,\n  requireTLS: true"
    options = [f"host: {quote.javascript(job.endpoint.host)}", f"port: {job.endpoint.port}", mode]
    if not settings.anonymous:
        options.append(f"auth: {_node_auth(job)}")
    head = 'const nodemailer = require("nodemailer");\n'
    if settings.ca_pem:
        head += 'const { readFileSync } = require("fs");\nconst { join } = require("path");\n'
        options.append('tls: { ca: readFileSync(join(__dirname, "ca.pem")) }')
    body = "".join(f"  {option},\n" for option in options)
    text = (
        comment(job, "//") + head + f"\nconst transport = nodemailer.createTransport({{\n{body}}},"
        f" {{ from: {quote.javascript(settings.mail_from)} }});\n\nmodule.exports = transport;\n"
    )
    files = (File("mailer.js", text.encode(), "mailer.js"), *ca_file(job, "ca.pem"))
    return Made(files, ("steps",) if settings.anonymous else ("steps", "login", "last"))


def _node_auth(job: Job) -> str:
    user = f"user: {quote.javascript(job.settings.login)}"
    if job.settings.needs_oauth:
        return f'{{ type: "OAuth2", {user}, accessToken: process.env.SMTP_TOKEN }}'
    return f"{{ {user}, pass: process.env.SMTP_PASSWORD }}"


def spring(job: Job) -> Made:
    """application.properties. Older JavaMail checks no names unless it is told to."""
    settings, mail = job.settings, "spring.mail.properties.mail.smtp"
    implicit = "true" if job.implicit_tls else "false"
    starttls = "false" if job.implicit_tls else "true"
    values = {
        "spring.mail.host": quote.java_property(job.endpoint.host),
        "spring.mail.port": str(job.endpoint.port),
        "spring.mail.default-encoding": "UTF-8",
        f"{mail}.auth": "false" if settings.anonymous else "true",
        f"{mail}.ssl.enable": implicit,
        f"{mail}.starttls.enable": starttls,
        f"{mail}.starttls.required": starttls,
        f"{mail}.ssl.checkserveridentity": "true",
        f"{mail}.connectiontimeout": "30000",
        f"{mail}.timeout": "60000",
        f"{mail}.writetimeout": "60000",
        f"{mail}.from": quote.java_property(settings.email),
    }
    if not settings.anonymous:
        values["spring.mail.username"] = quote.java_property(settings.login)
        values["spring.mail.password"] = "${SMTP_PASSWORD}"
    if settings.mechanisms and not settings.anonymous:
        values[f"{mail}.auth.mechanisms"] = job.mechanism
    text = comment(job) + "".join(f"{name}={value}\n" for name, value in values.items())
    place = "src/main/resources/application.properties"
    # The comment may hold Chinese; Spring reads these files as Latin-1 or UTF-8, and skips it.
    file = File("application.properties", text.encode(), place, append=True)
    notes = (("spring_dollar", Level.WARN),) if "${" in settings.login else ()
    steps = ("steps",) if settings.anonymous else ("steps", "login", "last")
    return Made((file, *ca_file(job, "ca.pem")), steps, notes=notes)


def grafana(job: Job) -> Made:
    """The [smtp] section. Without startTLS_policy Grafana would go on in the clear."""
    settings, secret = job.settings, "/etc/grafana/smtp_password"
    values = {
        "enabled": "true",
        "host": f"{job.bracketed}:{job.endpoint.port}",
        **({} if settings.anonymous else {"user": quote.grafana(settings.login)}),
        **({} if settings.anonymous else {"password": f"$__file{{{secret}}}"}),
        "skip_verify": "false",
        "from_address": quote.grafana(settings.email),
        "from_name": quote.grafana(settings.display_name or "Grafana"),
        # Implicit TLS goes by port 465 alone; a policy would send STARTTLS inside it.
        "startTLS_policy": "NoStartTLS" if job.implicit_tls else "MandatoryStartTLS",
    }
    body = "".join(f"{name} = {value}\n" for name, value in values.items())
    text = comment(job, ";") + f"[smtp]\n{body}"
    file = File("grafana.ini", text.encode(), "/etc/grafana/grafana.ini", append=True)
    implicit_elsewhere = job.implicit_tls and job.endpoint.port != 465
    notes = (("grafana_port", Level.WARN),) if implicit_elsewhere else ()
    steps = ("steps",) if settings.anonymous else ("steps", "login", "last")
    return Made((file, *ca_file(job, "ca.pem")), steps, {"secret": secret}, notes)


def systemd(job: Job) -> Made:
    """Variables for any program, and the drop-in that gives them and the password to a service."""
    settings = job.settings
    values = {
        "SMTP_HOST": job.endpoint.host,
        "SMTP_PORT": str(job.endpoint.port),
        "SMTP_SECURITY": job.endpoint.security.value,
        **({} if settings.anonymous else {"SMTP_USERNAME": settings.login}),
        "MAIL_ADDRESS": settings.email,
        "MAIL_FROM": settings.mail_from,
    }
    trust = "/etc/posthouse/ca.pem"
    if settings.ca_pem:
        values["SSL_CERT_FILE"] = trust
    text = comment(job) + "".join(
        f"{name}={quote.environment_file(value)}\n" for name, value in values.items()
    )
    unit = f"[Service]\nEnvironmentFile={_ENVIRONMENT}\n"
    if not settings.anonymous:
        unit += f"LoadCredential=smtp-password:{_SECRET}\n"
    files = (
        File("mail.env", text.encode(), _ENVIRONMENT),
        File(
            "posthouse-mail.conf", (comment(job) + unit).encode(), "SERVICE.d/posthouse-mail.conf"
        ),
        *ca_file(job, trust),
    )
    steps = ("steps",) if settings.anonymous else ("steps", "login", "last")
    return Made(files, steps, {"secret": _SECRET})
