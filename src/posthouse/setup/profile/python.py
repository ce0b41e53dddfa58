"""Python programs: smtplib, Django, Flask.

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails. The password comes from the
environment. What the standard library does by itself is not enough everywhere: ``starttls()``
without a context checks no certificate, so every file here gives one.
"""

from __future__ import annotations

from posthouse.setup.profile import quote
from posthouse.setup.profile.mailers import ca_file, comment
from posthouse.setup.profile.model import File, Job, Made

_TRUST = "ca.pem"  # beside the program


def script(job: Job) -> Made:
    """send_mail.py: a function ``send(message)``, and a test when it is run."""
    settings = job.settings
    trust = f"cafile={quote.python(_TRUST)}" if settings.ca_pem else ""
    text = comment(job) + _SCRIPT.format(
        imports=_imports(job),
        host=quote.python(job.endpoint.host),
        port=job.endpoint.port,
        address=quote.python(settings.email),
        sender=quote.python(settings.mail_from),
        user="" if settings.anonymous else f"USER = {quote.python(settings.login)}\n",
        open=_OPEN_TLS if job.implicit_tls else _OPEN_STARTTLS,
        login=_login(job),
        trust=trust,
        token=_OAUTH_LINE if settings.needs_oauth else "",
    )
    files = (File("send_mail.py", text.encode(), "send_mail.py"), *ca_file(job, _TRUST))
    return Made(files, steps=("anonymous",) if settings.anonymous else ("steps",))


def _imports(job: Job) -> str:
    names = ["os"] if not job.settings.anonymous else []
    if not job.settings.login.isascii() and not job.settings.needs_oauth:
        names.insert(0, "base64")
    return "".join(f"import {name}\n" for name in [*names, "smtplib", "ssl", "sys"])


def _login(job: Job) -> str:
    settings = job.settings
    if settings.anonymous:
        return ""
    if settings.needs_oauth:
        return f"        client.auth({quote.python(job.mechanism)}, token)\n"
    if settings.login.isascii():
        return '        client.login(USER, os.environ["SMTP_PASSWORD"])\n'
    # smtplib knows only ASCII user names; RFC 4616 section 2 wants UTF-8
    return _UTF8_LOGIN


_SCRIPT = '''\
{imports}from email.message import EmailMessage

HOST, PORT = {host}, {port}
ADDRESS = {address}
SENDER = {sender}
{user}

def send(message):
    """Hand in one EmailMessage."""
    context = ssl.create_default_context({trust})
{open}{login}        client.send_message(message)

{token}
if __name__ == "__main__":
    mail = EmailMessage()
    mail["From"] = SENDER
    mail["To"] = sys.argv[1] if len(sys.argv) > 1 else ADDRESS
    mail["Subject"] = "Test"
    mail.set_content("It works.\\n")
    send(mail)
'''
_OPEN_TLS = "    with smtplib.SMTP_SSL(HOST, PORT, timeout=30, context=context) as client:\n"
_OPEN_STARTTLS = """\
    with smtplib.SMTP(HOST, PORT, timeout=30) as client:
        client.starttls(context=context)
        client.ehlo()
"""
_UTF8_LOGIN = """\
        password = os.environ["SMTP_PASSWORD"]
        response = base64.b64encode(f"\\0{USER}\\0{password}".encode()).decode()
        code, answer = client.docmd("AUTH", f"PLAIN {response}")
        if code != 235:
            raise smtplib.SMTPAuthenticationError(code, answer)
"""
_OAUTH_LINE = '''
def token(challenge=None):
    """The access token, which your program has to renew before it runs out."""
    return f"user={USER}\\x01auth=Bearer {os.environ['SMTP_TOKEN']}\\x01\\x01"

'''


def django(job: Job) -> Made:
    """Settings; Django checks the certificate by itself."""
    settings = job.settings
    values = {
        "EMAIL_BACKEND": quote.python("django.core.mail.backends.smtp.EmailBackend"),
        "EMAIL_HOST": quote.python(job.endpoint.host),
        "EMAIL_PORT": str(job.endpoint.port),
        "EMAIL_USE_SSL": str(job.implicit_tls),
        "EMAIL_USE_TLS": str(not job.implicit_tls),
        "EMAIL_TIMEOUT": "30",
        **_environment_login(job, "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"),
        "DEFAULT_FROM_EMAIL": quote.python(settings.mail_from),
        "SERVER_EMAIL": quote.python(settings.email),
    }
    head = "" if settings.anonymous else "import os\n\n"
    text = comment(job) + head + "".join(f"{name} = {value}\n" for name, value in values.items())
    file = File("mail_settings.py", text.encode(), "settings.py", append=True)
    steps = ("steps",) if settings.anonymous else ("steps", "login")
    return Made((file, *ca_file(job, _TRUST)), (*steps, "last"))


def _environment_login(job: Job, user: str, password: str) -> dict[str, str]:
    if job.settings.anonymous:
        return {}
    return {
        user: quote.python(job.settings.login),
        password: f"os.environ[{quote.python(password)}]",
    }


def flask(job: Job) -> Made:
    """Flask-Mailman's settings, with a backend that checks the certificate: its own one asks
    ``starttls()`` for no check at all."""
    settings = job.settings
    values = {
        "MAIL_SERVER": quote.python(job.endpoint.host),
        "MAIL_PORT": str(job.endpoint.port),
        "MAIL_USE_SSL": str(job.implicit_tls),
        "MAIL_USE_TLS": str(not job.implicit_tls),
        "MAIL_TIMEOUT": "30",
        **_environment_login(job, "MAIL_USERNAME", "MAIL_PASSWORD"),
        "MAIL_DEFAULT_SENDER": quote.python(settings.mail_from),
    }
    trust = quote.python(_TRUST) if settings.ca_pem else ""
    text = (
        comment(job)
        + ("" if settings.anonymous else "import os\n")
        + _FLASK.format(trust=f"cafile={trust}" if trust else "")
        + "".join(f"{name} = {value}\n" for name, value in values.items())
    )
    file = File("mail_settings.py", text.encode(), "mail_settings.py")
    steps = ("steps",) if settings.anonymous else ("steps", "login")
    return Made((file, *ca_file(job, _TRUST)), (*steps, "last"))


_FLASK = '''\
import smtplib
import ssl

from flask_mailman.backends.smtp import EmailBackend as SmtpBackend


class CheckedSMTP(smtplib.SMTP):
    """STARTTLS with the server's certificate checked."""

    def starttls(self, *, context=None):
        return super().starttls(context=ssl.create_default_context({trust}))


class EmailBackend(SmtpBackend):
    """What MAIL_BACKEND names."""

    ssl_context = property(lambda self: ssl.create_default_context({trust}))

    @property
    def connection_class(self):
        return smtplib.SMTP_SSL if self.use_ssl else CheckedSMTP


MAIL_BACKEND = "mail_settings.EmailBackend"
'''
