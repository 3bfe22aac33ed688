"""Which addresses callbacks may reach."""

import pytest

from threadmill_worker.callbacks.addresses import is_allowed, is_public

#: What only this machine or its network can reach, in the forms that a name resolves to.
PRIVATE = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254"),
    *("100.100.100.200", "127.0.0.1", "127.1.2.3", "169.254.1.1", "169.254.169.254", "169.254.170.2"),
    *("172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "2001::1"),
    *("2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1"),
    *("ff02::1", "100::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_refused(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "2002:808:808::"])
def test_a_public_address_may_be_called(address):
    assert is_public(address)


@pytest.mark.parametrize("allowed", ["10.0.0.0/8", "10.1.2.3", "Hooks.internal", "hooks.internal."])
def test_a_setting_allows_a_name_an_address_or_a_network(allowed):
    assert is_allowed("10.1.2.3", "hooks.internal", [allowed])
    assert is_allowed("::ffff:10.1.2.3", "hooks.internal", [allowed])


def test_what_the_setting_does_not_name_stays_refused():
    assert not is_allowed("10.1.2.3", "evil.example", ["192.168.0.0/16", "hooks.internal"])
