"""The XML of the Azure Blob service: lists of blobs, block lists, tags, errors. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from email.utils import formatdate
from urllib.parse import parse_qsl
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from entrepot.core.errors import InvalidRequest
from entrepot.store.blocklists import COMMITTED, LATEST, UNCOMMITTED, Block, Wanted
from entrepot.store.containers import BlobItem, Listing

_MOST_TAGS = 10  # as in Azure, and so are the lengths and the letters
_TAG = re.compile(r"[A-Za-z0-9 +\-./:=_]*\Z")
_HEAD = '<?xml version="1.0" encoding="utf-8"?>'


def error_xml(code: str, message: str) -> bytes:
    """Render an error."""
    return f"{_HEAD}<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>".encode()


def listing_xml(
    container: str,
    listing: Listing,
    *,
    origin: str,
    prefix: str,
    delimiter: str,
    marker: str,
    limit: int,
    include: Collection[str],
) -> bytes:
    """Render a page of a list, blobs and prefixes in name order. `include`: metadata, tags, copy."""
    rows = [(item.name, _blob_xml(item, include)) for item in listing.items]
    rows += [(name, f"<BlobPrefix><Name>{escape(name)}</Name></BlobPrefix>") for name in listing.prefixes]
    echoed = [("Prefix", prefix), ("Marker", marker), ("Delimiter", delimiter)]
    parts = [
        f"{_HEAD}<EnumerationResults ServiceEndpoint={quoteattr(origin + '/')} ContainerName={quoteattr(container)}>"
    ]
    parts += [f"<{name}>{escape(value)}</{name}>" for name, value in echoed if value]
    parts.append(f"<MaxResults>{limit}</MaxResults><Blobs>")
    parts += [row for _, row in sorted(rows)]
    parts.append(f"</Blobs><NextMarker>{escape(listing.next or '')}</NextMarker></EnumerationResults>")
    return "".join(parts).encode()


def block_list_xml(committed: Sequence[Block], waiting: Sequence[Block]) -> bytes:
    """Render the blocks of a blob, by the ids that the client gave them."""

    def rows(blocks: Sequence[Block]) -> str:
        return "".join(f"<Block><Name>{escape(b.id)}</Name><Size>{b.size_bytes}</Size></Block>" for b in blocks)

    inner = (
        f"<CommittedBlocks>{rows(committed)}</CommittedBlocks><UncommittedBlocks>{rows(waiting)}</UncommittedBlocks>"
    )
    return f"{_HEAD}<BlockList>{inner}</BlockList>".encode()


def read_block_list(data: bytes) -> list[Wanted]:
    """Return the blocks of a Put Block List, in order. Raises InvalidRequest."""
    # Entities are where XML gets dangerous; no client needs them here.
    if re.search(rb"<!(?:DOCTYPE|ENTITY)", data, re.IGNORECASE):
        raise InvalidRequest("A block list may not have a document type.")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - no document type: no entities
    except ElementTree.ParseError as error:
        raise InvalidRequest(f"The block list is not XML: {error}") from error
    if root.tag != "BlockList":
        raise InvalidRequest(f"The body must be a BlockList: got {root.tag}")
    for block in root:
        if block.tag not in (COMMITTED, UNCOMMITTED, LATEST):
            raise InvalidRequest(f"A block list may name Latest, Uncommitted and Committed blocks: got {block.tag}")
    return [Wanted(block.text or "", block.tag) for block in root]


def tags_of_header(text: str) -> dict[str, str]:
    """Return the tags of an x-ms-tags header. Raises InvalidRequest."""
    return _checked_tags(parse_qsl(text, keep_blank_values=True))


def tags_of_xml(data: bytes) -> dict[str, str]:
    """Return the tags of the body of Set Blob Tags. Raises InvalidRequest."""
    if re.search(rb"<!(?:DOCTYPE|ENTITY)", data, re.IGNORECASE):
        raise InvalidRequest("Tags may not have a document type.")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 - no document type: no entities
    except ElementTree.ParseError as error:
        raise InvalidRequest(f"The tags are not XML: {error}") from error
    return _checked_tags((tag.findtext("Key") or "", tag.findtext("Value") or "") for tag in root.iter("Tag"))


def tags_xml(tags: Mapping[str, str], *, head: str = _HEAD) -> str:
    """Render tags, with an XML head of their own or `head` ''."""
    rows = "".join(f"<Tag><Key>{escape(k)}</Key><Value>{escape(v)}</Value></Tag>" for k, v in tags.items())
    return f"{head}<Tags><TagSet>{rows}</TagSet></Tags>"


def _blob_xml(item: BlobItem, include: Collection[str]) -> str:
    modified = formatdate(item.modified, usegmt=True)
    md5 = f"<Content-MD5>{escape(item.md5)}</Content-MD5>" if item.md5 else ""
    metadata = ""
    if "metadata" in include and item.metadata:
        pairs = (f"<{name}>{escape(value)}</{name}>" for name, value in item.metadata.items())
        metadata = f"<Metadata>{''.join(pairs)}</Metadata>"
    stated = item.stated or {}
    about = dict(stated.get("headers", {}))
    if "copy" in include:
        about |= {_copy_name(name): value for name, value in stated.get("copy", {}).items()}
    more = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in about.items())
    if "tags" in include and stated.get("tags"):
        metadata += tags_xml(stated["tags"], head="")
    return (
        f"<Blob><Name>{escape(item.name)}</Name><Properties><Creation-Time>{modified}</Creation-Time>"
        f"<Last-Modified>{modified}</Last-Modified><Etag>{escape(item.etag.strip(chr(34)))}</Etag>"
        f"<Content-Length>{item.size_bytes}</Content-Length><Content-Type>{escape(item.content_type)}</Content-Type>{md5}{more}"
        f"<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><LeaseStatus>unlocked</LeaseStatus>"
        f"<LeaseState>available</LeaseState></Properties>{metadata}</Blob>"
    )


def _copy_name(header: str) -> str:
    """Return the element that tells what a header tells: x-ms-copy-id is CopyId."""
    return "".join(word.capitalize() for word in header.removeprefix("x-ms-").split("-"))


def _checked_tags(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    tags = dict(pairs)
    if len(tags) > _MOST_TAGS:
        raise InvalidRequest(f"A blob has at most {_MOST_TAGS} tags: got {len(tags)}")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or not _TAG.match(key) or not _TAG.match(value):
            raise InvalidRequest(
                f"The tag {key[:140]!r} is not allowed: a key has 1 to 128, a value at most 256 letters, digits, "
                "spaces and + - . / : = _"
            )
    return tags
