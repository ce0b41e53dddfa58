"""PHP programs: Laravel (Symfony Mailer) and WordPress (PHPMailer).

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails.
"""

from __future__ import annotations

from posthouse.setup.profile import quote
from posthouse.setup.profile.mailers import ca_file, comment
from posthouse.setup.profile.model import PASSWORD_HERE, File, Job, Made


def laravel(job: Job) -> Made:
    """Lines for .env, which is where Laravel keeps passwords: never in version control."""
    settings = job.settings
    values = {
        "MAIL_MAILER": "smtp",
        # Laravel 11 and newer; "smtps" is TLS from the first byte.
        "MAIL_SCHEME": "smtps" if job.implicit_tls else "smtp",
        # Laravel 10 and older say "tls" for both and tell the two apart by port 465.
        "MAIL_ENCRYPTION": "tls",
        "MAIL_HOST": quote.dotenv(job.bracketed),
        "MAIL_PORT": str(job.endpoint.port),
    }
    if not settings.anonymous:
        values["MAIL_USERNAME"] = quote.dotenv(settings.login)
        values["MAIL_PASSWORD"] = quote.dotenv(PASSWORD_HERE)
    values |= {
        "MAIL_FROM_ADDRESS": quote.dotenv(settings.email),
        "MAIL_FROM_NAME": quote.dotenv(settings.display_name or settings.email),
    }
    text = comment(job) + "".join(f"{name}={value}\n" for name, value in values.items())
    file = File(".env", text.encode(), ".env", 0o600, append=True)
    steps = ("steps",) if settings.anonymous else ("steps", "login")
    return Made((file, *ca_file(job, "ca.pem")), (*steps, "last"))


def wordpress(job: Job) -> Made:
    """A must-use plugin; the password is a constant of wp-config.php or of the environment."""
    settings = job.settings
    name = settings.display_name or settings.email
    lines = [
        "$mail->isSMTP();",
        f"$mail->Host = {quote.php(job.bracketed)};",
        f"$mail->Port = {job.endpoint.port};",
        f"$mail->SMTPSecure = {quote.php('ssl' if job.implicit_tls else 'tls')};",
        "$mail->SMTPAutoTLS = false;",
        *_php_login(job),
        f"$mail->setFrom({quote.php(settings.email)}, {quote.php(name)}, false);",
        f"$mail->Sender = {quote.php(settings.email)};",
    ]
    if settings.ca_pem:
        lines.append(
            "$mail->SMTPOptions = ['ssl' => ['cafile' => __DIR__ . '/posthouse-mail-ca.pem']];"
        )
    body = "".join(f"    {line}\n" for line in lines)
    head = "<?php\n/* Plugin Name: Posthouse Mail */\n"
    head += comment(job, "//").replace("?>", "? >")  # which would end PHP, even in a comment
    text = f"{head}add_action('phpmailer_init', function ($mail) {{\n{body}}});\n"
    place = "wp-content/mu-plugins"
    files = (
        File("posthouse-mail.php", text.encode(), f"{place}/posthouse-mail.php"),
        *ca_file(job, f"{place}/posthouse-mail-ca.pem"),
    )
    return Made(files, ("steps",) if settings.anonymous else ("steps", "login", "last"))


def _php_login(job: Job) -> list[str]:
    if job.settings.anonymous:
        return ["$mail->SMTPAuth = false;"]
    known = [f"$mail->AuthType = {quote.php(job.mechanism)};"] if job.settings.mechanisms else []
    return [
        "$mail->SMTPAuth = true;",
        *known,
        f"$mail->Username = {quote.php(job.settings.login)};",
        "$mail->Password = defined('SMTP_PASSWORD')",
        "    ? constant('SMTP_PASSWORD') : (string) getenv('SMTP_PASSWORD');",
    ]
