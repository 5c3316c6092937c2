"""From where a request comes, with proxies before the server and liars before them."""

from __future__ import annotations

import pytest

from realtime.addresses import caller_of, holder_of, parse_networks

PROXIES = parse_networks("10.0.0.0/8, 127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.5", [], "203.0.113.5"),
        ("203.0.113.5", ["1.2.3.4"], "203.0.113.5"),  # anybody can write the header
        ("10.1.1.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.1.1.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),  # what stands before is the caller's word
        ("10.1.1.1", ["6.6.6.6", "1.2.3.4, 10.2.2.2"], "1.2.3.4"),
        ("10.1.1.1", ["1.2.3.4:5678"], "1.2.3.4"),
        ("10.1.1.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.1.1.1", ["nonsense"], "10.1.1.1"),
        ("10.1.1.1", ["1.2.3.4, "], "10.1.1.1"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["10.2.2.2"] * 100, "10.2.2.2"),
        (None, ["1.2.3.4"], ""),
    ],
)
def test_the_last_address_that_is_no_proxy_is_the_callers(peer, forwarded, caller):
    assert caller_of(peer, forwarded, PROXIES) == caller


@pytest.mark.parametrize(
    ("address", "holder"),
    [
        ("203.0.113.5", "203.0.113.5"),
        ("127.0.0.1", ""),
        ("::1", ""),
        ("", ""),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.5", "203.0.113.5"),
        ("::ffff:127.0.0.1", ""),
    ],
)
def test_limits_count_a_network_of_ipv6_and_never_this_machine(address, holder):
    assert holder_of(address) == holder


def test_a_network_that_is_none_is_refused():
    assert parse_networks("") == ()
    with pytest.raises(ValueError, match="no IP address or network"):
        parse_networks("10.0.0.0/8,proxy.example")
