"""Small valid inputs, from which the damaged ones are made."""

from __future__ import annotations

import base64
import plistlib
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address

import dns.flags
import dns.message
import dns.rrset
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

REPLIES = (
    b"220 mail.test ESMTP ready\r\n250 ok\r\n",
    b"250-mail.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250 AUTH PLAIN LOGIN\r\n",
    b"550-5.1.1 no such\r\n550 5.1.1 user\r\n",
    "535 登录失败，请使用授权码登录\r\n".encode("gb18030"),
    b"334 VXNlcm5hbWU6\r\n235 2.7.0 ok\r\n354 go\r\n421 4.3.2 bye\r\n",
    b"no code\r\n\r\n250\r\n250ok\n",
)
PASTED = (
    b"<** 535 5.7.8 Error: authentication failed",
    b"smtp; 550-5.7.1 a 550 5.7.1 b",
    b"host mx.test said: 554 5.7.1 <a@b.test>: Relay access denied (in reply to RCPT TO command)",
    b"334 eyJzdGF0dXMiOiI0MDAiLCJzY2hlbWVzIjoiQmVhcmVyIn0=\n535 5.7.8 no",
    "550 5.7.1 [192.0.2.1] 被拒绝 https://example.com/help".encode(),
    "535 授权码".encode("gb18030"),
    "535 Ошибка: неверный пароль".encode("cp1251"),
    b"(535, b'5.7.8 Username and Password not accepted. 2001:db8::1')",
)
EHLO = (b"SIZE 1000\nAUTH PLAIN LOGIN\nAUTH=CRAM-MD5\n8 BITMIME\nXXXXXXXA\nLIMITS RCPTMAX=10",)
COMMANDS = (
    b"EHLO me.test",
    b"MAIL FROM:<a@b.test> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x AUTH=<>",
    "RCPT TO:<ü@b.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;a@b.test".encode(),
    b"AUTH PLAIN AGFsaWNlAFdyZW4tNjA=",
    b"BDAT 10 LAST",
    b"XCLIENT NAME=a+20b ADDR=192.0.2.1",
    b"NOOP \tx",
    b"VRFY alice",
    b"STARTTLS",
)
SESSIONS = (
    b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nhi\r\n..dot\r\n.\r\nQUIT\r\n",
    b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nBDAT 3\r\nabcBDAT 2 LAST\r\ndeRSET\r\n",
    b"AUTH LOGIN\r\nYWxpY2U=\r\nV3Jlbi02MA==\r\nNOOP\r\n",
    b"AUTH PLAIN AGFsaWNlAFdyZW4tNjA=\r\nSTARTTLS\r\n\x16\x03\x01",
    b"BDAT x\r\n" + b"x" * 600 + b"\r\n",
)
BODIES = (
    b"Subject: x\r\n\r\nline\r\n..\r\n.dot\r\n.\r\nQUIT\r\n",
    b".\r\n",
    b"a\n.\n\r\n.\rb\r.\r\n\r\n.\r\n",
    b"\r\n\r\n" + b"x" * 1_002 + b"\r\n.\r\n",
)
PATHS = (
    b"<a@b.test> SIZE=1",
    b"<@relay.test,@[192.0.2.1]:a.b@c.test>",
    b'<"a \\" b"@c.test>',
    "<ü@例子.测试>".encode(),
    b"<a@[IPv6:2001:db8::1]>",
    b"<Postmaster>",
    b"<>",
)
XTEXT = (b"a+20b+2Bc", "ä=+".encode())
MASKED = (
    b"500 unrecognized: AUTH PLAIN AGFsaWNlAFdyZW4tNjA=",
    b"Authorization: Bearer ya29.x user=alice\x01auth=Bearer x\x01\x01",
    b"XCLIENT LOGIN=alice",
)

SASL_LINES = (b"AGFsaWNlAFdyZW4tNjA=", b"=", b"*", b"")
SASL_CHALLENGES = (
    b"\nUsername:\nPassword:",
    b"<1896.697@mail.test>\n",
    b"r=fixed nonce, 20 octsXYZ,s=c2FsdHNhbHQ=,i=4096\nv=AAAA",
    b"r="
    + base64.b64encode(b"fixed nonce, 20 octs")
    + b"XYZ,s=c2FsdHNhbHQ=,i=4096\nv="
    + b"A" * 44,
    b'{"status":"401","schemes":"bearer","scope":"mail"}\n',
)
SASL_RESPONSES = (
    b"\0alice\0Wren-60",
    b"alice\nWren-60",
    b"n,,n=alice,r=abcdefghijklmnop\nc=biws,r=abc,p=AAAA\n",
    b"user=alice\x01auth=Bearer token.1\x01\x01\n",
    b"n,a=alice,\x01host=mail.test\x01auth=Bearer token.1\x01\x01\n\x01",
    b"alice 3dbc88f0624776a737b39093f6eb6427",
)
SCRAM = (b"\0", b"\0\0", b"\x05\x01x", b"\x20\x00,m=1", b"\x01\x02y")
OAUTH = (
    b'{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}',
    base64.b64encode(b'{"status":"invalid_token","x":[1,{"y":null}],"z":1.5e3}'),
)
PLAIN_TYPED = (
    b"AUTH PLAIN AGFsaWNlAFdyZW4tNjA=",
    b"YWxpY2U=:V3Jlbi02MA==",
    b"AGFs aWNlAFdy\r\nZW4tNjAK",
    base64.b64encode(b"\\0alice\\0Wren-60"),
    base64.b64encode(b"alice:Wren-60"),
)
PREP = ("I\u00adX ª Ⅸ".encode(), "\u0627\u0031\u0628".encode(), "用户\u3000名".encode())

ADDRESSES = (
    b"Alice <alice@example.com>",
    b"mailto:alice%40x@example.com?subject=x",
    "爱丽丝＠例子．测试".encode(),
    b'"a b\\"c"@example.com',
    b"a@[IPv6:2001:db8::1]",
    b"alice@example.com, ",
    "user@bücher.example.".encode(),
)
HOSTS = (b"Mail.Example.COM.", "bücher.example".encode(), b"[2001:db8::1]", b"192.0.2.1", b"xn--a")
SERVERS = (
    b"smtp://user:pw@mail.test:587/",
    b"ssl://mail.test",
    b"[2001:db8::1]:465",
    "ｓｍｔｐ．example．com：465".encode(),
    b"mail.test , 25",
    b"https://mail.test:443/x?y#z",
)
FIRST = (
    b"220 hi",
    b"* OK hi",
    b"+OK hi",
    b"SSH-2.0-x",
    b"HTTP/1.1 400",
    b"\x15\x03\x01\0\x02\x02\x46",
)
HELLOS = (
    bytes.fromhex("15030100020246"),
    bytes.fromhex("160303003a020000360303")
    + b"r" * 32
    + bytes.fromhex("00c02f00000e000b00020100")
    + bytes.fromhex("0017000000230000"),
    bytes.fromhex("1603030034020000300303")
    + b"r" * 32
    + bytes.fromhex("00130200000b002b0002030400330000"),
)

AUTOCONFIG = (
    b"""<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1"><emailProvider id="example.com"><domain>example.com</domain>
<displayName>Example</displayName>
<incomingServer type="imap"><hostname>imap.example.com</hostname><port>993</port>
<socketType>SSL</socketType></incomingServer>
<incomingServer type="jmap"><url>https://jmap.example.com/x</url></incomingServer>
<outgoingServer type="smtp"><hostname>smtp.%EMAILDOMAIN%</hostname><port>465</port>
<socketType>SSL</socketType><username>%EMAILADDRESS%</username>
<authentication>OAuth2</authentication><authentication>password-cleartext</authentication>
</outgoingServer><documentation url="https://example.com/h"><descr lang="en">Help</descr>
</documentation></emailProvider><oAuth2><issuer>example.com</issuer><scope>mail</scope>
<authURL>https://example.com/a</authURL></oAuth2></clientConfig>""",
    """<?xml version="1.0" encoding="iso-8859-1"?><!DOCTYPE a [<!ENTITY x "y">]>
<clientConfig>&x;ü</clientConfig>""".encode("latin-1"),
)
POX = (
    b"""<?xml version="1.0"?><Autodiscover xmlns="http://schemas.microsoft.com/a"><Response>
<User><DisplayName>Alice</DisplayName></User><Account><AccountType>email</AccountType>
<Action>settings</Action><Protocol><Type>SMTP</Type><Server>smtp.example.com</Server>
<Port>587</Port><DomainRequired>on</DomainRequired><DomainName>EX</DomainName><SPA>on</SPA>
<SSL>on</SSL><LoginName>alice</LoginName></Protocol><Protocol Type="IMAP">
<Server>imap.example.com</Server></Protocol></Account></Response></Autodiscover>""",
    b"<Autodiscover><Response><Account><Action>redirectUrl</Action>"
    b"<RedirectUrl>https://a.example/x</RedirectUrl></Account></Response></Autodiscover>",
    b"<Autodiscover><Response><Error><ErrorCode>600</ErrorCode><Message>no</Message></Error>"
    b"</Response></Autodiscover>",
)
V2 = (
    b'{"Protocol":"AutodiscoverV1","Url":"https://outlook.office365.com/a"}',
    b'{"ErrorCode":"UserNotFound","ErrorMessage":"no"}',
)
PACC = (
    b'{"protocols":{"smtp":{"host":"smtp.example.com"},"imap":{"host":"imap.example.com"}},'
    b'"authentication":{"oauth-public":{"issuer":"https://example.com"},"password":true},'
    b'"info":{"provider":{"name":"Example"},"help":{"documentation":"https://example.com"}}}',
    b"v=UAAC1; a=sha256; d=" + base64.b64encode(b"d" * 32),
)
JSON = (b'{"a":[1,-2.5e3,"\\u00e9\\ud83d\\ude00",true,null,{"b":{}}]}', b"[[[]]]", b'"x"')
TXT = (b'"v=one" "two\\"\\059"', b"bare text", b'"unclosed')
SRV = (b"0 1 465 smtp.example.com.\n10 0 587 b.example.\n10 5 587 c.example.", b"0 0 0 .")
COMPANY = (
    b"""{"schema": 1, "name": "Example Ltd", "domains": ["example.com"],
 "outgoing": [{"host": "smtp.example.com", "port": 465, "security": "tls",
  "username": "%EMAILADDRESS%", "auth": ["password-cleartext"], "credential": "app_password"}],
 "incoming": [{"type": "imap", "host": "imap.example.com", "port": 993, "security": "tls"}],
 "documentation": "https://it.example.com/mail"}""",
)
_PROFILE = {
    "PayloadType": "Configuration",
    "PayloadContent": [
        {
            "PayloadType": "com.apple.mail.managed",
            "EmailAccountType": "EmailTypeIMAP",
            "EmailAddress": "alice@example.com",
            "OutgoingMailServerHostName": "smtp.example.com",
            "OutgoingMailServerPortNumber": 587,
            "OutgoingMailServerUseSSL": True,
            "OutgoingMailServerAuthentication": "EmailAuthPassword",
            "OutgoingMailServerUsername": "alice",
            "IncomingMailServerHostName": "imap.example.com",
            "PayloadDisplayName": "Mail",
        }
    ],
}
PROFILES = (
    plistlib.dumps(_PROFILE),
    plistlib.dumps(_PROFILE, fmt=plistlib.FMT_BINARY),
    b"\x30\x82\x01\x00" + plistlib.dumps(_PROFILE) + b"\xa0\x82",
)

IMAP = (
    b"* OK hi\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN ID\r\nP1 OK\r\n+ \r\nP2 OK\r\n"
    b"* CAPABILITY IMAP4rev1 ID\r\nP3 OK\r\n* ID NIL\r\nP4 OK\r\n"
    b'* LIST (\\Junk) "/" "Spam"\r\n* LIST () "/" {4}\r\nJunk\r\nP5 OK\r\n'
    b"* 2 EXISTS\r\nP6 OK\r\n* 2 FETCH (BODY[HEADER.FIELDS (MESSAGE-ID)] {21}\r\n"
    b"Message-ID: <a@b>\r\n\r\n)\r\nP7 OK\r\n* 2 FETCH (BODY[HEADER] {21}\r\n"
    b"Message-ID: <a@b>\r\n\r\n)\r\nP8 OK\r\n",
    b"* OK hi\r\n* CAPABILITY IMAP4rev1\r\nP1 OK\r\n+ \r\n+ \r\nP2 NO Wren-60 is wrong\r\n",
    b"* OK hi\r\n* CAPABILITY AUTH=PLAIN\r\nP1 OK\r\n+ \r\nP2 BAD AGFsaWNlAFdyZW4tNjA=\r\n",
)
HTTP = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: x\r\n\r\nhello",
    b"HTTP/1.1 302 Found\r\nLocation: https://other.example/x\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 301 x\r\nLocation: //[\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 no\r\nConnection: close\r\n\r\nbody",
)
SMTP_SERVER = (
    b"220 hi\r\n250-mail.test\r\n250-PIPELINING\r\n250 AUTH PLAIN\r\n"
    b"535 5.7.8 Wren-60 AGFsaWNlAFdyZW4tNjA=\r\n",
    b"220 hi\r\n250-mail.test\r\n250 AUTH PLAIN\r\n235 ok\r\n"
    b"250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n221 x\r\n",
    b"* OK imap\r\n",
    b"220 ftp\r\n",
    b"\x15\x03\x01\x00\x02\x02\x46",
)
STARTTLS = (
    b"220 hi\r\n250-mail.test\r\n250 STARTTLS\r\n220 go\r\n"
    b"250 injected\r\n250-x\r\n250 AUTH PLAIN\r\n",
)
TIMES = (
    b"220 mail.test ESMTP Exim 4.97 Tue, 13 Jan 2026 10:00:00 +0100",
    b"Tue Jan 13 10:00:00 2026",
    b"2026-01-13T10:00:00.5Z",
)

BOUNCES = (
    b"""From: MAILER-DAEMON@mx.test\r
Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r
\r
--b\r
Content-Type: text/plain\r
\r
Sorry\r
--b\r
Content-Type: message/delivery-status\r
\r
Reporting-MTA: dns; mx.test\r
\r
Final-Recipient: rfc822; bob@example.org\r
Action: failed\r
Status: 5.1.1\r
Remote-MTA: dns; mx.example.org\r
Diagnostic-Code: smtp; 550 5.1.1 User unknown\r
\r
--b\r
Content-Type: message/rfc822\r
\r
Message-ID: <1@posthouse.test>\r
Content-Transfer-Encoding: base64\r
\r
aGk=\r
--b--\r
""",
    b"From: mailer-daemon@mx.test\nTo: a@b.test\nSubject: Delivery failed\n"
    b"Auto-Submitted: auto-replied\nX-Failed-Recipients: c@d.test\n\nThis is the mail system at "
    b"host mx.test.\n\n<c@d.test>: host mx.d.test[192.0.2.1] said: 452 4.2.2\n"
    b"    over quota (in reply to RCPT TO command)\n\n"
    b"--- Below this line is a copy of the message.\n\nMessage-ID: <1@b.test>\nSubject: x\n\nhi\n",
    b"From: postmaster@mx.test\nContent-Type: multipart/report; boundary=b\n\n--b\n\nok\n--b\n"
    b"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.test\n\nFinal-Recipient: "
    b"rfc822; c@d.test\nAction: delivered\nStatus: 2.0.0\n\nFinal-Recipient: rfc822; e@f.test\n"
    b"Action: delayed\nStatus: 4.4.1\nDiagnostic-Code: smtp; 451 4.4.1 timeout\n\n--b--\n",
    b'{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bouncedRecipients":[{'
    b'"emailAddress":"c@d.test","action":"failed","status":"5.1.1",'
    b'"diagnosticCode":"smtp; 550 x"}],"reportingMTA":"dsn; a.test"},'
    b'"mail":{"messageId":"1","destination":["c@d.test"]}}',
)
REPORTS = (
    b"Reporting-MTA: dns; mx.test\nArrival-Date: x\n\nFinal-Recipient: utf-8; b\\x{e4}@x.test\n"
    b"Original-Recipient: rfc822;a+2Bb@x.test\nAction: failed\nStatus: 5.1.1 (x)\n"
    b"Diagnostic-Code: smtp;\n 550-5.1.1 no\n 550 5.1.1 user\nRemote-MTA: dns;[192.0.2.1]\n",
)
PIECES = (
    b"from a.test (b.test [192.0.2.1]) by c.test with ESMTPS id 1; Tue, 13 Jan 2026 10:00:00 +0100",
    b"=?utf-8?B?5o6I?= =?gb2312?Q?=CA=DA?= x",
    b"<html><style>x</style><p>a&amp;b<br>c&#20013;<!-- x --></html>",
)
PROVIDERS = (
    """id = "x"
kind = "mailbox"
name = { en = "X", zh = "某邮箱" }
domains = ["x.example"]
[username]
form = "address"
[credential]
kinds = ["password"]
trust = "official"
[[servers]]
host = "smtp.x.example"
port = 465
security = "tls"
trust = "official"
[[sources]]
name = "X help"
url = "https://x.example/help"
date = "2026-01-01"
trust = "official"
covers = ["servers", "credential"]
""".encode(),
)


@cache
def dns_messages() -> tuple[bytes, ...]:
    """Answers with an alias, of several types."""
    made = []
    for type_, text in (
        ("A", "192.0.2.1"),
        ("TXT", '"v=spf1" " -all"'),
        ("MX", "10 mx.example.com."),
        ("SRV", "0 1 465 smtp.example.com."),
        ("TLSA", "3 1 1 " + "ab" * 32),
    ):
        query = dns.message.make_query("mail.example.com", type_, use_edns=0)
        query.id = 0x1234
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        alias = dns.rrset.from_text("mail.example.com.", 60, "IN", "CNAME", "real.example.com.")
        found = dns.rrset.from_text("real.example.com.", 60, "IN", type_, text)
        response.answer += [alias, found]
        made.append(response.to_wire())
    return tuple(made)


@cache
def certificates() -> tuple[bytes, ...]:
    """One certificate with most that a mail server's has; the same on every run."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example Ältd"),
            x509.NameAttribute(NameOID.COMMON_NAME, "mail.test"),
        ]
    )
    alternatives = [
        x509.DNSName("mail.test"),
        x509.DNSName("*.mail.test"),
        x509.IPAddress(ip_address("192.0.2.1")),
        x509.UniformResourceIdentifier("https://mail.test/"),
    ]
    issuer = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS,
        x509.UniformResourceIdentifier("http://ca.test/ca.crt"),
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2049, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityInformationAccess([issuer]), critical=False)
        .sign(key, None)
    )
    return (made.public_bytes(Encoding.DER),)
