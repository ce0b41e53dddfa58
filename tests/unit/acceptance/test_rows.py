"""The table of capabilities, row by row: which tests show that a row is there.

A row without a test fails, and so does a test that no longer exists. What only a table of facts
shows (ports, names, words) is checked here.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from posthouse import directory
from posthouse.explain import catalogue
from posthouse.flow import Security
from posthouse.setup.find import words

TESTS = Path(__file__).parents[2]
ROWS = """
1    unit/find/test_rows.py::test_row_1_submissions_beats_submission
1    unit/find/test_sources.py::test_srv_submissions_first_then_priority
1    unit/cli/test_setup.py::test_json_holds_settings_and_what_was_proved
2    unit/find/test_inputs.py::test_server_findings
2    scenarios/test_s10_s18_banner.py::test_s14_imap_inside_tls
2    scenarios/test_s10_s18_banner.py::test_s14_incoming_server
3    unit/find/test_rows.py::test_row_3_one_host_for_both_is_fine
4    unit/find/test_rows.py::test_known_domains
4    unit/directory/test_facts.py::test_provider
5    unit/find/test_rows.py::test_the_credential_is_said
5    unit/find/test_rows.py::test_qq_in_chinese_names_the_code_and_where_to_make_it
6    unit/find/test_rows.py::test_known_domains
6    unit/acceptance/test_rows.py::test_row_6_port_25_is_never_for_submission
7    scenarios/test_s19_s29_tls.py::test_s29_a_password_is_never_sent_in_clear
7    scenarios/test_s19_s29_tls.py::test_s19_no_encryption_offered
8    unit/find/test_inputs.py::test_port_matrix
8    scenarios/test_choose_port.py::test_every_port_in_every_mode
12   scenarios/test_rows.py::test_row_12_three_ways_of_being_in_the_way
12   scenarios/test_s06_s09_tcp.py::test_s07_dropped_packets
13   unit/find/test_inputs.py::test_servers
13   unit/find/test_inputs.py::test_no_good
13   unit/find/test_any_text.py::test_any_input_is_read
15   unit/net/test_dial.py::test_a_dead_ipv6_address_costs_less_than_a_second
15   scenarios/test_s01_s05_dns.py::test_s04_ipv6_is_broken_and_ipv4_works
16   e2e/test_interop.py::test_the_extension_list_inside_and_outside_tls
16   e2e/test_interop.py::test_every_login_that_is_offered
16   e2e/test_interop.py::test_a_hard_message_arrives_unchanged_by_data
18   unit/acceptance/test_rows.py::test_row_18_modes_are_called_by_their_names
19   scenarios/test_s01_s05_dns.py::test_s01_typo_in_the_server_name
19   scenarios/test_s01_s05_dns.py::test_s02_a_mail_domain_is_no_server
19   scenarios/test_s19_s29_tls.py::test_s25_wrong_name_and_the_right_one
19   unit/directory/test_typo.py::test_host_meant
24   scenarios/test_rows.py::test_row_24_two_addresses_share_the_load_evenly
24   scenarios/test_rows.py::test_row_24_a_dead_address_is_skipped
25   scenarios/test_rows.py::test_row_25_the_nearest_node_is_chosen_and_why
25   scenarios/test_rows.py::test_row_25_measured_again_after_the_ttl
29   unit/directory/test_facts.py::test_provider
30   unit/find/test_rows.py::test_known_domains
31   scenarios/test_s10_s18_banner.py::test_s11_plain_words_to_a_tls_port
32   unit/find/test_rows.py::test_tenants
32   unit/directory/test_match.py::test_mx
33   scenarios/test_rows.py::test_row_33_account_password_authorization_code_revoked
35   unit/find/test_rows.py::test_ses_regions
35   unit/directory/test_ses.py::test_unknown_region
36   unit/find/test_rows.py::test_three_aliyun_products
40   unit/smtp/test_sasl_vectors.py::test_the_line_of_errata_e033
40   unit/smtp/test_sasl_human.py::test_the_line_of_errata_e033_is_two_parts
41   unit/directory/test_facts.py::test_carriers_are_kept_apart
42   unit/directory/test_facts.py::test_carriers_are_kept_apart
42   unit/find/test_inputs.py::test_no_good
43   unit/directory/test_facts.py::test_carriers_are_kept_apart
47   scenarios/test_s30_s36_auth.py::test_row_47_an_account_of_another_provider
47   unit/find/test_inputs.py::test_the_account_of_another_provider
48   scenarios/test_s30_s36_auth.py::test_row_48_the_provider_s_own_way
50   scenarios/test_rows.py::test_row_50_instead_of_telnet
67   scenarios/test_s19_s29_tls.py::test_row_67_sslv3_is_found
68   scenarios/test_s19_s29_tls.py::test_row_68_words_injected_behind_starttls
68   scenarios/test_s19_s29_tls.py::test_s20_starttls_erased_by_a_firewall
68   unit/smtp/test_smtp_smuggling.py::test_cve_2011_0411_commands_behind_starttls
89   scenarios/test_rows.py::test_row_89_587_is_blocked_and_465_is_proposed
90   unit/find/test_rows.py::test_row_90_exchange_needs_no_smtp
128  scenarios/test_s01_s05_dns.py::test_s01_the_domain_publishes_the_right_one
129  scenarios/test_choose_port.py::test_the_preferred_port_that_is_open
130  unit/directory/test_facts.py::test_user_name
131  unit/directory/test_ses.py::test_password
145  scenarios/test_rows.py::test_row_145_extensions_are_explained
145  scenarios/test_choose_port.py::test_the_capabilities_are_compared
146  scenarios/test_rows.py::test_row_146_open_relay_weak_tls_no_ptr_in_one
146  scenarios/test_s41_s45_rcpt.py::test_row_146_open_relay
"""
SERVED = (
    *range(1, 9), 12, 13, 15, 16, 18, 19, 24, 25, *range(29, 34), 35, 36, *range(40, 44), 47, 48,
    50, 67, 68, 89, 90, *range(128, 132), 145, 146,
)  # fmt: skip


def table() -> list[tuple[int, str, str]]:
    lines = (line.split() for line in ROWS.strip().splitlines())
    return [(int(row), *test.split("::", 1)) for row, test in lines]  # type: ignore[misc]


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text("utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


@pytest.mark.parametrize(("row", "file", "test"), table())
def test_the_test_of_a_row_exists(row: int, file: str, test: str) -> None:
    assert test in names_in(file), f"row {row}: {file} has no {test}"


def test_no_row_is_without_a_test() -> None:
    assert {row for row, _, _ in table()} == set(SERVED)


def test_row_6_port_25_is_never_for_submission() -> None:
    """163.com and all others: where a better port is known, 25 is not shown first or second."""
    assert {s.endpoint.port for s in directory.load("netease-163").servers} == {465, 994}
    for provider in map(directory.load, directory.ids()):
        ports = [s.endpoint.port for s in provider.offered]
        assert 25 not in ports[: len(set(ports)) - 1], provider.id


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_row_18_modes_are_called_by_their_names(lang: str) -> None:
    """RFC 8314: 465 is implicit TLS, 587 is STARTTLS, which is never called SSL."""
    implicit = words.security_text(Security.TLS, lang)
    assert "TLS" in implicit
    assert ("implicit" if lang == "en" else "隐式") in implicit
    assert words.security_text(Security.STARTTLS, lang) == "STARTTLS"
    assert catalogue(lang).text("probe.security.tls") == implicit
    assert catalogue(lang).text("probe.security.starttls") == "STARTTLS"


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("part", ["probe", "find"])
def test_row_18_nothing_says_ssl_for_587(lang: str, part: str) -> None:
    root = Path(directory.__file__).parents[1] / "explain" / "text" / lang / f"{part}.toml"
    for line in root.read_text("utf-8").splitlines():
        for clause in re.split(r"[,;:，；：。]|(?<=\d)[ ]?(?:or|或)", line):
            wrong = "587" in clause and "SSL" in clause and "STARTTLS" not in clause
            assert not (wrong and "465" not in clause), line
