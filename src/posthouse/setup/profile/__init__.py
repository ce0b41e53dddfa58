"""profile: from proven settings to what each mail program needs to use them.

Enters: ``Settings`` (an address, the outgoing servers that were proved, user name, kind of
credential; where known the server for reading mail, a display name, a private authority to trust)
and a client's name. Leaves: ``Profile``: files with place and mode, numbered steps and notes in
English or 简体中文, and whether the client can work with the settings at all. No file holds a
password: it is read from the environment, a file of mode 0600 or a keyring, or asked for; where a
format has no such way, ``PASSWORD_HERE`` stands in a file of mode 0600.

Called by the command line::

    for client in clients():                  # the list: client.id, client.name(lang), client.kinds
        ...
    profile = make("msmtp", Settings("alice@example.com", (endpoint,), "alice"), "en")
    profile.usable                            # False: notes say why, there are no files
    profile.files                             # name, content, place, mode, append
    profile.steps, profile.notes              # text in the language; notes have id and level
    profile.text                              # for "text", "qr", "domain": to print as it is
    to_dict(profile)                          # for --json

``make(..., signer=Signer(certificate_pem, key_pem))`` signs an Apple profile. Can fail:
``SettingsError`` and ``CertificateError`` (``error_text`` says them), ``UnknownClient`` with a
suggestion. No network, no clock, no randomness: the same settings give the same bytes.
``clients`` is the table of programs and what they can do; ``quote`` the one place that quotes.
"""

from __future__ import annotations

from posthouse.setup.profile.certificate import CertificateError
from posthouse.setup.profile.clients import UnknownClient, clients, find_client
from posthouse.setup.profile.making import error_text, make
from posthouse.setup.profile.model import (
    PASSWORD_HERE,
    USERNAME_HERE,
    Client,
    File,
    Kind,
    Level,
    Note,
    Profile,
    Settings,
    SettingsError,
    Signer,
)
from posthouse.setup.profile.render import to_dict

__all__ = [
    "PASSWORD_HERE",
    "USERNAME_HERE",
    "CertificateError",
    "Client",
    "File",
    "Kind",
    "Level",
    "Note",
    "Profile",
    "Settings",
    "SettingsError",
    "Signer",
    "UnknownClient",
    "clients",
    "error_text",
    "find_client",
    "make",
    "to_dict",
]
