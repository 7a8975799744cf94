"""Which addresses this server asks on a user's word: loopback unless an operator allows more.

A name counts for nothing here but the addresses that it stands for, and a connection goes to one that was looked at:
a name that stands for another address a moment later gains nothing by it.
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from entrepot.core.errors import AddressRefused, InvalidRequest, Unavailable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK, PUBLIC = "loopback", "public"
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The addresses that may be asked: `loopback`, `public`, and networks such as 10.0.0.0/8."""

    words: tuple[str, ...]
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @staticmethod
    def of(words: Iterable[str]) -> "Allowed":
        """Read the setting `fetch_addresses`. Raises InvalidRequest."""
        told = tuple(words)
        try:
            networks = tuple(ipaddress.ip_network(word) for word in told if word not in (LOOPBACK, PUBLIC))
        except ValueError as error:
            raise InvalidRequest(
                f"fetch_addresses holds {LOOPBACK!r}, {PUBLIC!r} and networks such as '10.0.0.0/8': {error}"
            ) from error
        return Allowed(told, networks)

    @property
    def is_open(self) -> bool:
        """True when other machines may be asked."""
        return any(word != LOOPBACK for word in self.words)

    def holds(self, address: Address) -> bool:
        """Say whether an address, and the IPv4 address that it may carry, may be asked."""
        return all(map(self._holds, _faces(address)))

    def _holds(self, address: Address) -> bool:
        if any(address in network for network in self.networks):
            return True
        if address.is_loopback:
            return LOOPBACK in self.words
        is_public = address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
        is_public = is_public and not getattr(address, "is_site_local", False)  # fec0::/10, private before fc00::/7
        return is_public and PUBLIC in self.words

    def refusal(self, url: str, what: str) -> AddressRefused:
        """Return the error that names the switch."""
        return AddressRefused(
            f"{url!r} is {what}: this server fetches from {', '.join(self.words) or 'no address'} only. "
            "Its operator allows others with the setting fetch_addresses (ENTREPOT_FETCH_ADDRESSES)"
        )


def split(url: str) -> SplitResult:
    """Return the parts of a plain http(s) address. Raises InvalidRequest."""
    try:
        if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
            raise ValueError("it holds blanks, control characters or letters beyond ASCII")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "\\" in parts.netloc:
            raise ValueError("it must be http://host/path or https://host/path")
        if "@" in parts.netloc:
            raise ValueError("a name or password in an address is not supported")
        if parts.port == 0:
            raise ValueError("there is no port 0")
    except ValueError as error:
        raise InvalidRequest(f"{url[:200]!r} is no address to fetch from: {error}") from error
    return parts


def check(url: str, allowed: Allowed) -> None:
    """Refuse, without asking anybody, an address that `resolve` will refuse. Raises AddressRefused, InvalidRequest."""
    host = split(url).hostname or ""
    address = literal(host)
    if address is None:
        if host != "localhost" and not allowed.is_open:
            raise allowed.refusal(url, "not on this machine")
    elif not allowed.holds(address):
        raise allowed.refusal(url, described(address))


def resolve(url: str, allowed: Allowed) -> list[str]:
    """Return the addresses of a URL's host, numeric, that may be asked. Raises AddressRefused, Unavailable."""
    host = split(url).hostname or ""
    try:
        told = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Unavailable(f"{host!r} of {url!r} has no address: {error}") from error
    found = [ipaddress.ip_address(entry[4][0]) for entry in told]
    usable = [str(address) for address in found if allowed.holds(address)]
    if not usable:
        raise allowed.refusal(url, described(found[0]))
    return usable


def literal(host: str) -> Address | None:
    """Return the address that a host spells, in whatever way the C library reads (0x7f.1, 0177.0.0.1, 2130706433)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def described(address: Address) -> str:
    """Say what kind of address one is."""
    plain = _faces(address)[-1]
    for word, is_such in (
        ("unspecified", plain.is_unspecified), ("loopback", plain.is_loopback), ("link-local", plain.is_link_local),
        ("multicast", plain.is_multicast), ("reserved", plain.is_reserved), ("public", plain.is_global),
    ):  # fmt: skip
        if is_such:
            return f"at the {word} address {address}"
    return f"at the private address {address}"


def _faces(address: Address) -> tuple[Address, ...]:
    """Return an address and the IPv4 address inside it; a mapped one is that IPv4 address and nothing else."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address.teredo is not None:
        return (address, address.teredo[1])
    if address in _NAT64:
        return (address, ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return (address,)
