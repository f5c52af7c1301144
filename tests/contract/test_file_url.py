"""File URLs: only those of a public host are accepted, and they stay byte for byte."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from send_whatsapp.contract.file_url import InvalidFileUrl, check_file_url
from send_whatsapp.contract.request import SendWhatsAppRequest
from send_whatsapp.contract.validation import problems

NETWORKS = [
    IPv4Network(text)
    for text in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    )
]
METADATA_IPV4 = [
    *("100.100.100.200", "168.63.129.16", "169.254.169.254", "169.254.170.2", "192.0.0.192")
]
NOT_PUBLIC_IPV4 = [
    *(address for network in NETWORKS for address in (network[0], network[1], network[-1])),
    *(IPv4Address(text) for text in METADATA_IPV4),
]
NOT_PUBLIC_IPV6 = [
    *("::", "::1", "::2", "::1.2.3.4", "::8.8.8.8", "::ffff:0:8.8.8.8"),
    *("64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "64:ff9b:1:ffff::1"),
    *("100::1", "100:0:0:1::1", "5f00::1", "4000::1", "1fff:ffff::1"),
    *("2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1", "2001:10::1", "2001:20::1"),
    *("2001:1ff:ffff::1", "2001:db8::1", "2001:0db8:ffff::1"),
    *("2002:a00:1::1", "2002:7f00:1::1", "2002:808:808::1", "3ffe::1", "3fff::1", "3fff:fff::1"),
    *("fc00::1", "fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fdff:ffff::1"),
    *("fe80::1", "febf::1", "fec0::1", "feff::1", "ff02::1", "ff0e::1", "ffff::1"),
]
PUBLIC_IPV4 = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255"),
    *("169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0"),
    *("192.88.98.1", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    "223.255.255.255",
]
PUBLIC_IPV6 = ["2606:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2a00::1", "3ffd::1"]


def accepts(url: str) -> bool:
    try:
        return check_file_url(url) == url
    except InvalidFileUrl:
        return False


def spellings(address: IPv4Address) -> list[str]:
    """Return the ways to write an IPv4 address that WHATWG, inet_aton or a person knows."""
    number = int(address)
    a, b, c, d = address.packed
    return [
        *(f"{a}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d}.", f"{a}.{b}.{c * 256 + d}", f"{number}"),
        *(f"{a}.{number % 2**24}", f"{number:#x}", f"{number:#X}", f"0{number:o}", f"0o{number:o}"),
        *(f"{a:#x}.{b:#x}.{c:#x}.{d:#x}", f"0{a:o}.0{b:o}.0{c:o}.0{d:o}", f"0{a}.{b}.{c}.{d}"),
        *(f"{a:#x}.{b}.{c}.{d}", f"{a}.{b}.{c}.{d:#x}", f"{number + 2**32}", f"{a}.{b}.{c}.{d}.."),
        *(f"{a}.{b}.{c}.%3{d % 10}", f"{a}%2e{b}%2e{c}%2e{d}", f"{a}\u3002{b}\u3002{c}\u3002{d}"),
        "".join(chr(ord(x) + 0xFEE0) if x.isdigit() else x for x in str(address)),
    ]


def ipv6_forms(address: IPv4Address) -> list[IPv6Address]:
    """Return the IPv6 addresses that contain an IPv4 address."""
    number = int(address)
    return [
        IPv6Address(number),
        *(
            IPv6Address(f"{prefix}::") + number
            for prefix in ("64:ff9b", "64:ff9b:1", "0:0:0:0:ffff:0")
        ),
        IPv6Address(0xFFFF << 32 | number),
        IPv6Address(0x2002 << 112 | number << 80 | 1),
        IPv6Address(0x20010000 << 96 | number << 64 | number ^ 0xFFFFFFFF),
    ]


def ipv6_spellings(address: IPv6Address) -> list[str]:
    tail = IPv4Address(int(address) % 2**32)
    groups = address.exploded.split(":")
    return [
        *(address.compressed, address.exploded, address.exploded.upper()),
        ":".join([*groups[:6], str(tail)]),
    ]


@pytest.mark.parametrize("address", NOT_PUBLIC_IPV4, ids=str)
def test_an_ipv4_address_that_is_not_public_is_refused_in_every_spelling(
    address: IPv4Address,
) -> None:
    urls = [f"http://{host}/a" for host in spellings(address)]
    urls += [f"http://[{host}]/a" for v6 in ipv6_forms(address) for host in ipv6_spellings(v6)]
    assert [url for url in urls if accepts(url)] == []


@given(st.integers(0, 2**32 - 1), st.sampled_from(["", ":80", ":8443"]))
def test_an_ipv4_address_is_public_unless_a_network_says_otherwise(number: int, port: str) -> None:
    address = IPv4Address(number)
    public = not any(address in network for network in NETWORKS)
    assert accepts(f"https://{address}{port}/a") is (public and str(address) not in METADATA_IPV4)


@given(st.sampled_from(NETWORKS), st.data())
def test_every_address_of_a_network_that_is_not_public_is_refused(
    network: IPv4Network, data: st.DataObject
) -> None:
    address = network[data.draw(st.integers(0, network.num_addresses - 1))]
    assert not any(accepts(f"https://{host}/a") for host in spellings(address))
    assert not any(accepts(f"https://[{form}]/a") for form in ipv6_forms(address))


@pytest.mark.parametrize("text", NOT_PUBLIC_IPV6)
@pytest.mark.parametrize("zone", ["", "%eth0", "%25eth0", "%251"])
def test_an_ipv6_address_that_is_not_public_is_refused_in_every_spelling(
    text: str, zone: str
) -> None:
    hosts = ipv6_spellings(IPv6Address(text))
    assert [host for host in hosts if accepts(f"http://[{host}{zone}]:80/a")] == []


@pytest.mark.parametrize("host", [*PUBLIC_IPV4, *(f"[{address}]" for address in PUBLIC_IPV6)])
def test_a_public_address_is_accepted(host: str) -> None:
    for url in (f"https://{host}/a", f"http://{host}:8080", f"HTTPS://{host}?b#c"):
        assert check_file_url(url) == url


@pytest.mark.parametrize("address", PUBLIC_IPV4)
def test_an_ipv4_mapped_address_is_judged_by_its_ipv4_address(address: str) -> None:
    assert accepts(f"https://[::ffff:{address}]/a")


def test_the_verdict_does_not_depend_on_the_python_version(monkeypatch: pytest.MonkeyPatch) -> None:
    def varies(self: object) -> bool:
        raise AssertionError("this property differs between patch releases of Python")

    for kind in (IPv4Address, IPv6Address):
        for name in ("is_global", "is_private", "is_reserved", "is_site_local"):
            if hasattr(kind, name):
                monkeypatch.setattr(kind, name, property(varies))
    assert accepts("https://8.8.8.8/a")
    assert accepts("https://[2606:4700::1111]/a")
    assert not accepts("https://10.0.0.1/a")
    assert not accepts("https://[fec0::1]/a")


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain"),
        *("intranet", "a.intranet", "printer.local", "printer.LOCAL.", "nas.lan", "router.home"),
        *("router.home.arpa", "1.0.0.127.in-addr.arpa", "git.corp", "a.private", "db.svc"),
        *("host.docker.internal", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"),
        *("metadata", "metadata.google.internal", "METADATA.google.internal.", "metadata.goog"),
        *("instance-data", "instance-data.ec2.internal", "metadata.azure.internal"),
        *("metadata.tencentyun.com", "metadata.packet.net", "metadata.platformequinix.com"),
    ],
)
def test_a_name_of_a_private_network_or_of_a_metadata_service_is_refused(host: str) -> None:
    assert not accepts(f"http://{host}/a")
    assert not accepts(f"http://{host}:8080")


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/a", "javascript:alert(1)", "example.com/a", "//example.com/a"),
        *("http:/example.com/a", "http:example.com/a", "https:///a", "https:////example.com/a"),
        *(" https://example.com/a", "\x00https://example.com/a", "ht\ntps://example.com/a"),
        # Userinfo, backslashes and other tricks to name a second host.
        "https://user:secret@example.com/a",
        "https://user@example.com/a",
        "https://@example.com/a",
        "https://:@example.com/a",
        "https://example.com@127.0.0.1/a",
        "https://example.com%40127.0.0.1/a",
        "https://example.com:80@127.0.0.1/a",
        "https://example.com\\@127.0.0.1/a",
        "https://127.0.0.1\\.example.com/a",
        "https:\\\\example.com\\a",
        "https://example.com%2F@127.0.0.1/a",
        "https://example.com%00.127.0.0.1/a",
        "https://example.com,127.0.0.1/a",
        "https://example.com;127.0.0.1/a",
        *("https://[2606:4700::1111]127.0.0.1/a", "https://127.0.0.1[2606:4700::1111]/a"),
        *("https://[2606:4700::1111].example.com/a", "https://[2606:4700::1111]]/a"),
        "https://[[2606:4700::1111]]/a",
        # Hosts and ports that are not well-formed.
        *("https://[fe80::1/a", "https://fe80::1/a", "https://[zz]/a", "https://[]/a"),
        *("https://[v1.fe80::1]/a", "https://[1.2.3.4]/a", "https://[2606:4700::1111%25eth0]/a"),
        *("https://1.2.3.4.5/a", "https://256.1.1.1/a", "https://0x/a", "https://example.0x8/a"),
        *("https://example.com:0/a", "https://example.com:99999/a", "https://example.com:+80/a"),
        *("https://example.com:8 0/a", "https://example.com:80:80/a", "https://:80/a"),
        *("https://exa mple.com/a", "https://-example.com/a", "https://example-.com/a"),
        *("https://example..com/a", "https://example.com../a", "https://.example.com/a"),
        "https://" + "a" * 64 + ".com/a",
        "https://" + "a." * 127 + "com/a",
        "https://" + "\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54/a",
        *("https://loc%61lhost/a", "https://%6c%6f%63%61%6c%68%6f%73%74.com/a"),
        *("https://m\u00fcnchen.de/a", "https://example\u3002com/a", "https://example.\u212aom/a"),
        "https://exam\u00adple.com/a",
        # Characters that must be percent-encoded.
        "https://example.com/a b",
        "https://example.com/a\nb",
        "https://example.com/a\u2028b",
        "https://example.com/" + "a" * 3000,
    ],
)
def test_a_file_url_must_name_a_public_host(url: str) -> None:
    with pytest.raises(ValidationError) as refused:
        SendWhatsAppRequest(to="+1234567890", file_url=url, file_type="image")
    problem = problems(refused.value)[0]
    assert problem.field == "file_url"
    assert url not in str(problem)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTP://EXAMPLE.com./A.PNG",
        "https://xn--mnchen-3ya.de/a.png",
        "https://a_b.example.com:443/a.png",
        "https://example.com:/a.png",
        "https://example.com:080/a.png",
        "https://127.example.com/a.png",
        "https://localhost.example.com/a.png",
        "https://8.8.8.8/a.png",
        "https://8.8.8.8./a.png",
        "https://[2606:4700::1111]:8443/a.png",
        "https://[2606:4700:0:0:0:0:0:1111]/a.png",
        "https://example.com/b%C3%BCro.png?sig=a%2Bb==",
        "https://example.com/a@b[1].png?c=d@127.0.0.1#@10.0.0.1",
        "https://example.com/b\u00fcro.png",
        "https://example.com?a=b",
        "https://example.com#a",
    ],
)
def test_a_public_file_url_stays_byte_for_byte(url: str) -> None:
    request = SendWhatsAppRequest(to="+1234567890", file_url=url, file_type="image")
    assert request.file_url == url
