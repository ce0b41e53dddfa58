"""Exim as a machine's way out: a whole exim.conf, and Debian's own way of saying the same.

Enters: a Job. Leaves: Made. Called by ``making``. Nothing fails. Exim expands ``$`` and ``\\`` in
what stands here, reads ``^`` in ``client_send`` as NUL and parts it at ``;``: see ``quote``.
"""

from __future__ import annotations

from posthouse.setup.profile import quote
from posthouse.setup.profile.mailers import ca_file, comment
from posthouse.setup.profile.model import PASSWORD_HERE, File, Job, Made, Settings

_SECRET = "/etc/exim/relay-password"  # noqa: S105  the name of a file
_TRUST = "/etc/exim/relay-ca.pem"
_DEBIAN_TRUST = "/etc/exim4/relay-ca.pem"
# The file's one line, without its end; ^ doubled, since client_send makes it NUL.
_READ = f"${{readfile{{{_SECRET}}}{{}}}}"
_READ_DOUBLED = rf"${{sg{{{_READ}}}{{\N[\^]\N}}{{^^}}}}"


def plain(job: Job) -> Made:
    """exim.conf for a machine that sends everything through the outgoing server."""
    settings = job.settings
    text = comment(job) + _CONFIG.format(
        host=job.endpoint.host,
        port=job.endpoint.port,
        protocol="smtps" if job.implicit_tls else "smtp",
        trust=_TRUST if settings.ca_pem else "system",
        must_auth="" if settings.anonymous else "  hosts_require_auth = *\n",
        sender=quote.exim(settings.email),
        authenticators="" if settings.anonymous else _authenticators(job),
    )
    files = [File("exim.conf", text.encode(), "/etc/exim/exim.conf", 0o644)]
    if not settings.anonymous:
        secret = f"{PASSWORD_HERE}\n".encode()
        files.append(File("relay-password", secret, _SECRET, 0o600))
    steps = ("steps",) if settings.anonymous else ("steps", "login", "last")
    return Made((*files, *ca_file(job, _TRUST)), steps, {"secret": _SECRET})


_CONFIG = """\
never_users = root
domainlist local_domains = @ : localhost
local_interfaces = 127.0.0.1
acl_smtp_rcpt = accept
host_lookup =
keep_environment =

begin routers

smarthost:
  driver = manualroute
  domains = ! +local_domains
  transport = smarthost
  route_list = * "<+ {host}" byname
  no_more

local:
  driver = accept
  check_local_user
  transport = local

begin transports

smarthost:
  driver = smtp
  port = {port}
  protocol = {protocol}
{must_auth}  hosts_require_tls = *
  tls_verify_certificates = {trust}
  tls_verify_hosts = *
  return_path = {sender}

local:
  driver = appendfile
  file = /var/mail/$local_part_data
  delivery_date_add
  envelope_to_add
  return_path_add

begin retry

*  *  F,2h,15m; G,16h,1h,1.5; F,4d,6h

begin authenticators
{authenticators}"""


def _authenticators(job: Job) -> str:
    """The one that the server is known to take, or PLAIN and LOGIN both."""
    settings = job.settings
    wanted = settings.mechanisms or ("PLAIN", "LOGIN")
    return "".join(text for name, text in _mechanisms(settings) if name in wanted)


def _mechanisms(settings: Settings) -> tuple[tuple[str, str], ...]:
    login = quote.exim_login(settings.login)
    return (
        (
            "PLAIN",
            "\nplain:\n  driver = plaintext\n  public_name = PLAIN\n"
            f"  client_send = <; ^{login}^{_READ_DOUBLED}\n",
        ),
        (
            "LOGIN",
            "\nlogin:\n  driver = plaintext\n  public_name = LOGIN\n"
            f"  client_send = <; ; {login} ; {_READ_DOUBLED}\n",
        ),
        (
            "CRAM-MD5",
            "\ncram_md5:\n  driver = cram_md5\n  public_name = CRAM-MD5\n"
            f"  client_name = {quote.exim(settings.login)}\n  client_secret = {_READ}\n",
        ),
    )


def debian(job: Job) -> Made:
    """Debian's three files. The macros stand twice: its two layouts read one place each."""
    settings = job.settings
    macros = {
        "REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS": "*",
        "REMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS": "*",
        "REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES": (
            _DEBIAN_TRUST if settings.ca_pem else "system"
        ),
        **({"REMOTE_SMTP_SMARTHOST_PROTOCOL": "smtps"} if job.implicit_tls else {}),
    }
    local = (comment(job) + "".join(f"{k} = {v}\n" for k, v in macros.items())).encode()
    conf = comment(job) + "".join(f"{k}='{v}'\n" for k, v in _debconf(job).items())
    files = [
        File("update-exim4.conf.conf", conf.encode(), "/etc/exim4/update-exim4.conf.conf"),
        File("exim4.conf.localmacros", local, "/etc/exim4/exim4.conf.localmacros"),
        File("000_localmacros", local, "/etc/exim4/conf.d/main/000_localmacros"),
    ]
    if not settings.anonymous:
        # "*": Exim looks up the name that the host's CNAME leads to, not the one given here.
        entry = f"*:{settings.login}:{PASSWORD_HERE}\n"
        files.append(File("passwd.client", entry.encode(), "/etc/exim4/passwd.client", 0o600))
    steps = ("steps",) if settings.anonymous else ("steps", "login", "last")
    return Made((*files, *ca_file(job, _DEBIAN_TRUST)), steps)


def _debconf(job: Job) -> dict[str, str]:
    return {
        "dc_eximconfig_configtype": "smarthost",
        "dc_other_hostnames": "",
        "dc_local_interfaces": "127.0.0.1 ; ::1",
        "dc_readhost": "",
        "dc_relay_domains": "",
        "dc_minimaldns": "false",
        "dc_relay_nets": "",
        "dc_smarthost": f"{job.endpoint.host}::{job.endpoint.port}",
        "CFILEMODE": "644",
        "dc_use_split_config": "false",
        "dc_hide_mailname": "",
        "dc_mailname_in_oh": "true",
        "dc_localdelivery": "mail_spool",
    }
