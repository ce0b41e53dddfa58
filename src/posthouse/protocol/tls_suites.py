"""TLS cipher suites: registered number, name, and whether anybody should still use it.

Enters: a number from a hello. Leaves: ``Suite``, and the lists that hellos offer. Called by
``tls_hello`` and ``net.tlsprobe``. Never fails: an unknown number shows as a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# IANA registry "TLS Cipher Suites": value -> name without "TLS_". The suites that mail servers of
# the last 25 years choose; others show by number.
_NAMES: Final = {
    0x0001: "RSA_WITH_NULL_MD5",
    0x0002: "RSA_WITH_NULL_SHA",
    0x0003: "RSA_EXPORT_WITH_RC4_40_MD5",
    0x0004: "RSA_WITH_RC4_128_MD5",
    0x0005: "RSA_WITH_RC4_128_SHA",
    0x0006: "RSA_EXPORT_WITH_RC2_CBC_40_MD5",
    0x0007: "RSA_WITH_IDEA_CBC_SHA",
    0x0008: "RSA_EXPORT_WITH_DES40_CBC_SHA",
    0x0009: "RSA_WITH_DES_CBC_SHA",
    0x000A: "RSA_WITH_3DES_EDE_CBC_SHA",
    0x0013: "DHE_DSS_WITH_3DES_EDE_CBC_SHA",
    0x0014: "DHE_RSA_EXPORT_WITH_DES40_CBC_SHA",
    0x0015: "DHE_RSA_WITH_DES_CBC_SHA",
    0x0016: "DHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0x0017: "DH_anon_EXPORT_WITH_RC4_40_MD5",
    0x0018: "DH_anon_WITH_RC4_128_MD5",
    0x001A: "DH_anon_WITH_DES_CBC_SHA",
    0x001B: "DH_anon_WITH_3DES_EDE_CBC_SHA",
    0x002F: "RSA_WITH_AES_128_CBC_SHA",
    0x0032: "DHE_DSS_WITH_AES_128_CBC_SHA",
    0x0033: "DHE_RSA_WITH_AES_128_CBC_SHA",
    0x0034: "DH_anon_WITH_AES_128_CBC_SHA",
    0x0035: "RSA_WITH_AES_256_CBC_SHA",
    0x0038: "DHE_DSS_WITH_AES_256_CBC_SHA",
    0x0039: "DHE_RSA_WITH_AES_256_CBC_SHA",
    0x003A: "DH_anon_WITH_AES_256_CBC_SHA",
    0x003B: "RSA_WITH_NULL_SHA256",
    0x003C: "RSA_WITH_AES_128_CBC_SHA256",
    0x003D: "RSA_WITH_AES_256_CBC_SHA256",
    0x0041: "RSA_WITH_CAMELLIA_128_CBC_SHA",
    0x0045: "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA",
    0x0067: "DHE_RSA_WITH_AES_128_CBC_SHA256",
    0x006B: "DHE_RSA_WITH_AES_256_CBC_SHA256",
    0x006C: "DH_anon_WITH_AES_128_CBC_SHA256",
    0x006D: "DH_anon_WITH_AES_256_CBC_SHA256",
    0x0084: "RSA_WITH_CAMELLIA_256_CBC_SHA",
    0x0088: "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA",
    0x0096: "RSA_WITH_SEED_CBC_SHA",
    0x009A: "DHE_RSA_WITH_SEED_CBC_SHA",
    0x009C: "RSA_WITH_AES_128_GCM_SHA256",
    0x009D: "RSA_WITH_AES_256_GCM_SHA384",
    0x009E: "DHE_RSA_WITH_AES_128_GCM_SHA256",
    0x009F: "DHE_RSA_WITH_AES_256_GCM_SHA384",
    0x00A6: "DH_anon_WITH_AES_128_GCM_SHA256",
    0x00A7: "DH_anon_WITH_AES_256_GCM_SHA384",
    0x00BA: "RSA_WITH_CAMELLIA_128_CBC_SHA256",
    0x00BE: "DHE_RSA_WITH_CAMELLIA_128_CBC_SHA256",
    0x00C0: "RSA_WITH_CAMELLIA_256_CBC_SHA256",
    0x00C4: "DHE_RSA_WITH_CAMELLIA_256_CBC_SHA256",
    0x00C6: "SM4_GCM_SM3",
    0x00C7: "SM4_CCM_SM3",
    0x1301: "AES_128_GCM_SHA256",
    0x1302: "AES_256_GCM_SHA384",
    0x1303: "CHACHA20_POLY1305_SHA256",
    0x1304: "AES_128_CCM_SHA256",
    0x1305: "AES_128_CCM_8_SHA256",
    0xC006: "ECDHE_ECDSA_WITH_NULL_SHA",
    0xC007: "ECDHE_ECDSA_WITH_RC4_128_SHA",
    0xC008: "ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
    0xC009: "ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    0xC00A: "ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    0xC010: "ECDHE_RSA_WITH_NULL_SHA",
    0xC011: "ECDHE_RSA_WITH_RC4_128_SHA",
    0xC012: "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    0xC013: "ECDHE_RSA_WITH_AES_128_CBC_SHA",
    0xC014: "ECDHE_RSA_WITH_AES_256_CBC_SHA",
    0xC015: "ECDH_anon_WITH_NULL_SHA",
    0xC016: "ECDH_anon_WITH_RC4_128_SHA",
    0xC017: "ECDH_anon_WITH_3DES_EDE_CBC_SHA",
    0xC018: "ECDH_anon_WITH_AES_128_CBC_SHA",
    0xC019: "ECDH_anon_WITH_AES_256_CBC_SHA",
    0xC023: "ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    0xC024: "ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
    0xC027: "ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    0xC028: "ECDHE_RSA_WITH_AES_256_CBC_SHA384",
    0xC02B: "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    0xC02C: "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    0xC02F: "ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    0xC030: "ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    0xC076: "ECDHE_RSA_WITH_CAMELLIA_128_CBC_SHA256",
    0xC077: "ECDHE_RSA_WITH_CAMELLIA_256_CBC_SHA384",
    0xC09C: "RSA_WITH_AES_128_CCM",
    0xC09D: "RSA_WITH_AES_256_CCM",
    0xC09E: "DHE_RSA_WITH_AES_128_CCM",
    0xC09F: "DHE_RSA_WITH_AES_256_CCM",
    0xC0AC: "ECDHE_ECDSA_WITH_AES_128_CCM",
    0xC0AD: "ECDHE_ECDSA_WITH_AES_256_CCM",
    0xC0AE: "ECDHE_ECDSA_WITH_AES_128_CCM_8",
    0xC0AF: "ECDHE_ECDSA_WITH_AES_256_CCM_8",
    0xCCA8: "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCA9: "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    0xCCAA: "DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
}
TLS13_SUITES: Final = (0x1301, 0x1302, 0x1303)
# RFC 9325 section 4.1 and RFC 7465: never NULL, export, anonymous, RC4, and DES of any length.
_WEAK_WORDS: Final = ("NULL", "EXPORT", "anon", "RC4", "RC2", "DES", "IDEA")


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite by its registered number."""

    number: int

    @property
    def name(self) -> str:
        """The registered name, or "0xC0FF"."""
        name = _NAMES.get(self.number)
        return f"TLS_{name}" if name else f"0x{self.number:04X}"

    @property
    def forward_secret(self) -> bool | None:
        """Whether a key stolen later opens nothing recorded now; None for an unknown suite."""
        name = _NAMES.get(self.number)
        if name is None:
            return None
        return self.number in _TLS13 or name.startswith(("ECDHE_", "DHE_", "DH_anon", "ECDH_anon"))

    @property
    def weak(self) -> bool:
        """Whether nobody should use it any more."""
        return any(word in _NAMES.get(self.number, "") for word in _WEAK_WORDS)


_TLS13: Final = frozenset((0x00C6, 0x00C7, 0x1301, 0x1302, 0x1303, 0x1304, 0x1305))


def _strength(number: int) -> tuple[bool, bool, bool, int]:
    suite = Suite(number)
    name = _NAMES[number]
    return (
        suite.weak,
        not suite.forward_secret,
        not ("GCM" in name or "CHACHA20" in name),
        -number,
    )


TLS12_SUITES: Final = tuple(sorted(_NAMES.keys() - _TLS13, key=_strength))
# To ask whether a server takes a broken cipher. Anonymous suites are left out: Postfix offers them
# on purpose to clients that could not check a certificate anyway.
WEAK_SUITES: Final = tuple(n for n in TLS12_SUITES if Suite(n).weak and "anon" not in _NAMES[n])
# SSL 3.0 to TLS 1.1 know neither AEAD nor SHA-2 suites (RFC 5246 section 1.2).
PRE_TLS12_SUITES: Final = tuple(n for n in TLS12_SUITES if _NAMES[n].endswith(("_SHA", "_MD5")))
