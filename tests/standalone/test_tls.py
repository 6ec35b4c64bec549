"""The certificate of a local authority: right names, right end, and nothing else is trusted."""

import stat
from datetime import timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from riskcast.core.clock import wall
from riskcast.core.errors import SettingsError
from riskcast.standalone.tls import issue


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_it_carries_the_names_and_ends_when_asked(tmp_path):
    issued = issue(tmp_path / "keys", ("Risk.Example", "10.0.0.7", "::1", "10.0.0.7"), 30)
    found = read(issued.certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["risk.example"]
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("10.0.0.7"), ip_address("::1")]
    assert abs(found.not_valid_after_utc - wall() - timedelta(days=30)) < timedelta(minutes=5)
    assert found.not_valid_before_utc < wall()
    key = load_pem_private_key(issued.key.read_bytes(), None)
    assert key.public_key() == found.public_key()
    found.verify_directly_issued_by(read(issued.authority))


def test_renewing_keeps_the_authority_that_clients_trust(tmp_path):
    first = issue(tmp_path, ("localhost",), 2)
    authority, old = first.authority.read_bytes(), read(first.certificate)
    again = issue(tmp_path, ("localhost",), 2)
    assert again.authority.read_bytes() == authority
    assert read(again.certificate).serial_number != old.serial_number
    read(again.certificate).verify_directly_issued_by(read(again.authority))


def test_a_server_certificate_can_sign_no_other(tmp_path):
    issued = issue(tmp_path, ("localhost",), 2)
    constraints = [
        read(path).extensions.get_extension_for_class(x509.BasicConstraints).value
        for path in (issued.certificate, issued.authority)
    ]
    assert [(each.ca, each.path_length) for each in constraints] == [(False, None), (True, 0)]


def test_keys_are_their_owners_alone(tmp_path):
    issue(tmp_path / "keys", ("localhost",), 2)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "keys").iterdir()}
    assert modes == dict.fromkeys(("tls-ca.pem", "tls-ca.key", "tls.pem", "tls.key"), 0o600)


@pytest.mark.parametrize(
    ("names", "days", "named"),
    [
        (("a b",), 2, "a b"), (("-x.example",), 2, "-x.example"), (("x" * 64,), 2, "host name"),
        ((), 2, "needs a name"), (("localhost",), 0, "0 days"), (("localhost",), 826, "826 days"),
    ],
)  # fmt: skip
def test_what_no_certificate_can_carry_is_refused_by_name(tmp_path, names, days, named):
    with pytest.raises(SettingsError, match=named):
        issue(tmp_path / "keys", names, days)
    assert not (tmp_path / "keys").exists()


def test_half_an_authority_or_a_foreign_key_is_never_replaced(tmp_path):
    issued = issue(tmp_path, ("localhost",), 2)
    key = tmp_path / "tls-ca.key"
    own = key.read_bytes()
    key.write_bytes(issued.key.read_bytes())
    with pytest.raises(SettingsError, match="not the key of"):
        issue(tmp_path, ("localhost",), 2)
    key.unlink()
    with pytest.raises(SettingsError, match="put both back"):
        issue(tmp_path, ("localhost",), 2)
    key.write_bytes(own)
    issue(tmp_path, ("localhost",), 2)
