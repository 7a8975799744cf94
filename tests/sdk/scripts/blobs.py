"""The blob endpoint, by azure-storage-blob: conditions, lists, blocks, copies, and what is refused."""

import json
import os
import ssl
import urllib.request

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, ContainerClient, ContentSettings
from checks import home, refused, run, same

ML = home("blobs")
STORE = ML.datastores.get_default()
_SECRET = ML.datastores._list_secrets(name=STORE.name, expirable_secret=True)
_CONTEXT = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
_CLOUD = json.load(urllib.request.urlopen(os.environ["ARM_CLOUD_METADATA_URL"], context=_CONTEXT))[0]
URL = f"https://{STORE.account_name}.blob.{_CLOUD['suffixes']['storage']}/{STORE.container_name}"
C = ContainerClient.from_container_url(f"{URL}?{_SECRET.sas_token}")


def check_upload_download_conditions() -> None:
    b = C.get_blob_client("a/b.txt")
    b.upload_blob(
        b"hello",
        overwrite=False,
        metadata={"k": "v"},
        content_settings=ContentSettings(content_type="text/plain", cache_control="x"),
    )
    with refused(ResourceExistsError):
        b.upload_blob(b"again")
    p = b.get_blob_properties()
    same(
        (p.metadata, p.size, p.content_settings.content_type, p.blob_type.value),
        ({"k": "v"}, 5, "text/plain", "BlockBlob"),
    )
    same(b.download_blob().readall(), b"hello")
    same(b.download_blob(offset=1, length=3).readall(), b"ell")
    with refused(HttpResponseError):
        b.download_blob(offset=100).readall()
    with refused(ResourceModifiedError):
        b.upload_blob(b"x", overwrite=True, etag='"0x1"', match_condition=MatchConditions.IfNotModified)
    b.upload_blob(b"newer", overwrite=True, etag=p.etag, match_condition=MatchConditions.IfNotModified)
    with refused(HttpResponseError):
        b.download_blob(etag=p.etag, match_condition=MatchConditions.IfNotModified).readall()
    b.set_blob_metadata({"x": "y"})
    same(b.get_blob_properties().metadata, {"x": "y"})
    b.set_http_headers(ContentSettings(content_type="a/b"))
    same(b.get_blob_properties().content_settings.content_type, "a/b")
    C.get_blob_client("empty").upload_blob(b"")
    same(C.get_blob_client("empty").download_blob().readall(), b"")
    assert b.exists() and not C.get_blob_client("nope").exists()
    with refused(ResourceNotFoundError):
        C.get_blob_client("nope").download_blob()
    with refused(ResourceNotFoundError):
        C.get_blob_client("nope").delete_blob()


def check_lists() -> None:
    for n in ("l/1", "l/2", "l/s/3", "l/s/4", "l/t/5", "l/ü b&<"):
        C.upload_blob(n, n.encode(), overwrite=True, metadata={"m": "1"})
    same([x.name for x in C.list_blobs(name_starts_with="l/")], ["l/1", "l/2", "l/s/3", "l/s/4", "l/t/5", "l/ü b&<"])
    same(sorted(x.name for x in C.walk_blobs("l/", delimiter="/")), ["l/1", "l/2", "l/s/", "l/t/", "l/ü b&<"])
    same(
        [[x.name for x in page] for page in C.list_blobs(name_starts_with="l/", results_per_page=4).by_page()],
        [["l/1", "l/2", "l/s/3", "l/s/4"], ["l/t/5", "l/ü b&<"]],
    )
    same([x.metadata for x in C.list_blobs(name_starts_with="l/1", include=["metadata"])], [{"m": "1"}])
    same(C.get_blob_client("l/ü b&<").download_blob().readall(), "l/ü b&<".encode())
    same(list(C.list_blob_names(name_starts_with="l/s")), ["l/s/3", "l/s/4"])


def check_headers_tags_and_the_start_of_a_list() -> None:
    b = C.get_blob_client("s/stated")
    settings = ContentSettings(content_type="text/plain", content_encoding="x-own", content_disposition="inline")
    b.upload_blob(b"stated", overwrite=True, content_settings=settings, tags={"team": "a b"})
    p = b.get_blob_properties()
    same((p.content_settings.content_encoding, p.content_settings.content_disposition), ("x-own", "inline"))
    same((p.tag_count, b.get_blob_tags()), (1, {"team": "a b"}))
    b.set_blob_tags({"x": "y", "z": ""})
    same([x.tags for x in C.list_blobs(name_starts_with="s/", include=["tags"])], [{"x": "y", "z": ""}])
    C.get_blob_client("s/copy").start_copy_from_url(b.url)
    copied = C.get_blob_client("s/copy").get_blob_properties()
    same((copied.copy.status, copied.copy.source, copied.copy.progress), ("success", b.url.partition("?")[0], "6/6"))
    same([x.copy.id for x in C.list_blobs(name_starts_with="s/copy", include=["copy"])], [copied.copy.id])
    same([x.name for x in C.list_blobs(name_starts_with="s/", start_from="s/d")], ["s/stated"])


def check_an_upload_goes_on_where_it_was_left() -> None:
    b = C.get_blob_client("blocks")
    parts = {f"{i:05d}": os.urandom(1000) for i in range(10)}
    for id, data in list(parts.items())[:9]:
        b.stage_block(id, data)
    committed, uncommitted = b.get_block_list("all")
    same((len(committed), [x.id for x in uncommitted], {x.size for x in uncommitted}), (0, list(parts)[:9], {1000}))
    assert not b.exists()
    b.stage_block("00009", parts["00009"])
    b.commit_block_list([BlobBlock(id) for id in parts], metadata={"done": "1"})
    same(b.download_blob().readall(), b"".join(parts.values()))
    committed, uncommitted = b.get_block_list("all")
    same(([x.id for x in committed], uncommitted), (list(parts), []))
    b.stage_block("x0010", b"tail")
    b.commit_block_list([BlobBlock("00003"), BlobBlock("x0010")])
    same(b.download_blob().readall(), parts["00003"] + b"tail")
    with refused(HttpResponseError):
        b.commit_block_list([BlobBlock("nonono")])
    b.stage_block("same!", b"1")
    b.stage_block("same!", b"2")
    b.commit_block_list([BlobBlock("same!")])
    same(b.download_blob().readall(), b"2")


def check_copy_delete() -> None:
    b = C.get_blob_client("src")
    b.upload_blob(b"copy me", overwrite=True, metadata={"a": "b"})
    c = C.get_blob_client("dst")
    r = c.start_copy_from_url(b.url)
    same(
        (r["copy_status"], c.download_blob().readall(), c.get_blob_properties().metadata),
        ("success", b"copy me", {"a": "b"}),
    )
    c.upload_blob_from_url(b.url, overwrite=True)
    same(c.download_blob().readall(), b"copy me")
    c.delete_blob()
    assert not c.exists()
    with refused(HttpResponseError):
        c.delete_blob()


def check_batches_and_blocks_of_other_blobs() -> None:
    for name in ("batch/1", "batch/2", "batch/ü 3"):
        C.upload_blob(name, b"0123456789", overwrite=True)
    made = C.get_blob_client("parts")
    made.stage_block_from_url("one", C.get_blob_client("batch/1").url, source_offset=8, source_length=2)
    made.stage_block_from_url("two", C.get_blob_client("batch/1").url)
    made.commit_block_list(["one", "two"])
    same(made.download_blob().readall(), b"890123456789")
    same([each.status_code for each in C.delete_blobs("batch/1", "batch/2", "batch/ü 3")], [202, 202, 202])
    same(list(C.list_blob_names(name_starts_with="batch/")), [])
    same(C.get_account_information()["account_kind"], "StorageV2")


def check_big() -> None:
    data = os.urandom(1 << 20) * 70
    b = C.get_blob_client("big")
    b.upload_blob(data, overwrite=True, max_concurrency=4)
    assert b.download_blob(max_concurrency=4).readall() == data

    def gen():
        for _i in range(9):
            yield data[: 1 << 20]

    C.get_blob_client("gen").upload_blob(gen(), overwrite=True)
    same(C.get_blob_client("gen").get_blob_properties().size, 9 << 20)
    b.upload_blob(b"1234", overwrite=True, length=4, validate_content=True)
    same(b.download_blob(validate_content=True).readall(), b"1234")
    b.upload_blob(data, overwrite=True, validate_content=True)


def check_refusals() -> None:
    with refused(HttpResponseError):
        C.get_blob_client("src2").create_snapshot()
    with refused(HttpResponseError):
        C.get_blob_client("ap").create_append_blob()
    with refused(HttpResponseError):
        C.get_blob_client("pg").create_page_blob(512)
    with refused(HttpResponseError):
        C.get_blob_client("a/b.txt").acquire_lease()
    with refused(HttpResponseError):
        list(C.find_blobs_by_tags("a='b'"))
    same(C.exists(), True)
    C.get_container_properties()
    with refused(HttpResponseError):
        C.delete_container()
    with refused(ResourceExistsError):
        C.create_container()
    with refused(HttpResponseError):
        C.get_blob_client("a/b.txt").set_standard_blob_tier("Cool")
    o = ContainerClient.from_container_url(URL.rsplit("/", 1)[0] + "/other?" + _SECRET.sas_token)
    with refused(HttpResponseError):
        o.upload_blob("x", b"y")
    with refused(HttpResponseError):
        list(o.list_blobs())
    n = ContainerClient.from_container_url(URL)
    with refused(HttpResponseError):
        n.upload_blob("x", b"y")


if __name__ == "__main__":
    run(globals())
