"""The XML of the Azure Blob service: lists of blobs, block lists, errors. Pure."""

import re
from collections.abc import Sequence
from email.utils import formatdate
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from entrepot.core.errors import InvalidRequest
from entrepot.store.blocklists import COMMITTED, LATEST, UNCOMMITTED, Block, Wanted
from entrepot.store.containers import BlobItem, Listing

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
    with_metadata: bool,
) -> bytes:
    """Render a page of a list, blobs and prefixes in name order."""
    rows = [(item.name, _blob_xml(item, with_metadata=with_metadata)) for item in listing.items]
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


def _blob_xml(item: BlobItem, *, with_metadata: bool) -> str:
    modified = formatdate(item.modified, usegmt=True)
    md5 = f"<Content-MD5>{escape(item.md5)}</Content-MD5>" if item.md5 else ""
    metadata = ""
    if with_metadata and item.metadata:
        pairs = (f"<{name}>{escape(value)}</{name}>" for name, value in item.metadata.items())
        metadata = f"<Metadata>{''.join(pairs)}</Metadata>"
    return (
        f"<Blob><Name>{escape(item.name)}</Name><Properties><Creation-Time>{modified}</Creation-Time>"
        f"<Last-Modified>{modified}</Last-Modified><Etag>{escape(item.etag.strip(chr(34)))}</Etag>"
        f"<Content-Length>{item.size_bytes}</Content-Length><Content-Type>{escape(item.content_type)}</Content-Type>{md5}"
        f"<BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier><LeaseStatus>unlocked</LeaseStatus>"
        f"<LeaseState>available</LeaseState></Properties>{metadata}</Blob>"
    )
