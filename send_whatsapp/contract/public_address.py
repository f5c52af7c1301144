"""Which IP addresses and host names are public, from tables of our own.

`ipaddress.is_global` gives other answers after some patch releases of Python. One version of this
project must give one answer, so it has the tables:

- https://www.iana.org/assignments/iana-ipv4-special-registry
- https://www.iana.org/assignments/iana-ipv6-special-registry
- https://www.iana.org/assignments/special-use-domain-names
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

_NOT_PUBLIC_IPV4 = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 791)
        "10.0.0.0/8",  # private use (RFC 1918)
        "100.64.0.0/10",  # shared address space, with 100.100.100.200 of Alibaba (RFC 6598)
        "127.0.0.0/8",  # loopback (RFC 1122)
        "168.63.129.16/32",  # the host of a virtual machine on Azure
        "169.254.0.0/16",  # link-local, with 169.254.169.254 of most clouds (RFC 3927)
        "172.16.0.0/12",  # private use (RFC 1918)
        "192.0.0.0/24",  # IETF protocols, with 192.0.0.192 of Oracle (RFC 6890)
        "192.0.2.0/24",  # documentation (RFC 5737)
        "192.88.99.0/24",  # 6to4 relays, deprecated (RFC 7526)
        "192.168.0.0/16",  # private use (RFC 1918)
        "198.18.0.0/15",  # benchmarking (RFC 2544)
        "198.51.100.0/24",  # documentation (RFC 5737)
        "203.0.113.0/24",  # documentation (RFC 5737)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, with the limited broadcast (RFC 1112, RFC 8190)
    )
)

# IANA has assigned no other unicast addresses. Everything outside is refused: loopback, unique
# local, link-local, site-local, multicast, NAT64 and IPv4-compatible addresses, and what is unused.
_GLOBAL_UNICAST_IPV6 = IPv6Network("2000::/3")
_NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocols: Teredo, benchmarking, ORCHID (RFC 2928)
        "2001:db8::/32",  # documentation (RFC 3849)
        "2002::/16",  # 6to4, deprecated (RFC 7526)
        "3ffe::/16",  # the 6bone, closed (RFC 3701)
        "3fff::/20",  # documentation (RFC 9637)
    )
)

_NOT_PUBLIC_NAMES = (
    # Names that a private network may resolve (RFC 6761, RFC 6762, RFC 8375; `internal`: ICANN).
    *("arpa", "internal", "local", "localhost"),
    # Common in private networks, and no top-level domains (RFC 6762, appendix G).
    *("corp", "home", "intranet", "lan", "localdomain", "private", "svc"),
    # Metadata of clouds.
    *("metadata.goog", "metadata.packet.net", "metadata.platformequinix.com"),
    "metadata.tencentyun.com",
)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Return whether the address belongs to one host on the Internet.

    An IPv4-mapped IPv6 address is judged by its IPv4 address.
    """
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_IPV4)
    return address in _GLOBAL_UNICAST_IPV6 and not any(
        address in network for network in _NOT_PUBLIC_IPV6
    )


def is_public_name(host: str) -> bool:
    """Return whether a host name in lower case can be a name on the Internet."""
    return "." in host and not any(
        host == name or host.endswith(f".{name}") for name in _NOT_PUBLIC_NAMES
    )
