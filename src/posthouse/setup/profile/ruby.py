"""Ruby programs: Rails and GitLab.

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails. ``tls`` is TLS from the first
byte, ``enable_starttls`` insists on STARTTLS; its "auto" form goes on in the clear.
"""

from __future__ import annotations

from posthouse.setup.profile import quote
from posthouse.setup.profile.mailers import ca_file, comment
from posthouse.setup.profile.model import File, Job, Made

_GITLAB = "/etc/gitlab"


def rails(job: Job) -> Made:
    """An initializer; the password from the environment."""
    settings, trust = job.settings, "config/mail-ca.pem"
    values = {
        "address": quote.ruby(job.endpoint.host),
        "port": str(job.endpoint.port),
        "domain": quote.ruby(settings.domain),
    }
    if not settings.anonymous:
        values |= {
            "authentication": f":{_symbol(job)}",
            "user_name": quote.ruby(settings.login),
            "password": "ENV.fetch('SMTP_PASSWORD')",
        }
    values |= {
        ("tls" if job.implicit_tls else "enable_starttls"): "true",
        "openssl_verify_mode": "'peer'",
        **({"ca_file": quote.ruby(trust)} if settings.ca_pem else {}),
        "open_timeout": "30",
        "read_timeout": "60",
    }
    body = "".join(f"    {name}: {value},\n" for name, value in values.items())
    text = (
        comment(job)
        + "ActiveSupport.on_load(:action_mailer) do\n  self.delivery_method = :smtp\n"
        + f"  self.smtp_settings = {{\n{body}  }}\n"
        + f"  default from: {quote.ruby(settings.mail_from)}\nend\n"
    )
    file = File("smtp.rb", text.encode(), "config/initializers/smtp.rb")
    steps = ("steps",) if settings.anonymous else ("steps", "login")
    return Made((file, *ca_file(job, trust)), (*steps, "last"))


def _symbol(job: Job) -> str:
    return job.mechanism.lower().replace("-", "_")


def gitlab(job: Job) -> Made:
    """Lines for /etc/gitlab/gitlab.rb, which is Ruby and so may read the password from a file."""
    settings = job.settings
    secret, trust = f"{_GITLAB}/smtp_password", f"{_GITLAB}/mail-ca.pem"
    values = {
        "smtp_enable": "true",
        "smtp_address": quote.ruby(job.endpoint.host),
        "smtp_port": str(job.endpoint.port),
        "smtp_domain": quote.ruby(settings.domain),
    }
    if settings.anonymous:
        values["smtp_authentication"] = "false"
    else:
        values |= {
            "smtp_user_name": quote.ruby(settings.login),
            "smtp_password": f"File.read({quote.ruby(secret)}).chomp",
            "smtp_authentication": quote.ruby(_symbol(job)),
        }
    values |= {
        "smtp_tls": "true" if job.implicit_tls else "false",
        # "auto" is all that GitLab has: it goes on in the clear where STARTTLS is missing.
        "smtp_enable_starttls_auto": "false" if job.implicit_tls else "true",
        "smtp_openssl_verify_mode": "'peer'",
        **({"smtp_ca_file": quote.ruby(trust)} if settings.ca_pem else {}),
        "gitlab_email_from": quote.ruby(settings.email),
        "gitlab_email_reply_to": quote.ruby(settings.email),
    }
    if settings.display_name:
        values["gitlab_email_display_name"] = quote.ruby(settings.display_name)
    text = comment(job) + "".join(f"gitlab_rails['{k}'] = {v}\n" for k, v in values.items())
    files = [File("gitlab.rb", text.encode(), f"{_GITLAB}/gitlab.rb", append=True)]
    steps = ("steps",) if settings.anonymous else ("steps", "login")
    return Made((*files, *ca_file(job, trust)), (*steps, "last"), {"secret": secret})
