"""The clients that profiles are made for, as data: one row each.

Enters: an id or an alias as somebody types it. Leaves: ``Client``. Called by ``make`` and by the
command line's list. Names for people are in the catalogue ("profile.name.<id>"). Fails with
UnknownClient, which carries what was probably meant.

Mechanisms are those that a client can do with a password, in the order it is told to use them.
"""

from __future__ import annotations

import difflib
from typing import Final

from posthouse.setup.profile.model import Ca, Client, Kind

FILE, STEPS, TEXT = Kind.FILE, Kind.STEPS, Kind.TEXT
_PERSON: Final = ("PLAIN", "LOGIN", "CRAM-MD5", "NTLM")
_LIBRARY: Final = ("PLAIN", "LOGIN", "CRAM-MD5")  # smtplib, nodemailer, PHP and Ruby alike
_TOO_FAR: Final = 0.6  # difflib's ratio below which a word is no slip of another

CLIENTS: Final[tuple[Client, ...]] = (
    Client(
        "thunderbird",
        "people:thunderbird",
        (STEPS, FILE),
        "config-v1.1.xml",
        ("tb", "autoconfig"),
        (*_PERSON, "SCRAM-SHA-256"),
        oauth=True,
        browser=True,
        ca=Ca.STEPS,
    ),
    Client(
        "outlook",
        "people:outlook",
        (STEPS,),
        aliases=("outlook-classic", "outlook2021", "outlook2019"),
        mechanisms=_PERSON,
        oauth=True,
        browser=True,
        unicode_login=False,
        ca=Ca.STEPS,
    ),
    Client(
        "outlook-new",
        "people:outlook_new",
        (STEPS,),
        aliases=("new-outlook",),
        mechanisms=_PERSON,
        oauth=True,
        browser=True,
        needs_incoming=True,
    ),
    Client(
        "autodiscover",
        "people:autodiscover",
        (FILE, STEPS),
        "autodiscover.xml",
        ("outlook-xml",),
        _PERSON,
        ca=Ca.NONE,
    ),
    Client(
        "apple",
        "apple:mobileconfig",
        (FILE, STEPS),
        "mail.mobileconfig",
        ("apple-mail", "mobileconfig", "ios", "iphone", "ipad", "macos", "mac"),
        _PERSON,
        needs_incoming=True,
        ca=Ca.PAYLOAD,
        unicode_sender=False,
    ),
    Client(
        "thunderbird-android",
        "android:settings",
        (FILE, STEPS, TEXT),
        "thunderbird.k9s",
        ("k9", "k-9", "k9mail", "android"),
        ("PLAIN", "LOGIN", "CRAM-MD5"),
        oauth=True,
        browser=True,
        needs_incoming=True,
        unicode_sender=False,
    ),
    Client("qr", "text:qr", (TEXT, FILE), "mail-setup.svg", ("qrcode", "qr-code"), ca=Ca.NONE),
    Client(
        "text",
        "text:text",
        (TEXT,),
        aliases=("plain", "manual", "other", "foxmail", "mailmaster"),
        ca=Ca.NONE,
    ),
    Client(
        "posthouse",
        "domain:organisation",
        (FILE, STEPS),
        "mail.json",
        ("organisation", "json"),
        ca=Ca.NONE,
    ),
    Client(
        "domain",
        "domain:domain",
        (FILE, STEPS, TEXT),
        "records.zone",
        ("dns", "srv", "records"),
        ca=Ca.NONE,
    ),
    Client(
        "msmtp",
        "mailers:msmtp",
        (FILE, STEPS),
        ".msmtprc",
        ("sendmail",),
        ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "NTLM"),
        oauth=True,
        ca=Ca.FILE,
    ),
    Client(
        "nullmailer",
        "mailers:nullmailer",
        (FILE, STEPS),
        "remotes",
        mechanisms=("PLAIN", "LOGIN"),
        ca=Ca.FILE,
        unicode_sender=False,
    ),
    Client(
        "git",
        "mailers:git",
        (FILE, STEPS),
        "gitconfig",
        ("git-send-email",),
        ("PLAIN", "LOGIN", "CRAM-MD5"),
        ca=Ca.FILE,
        unicode_login=False,
    ),
    Client(
        "mutt",
        "mailers:mutt",
        (FILE, STEPS),
        "muttrc",
        mechanisms=("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"),
        oauth=True,
        ca=Ca.FILE,
        unicode_sender=False,
    ),
    Client(
        "neomutt",
        "mailers:mutt",
        (FILE, STEPS),
        "neomuttrc",
        mechanisms=("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"),
        oauth=True,
        ca=Ca.FILE,
        unicode_sender=False,
    ),
    Client(
        "postfix",
        "servers:postfix",
        (FILE, STEPS),
        "main.cf",
        ("relayhost",),
        ("PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256"),
        ca=Ca.FILE,
        colon_in_username=False,
    ),
    Client(
        "exim",
        "exim:plain",
        (FILE, STEPS),
        "exim.conf",
        mechanisms=("PLAIN", "LOGIN", "CRAM-MD5"),
        ca=Ca.FILE,
    ),
    Client(
        "exim-debian",
        "exim:debian",
        (FILE, STEPS),
        "update-exim4.conf.conf",
        ("exim4", "debian-exim"),
        ("PLAIN", "LOGIN", "CRAM-MD5"),
        ca=Ca.FILE,
        ipv6_host=False,
        colon_in_username=False,
    ),
    Client(
        "opensmtpd",
        "servers:opensmtpd",
        (FILE, STEPS),
        "smtpd.conf",
        ("smtpd",),
        ("PLAIN", "LOGIN"),
        colon_in_username=False,
        unicode_sender=False,
    ),
    Client(
        "python",
        "python:script",
        (FILE, STEPS),
        "send_mail.py",
        ("smtplib",),
        _LIBRARY,
        oauth=True,
        ca=Ca.FILE,
    ),
    Client(
        "django",
        "python:django",
        (FILE, STEPS),
        "mail_settings.py",
        mechanisms=_LIBRARY,
        ca=Ca.ENVIRONMENT,
        unicode_login=False,
    ),
    Client(
        "flask",
        "python:flask",
        (FILE, STEPS),
        "mail_settings.py",
        ("flask-mailman", "flask-mail"),
        _LIBRARY,
        ca=Ca.FILE,
        unicode_login=False,
    ),
    Client(
        "rails",
        "ruby:rails",
        (FILE, STEPS),
        "smtp.rb",
        ("actionmailer", "ruby"),
        _LIBRARY,
        ca=Ca.FILE,
        unicode_sender=False,
    ),
    Client(
        "gitlab",
        "ruby:gitlab",
        (FILE, STEPS),
        "gitlab.rb",
        mechanisms=_LIBRARY,
        ca=Ca.FILE,
        unicode_sender=False,
        forces_starttls=False,
    ),
    Client(
        "laravel",
        "php:laravel",
        (FILE, STEPS),
        ".env",
        ("symfony", "php"),
        _LIBRARY,
        ca=Ca.ENVIRONMENT,
        unicode_sender=False,
        forces_starttls=False,
    ),
    Client(
        "wordpress",
        "php:wordpress",
        (FILE, STEPS),
        "posthouse-mail.php",
        ("phpmailer", "wp"),
        _LIBRARY,
        ca=Ca.FILE,
        unicode_sender=False,
    ),
    Client(
        "nodemailer",
        "apps:nodemailer",
        (FILE, STEPS),
        "mailer.js",
        ("node", "nodejs", "node.js"),
        _LIBRARY,
        oauth=True,
        ca=Ca.FILE,
    ),
    Client(
        "spring",
        "apps:spring",
        (FILE, STEPS),
        "application.properties",
        ("spring-boot", "java", "javamail"),
        ("PLAIN", "LOGIN", "NTLM"),
        ca=Ca.SYSTEM,
    ),
    Client(
        "grafana",
        "apps:grafana",
        (FILE, STEPS),
        "grafana.ini",
        mechanisms=_LIBRARY,
        ca=Ca.ENVIRONMENT,
        unicode_sender=False,
    ),
    Client(
        "systemd",
        "apps:systemd",
        (FILE, STEPS),
        "mail.env",
        ("env", "environment", "docker"),
        oauth=True,
        ca=Ca.FILE,
    ),
)
_BY_NAME: Final = {name: client for client in CLIENTS for name in (client.id, *client.aliases)}


class UnknownClient(KeyError):
    """No client has that name. ``suggestion`` is an id that was probably meant, or ""."""

    def __init__(self, name: str, suggestion: str) -> None:
        super().__init__(name)
        self.name = name
        self.suggestion = suggestion


def clients() -> tuple[Client, ...]:
    """All of them, those for people first."""
    return CLIENTS


def find_client(name: str) -> Client:
    """The client of that id or alias, in any case. Raises UnknownClient."""
    wanted = "-".join(name.strip().lower().replace("_", "-").split())
    found = _BY_NAME.get(wanted)
    if found is None:
        near = difflib.get_close_matches(wanted, _BY_NAME, 1, _TOO_FAR)
        raise UnknownClient(name, _BY_NAME[near[0]].id if near else "")
    return found
