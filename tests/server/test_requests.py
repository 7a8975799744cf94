"""What holds for every request: credentials, errors, limits, headers, and bytes on the socket that are odd."""

import http.client
import json
import socket
from urllib.parse import urlsplit

import pytest

from entrepot.testing.live import LiveServer

WORKSPACE = "/workspaces/dev"


def _raw(server: LiveServer, request: bytes) -> bytes:
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as sock:
        sock.sendall(request)
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.mark.parametrize("path", ["/health", "/metadata/endpoints?api-version=2019-05-01", "/discovery", "/"])
def test_public_addresses_need_no_credential(server: LiveServer, path: str) -> None:
    assert server.call("GET", path, token=None).status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/subscriptions"), ("GET", "/nowhere"), ("POST", "/health"), ("PUT", "/a/b")]
)
def test_all_else_is_refused_without_one(server: LiveServer, method: str, path: str) -> None:
    reply = server.call(method, path, token=None)
    assert reply.status == 401 and reply.headers["www-authenticate"].startswith("Bearer")
    assert reply.json["error"]["code"] == "AuthenticationFailed"
    assert server.call(method, path, token="wrong").status == 401


def test_an_unknown_route_and_a_wrong_method_are_told_apart(server: LiveServer) -> None:
    unknown, wrong = server.call("GET", "/nowhere"), server.call("POST", "/health", {})
    assert (unknown.status, unknown.json["error"]["code"]) == (404, "InvalidResourceType")
    assert (wrong.status, wrong.json["error"]["code"]) == (405, "MethodNotAllowed")


def test_a_body_that_is_no_json_is_told_with_its_position(server: LiveServer, provider: str) -> None:
    reply = server.call("PUT", provider + WORKSPACE, b'{"location": "eastus",\n  "tags": nope}')
    assert reply.status == 400
    assert "line 2, column 11" in reply.json["error"]["message"]


def test_every_answer_has_a_request_id_of_its_own_and_the_security_headers(server: LiveServer) -> None:
    replies = [server.call("GET", path) for path in ("/health", "/subscriptions", "/nowhere")]
    assert len({reply.headers["x-ms-request-id"] for reply in replies}) == 3
    for reply in replies:
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert "server" not in reply.headers
    error = replies[2].json["error"]
    assert {"type": "RequestId", "info": {"value": replies[2].headers["x-ms-request-id"]}} in error["additionalInfo"]


def test_paths_match_in_any_case_and_with_doubled_slashes(server: LiveServer, provider: str) -> None:
    odd = (provider + WORKSPACE).replace("resourceGroups", "resourcegroups").replace("/workspaces", "//WORKSPACES")
    assert server.call("GET", odd).json == server.call("GET", provider + WORKSPACE).json
    assert server.call("GET", "/mferp/managementfrontend" + provider + WORKSPACE).status == 200


def test_a_head_is_a_get_without_its_body(server: LiveServer, group: str, provider: str) -> None:
    got, head = (server.call(method, provider + WORKSPACE) for method in ("GET", "HEAD"))
    assert head.status == 200 and head.body == b""
    assert head.headers["content-length"] == str(len(got.body))
    assert server.call("HEAD", group).status == 204
    assert server.call("HEAD", group + "x").status == 404


def test_a_body_over_the_limit_is_refused_before_it_is_read(server: LiveServer, provider: str) -> None:
    place = urlsplit(server.url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=10)
    connection.putrequest("PUT", provider + WORKSPACE)
    connection.putheader("Authorization", f"Bearer {server.token}")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert "limit" in json.loads(answer.read())["error"]["message"]
    connection.close()


def test_the_clouds_addresses_are_https_over_either_listener(server: LiveServer) -> None:
    plain, secure = (
        server.call("GET", "/metadata/endpoints", token=None, secure=flag).json[0] for flag in (False, True)
    )
    assert plain["resourceManager"] == secure["resourceManager"] == server.file.https_url
    assert plain["suffixes"] == secure["suffixes"] == {"storage": "x@" + server.file.https_blob_url.partition("://")[2]}


def test_the_newer_metadata_is_one_object(server: LiveServer) -> None:
    found = server.call("GET", "/metadata/endpoints?api-version=2022-09-01", token=None).json
    assert found["authentication"]["audiences"] == [server.file.https_url]


def test_requests_sent_at_once_on_one_connection_are_answered_in_order(server: LiveServer) -> None:
    head = f"Host: x\r\nAuthorization: Bearer {server.token}\r\n"
    first, second = f"GET /health HTTP/1.1\r\n{head}\r\n", f"GET /subscriptions HTTP/1.1\r\n{head}\r\n"
    last = f"GET /nowhere HTTP/1.1\r\n{head}Connection: close\r\n\r\n"
    got = _raw(server, (first + second + first + last).encode())
    assert [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]] == [200, 200, 200, 404]
    assert got.index(b'"status":"ok"') < got.index(b'"subscriptionId"') < got.rindex(b'"status":"ok"')


def test_a_read_after_a_write_on_one_connection_sees_it(server: LiveServer, group: str) -> None:
    body = b'{"location":"eastus","tags":{"n":"1"}}'
    head = f"Host: x\r\nAuthorization: Bearer {server.token}\r\n"
    put = f"PUT {group}-piped HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    get = f"GET {group}-piped HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode()
    got = _raw(server, put + get)
    assert got.startswith(b"HTTP/1.1 201") and got.count(b'"tags":{"n":"1"}') == 2


@pytest.mark.parametrize("junk", [b"\x16\x03\x01\x02\x00\x01", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"])
def test_what_is_not_http_gets_400_and_the_server_lives_on(server: LiveServer, junk: bytes) -> None:
    assert _raw(server, junk).startswith(b"HTTP/1.1 400")
    assert server.call("GET", "/health").status == 200


def test_a_header_cannot_be_smuggled_in_through_an_address(server: LiveServer) -> None:
    reply = server.call("GET", "/nowhere%0d%0ax-evil:%201")
    assert reply.status == 404 and "x-evil" not in reply.headers


@pytest.mark.parametrize("size", [0, 100, 60_000, 70_000, 3_000_000])
def test_bodies_of_any_size_arrive_whole(server: LiveServer, group: str, size: int) -> None:
    tags = {"long": "x" * size}
    assert server.call("PUT", f"{group}-sized", {"location": "eastus", "tags": tags}).status in (200, 201)
    assert server.call("GET", f"{group}-sized").json["tags"] == tags


def test_a_body_in_chunks_and_one_that_waits_to_be_asked_for_arrive(server: LiveServer, group: str) -> None:
    head = f"Host: x\r\nAuthorization: Bearer {server.token}\r\nConnection: close\r\n"
    body = b'{"location":"eastus","tags":{"by":"chunks"}}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:10], body[10:])) + b"0\r\n\r\n"
    chunked = f"PUT {group}-chunked HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks
    assert b"HTTP/1.1 201" in _raw(server, chunked)
    asked = f"PUT {group}-asked HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode()
    got = _raw(server, asked + body)
    assert got.startswith(b"HTTP/1.1 100 Continue") and b"HTTP/1.1 201" in got


def test_writes_sent_at_once_on_one_connection_happen_in_order(server: LiveServer, group: str) -> None:
    head = f"Host: x\r\nAuthorization: Bearer {server.token}\r\n"
    requests = []
    for number in range(20):
        body = b'{"location":"eastus","tags":{"n":"%d"}}' % number
        requests.append(f"PUT {group}-row HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    got = _raw(server, b"".join(requests) + f"GET {group}-row HTTP/1.1\r\n{head}Connection: close\r\n\r\n".encode())
    answered = [int(part.partition(b'"')[0]) for part in got.split(b'"tags":{"n":"')[1:]]
    assert answered == [*range(20), 19]


def test_a_client_that_leaves_in_the_middle_of_a_body_changes_nothing(server: LiveServer, group: str) -> None:
    place = urlsplit(server.url)
    for sent in (b"", b'{"location":'):
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as sock:
            head = f"PUT {group}-left HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
            sock.sendall(f"{head}Content-Length: 40\r\n\r\n".encode() + sent)
    assert server.call("GET", f"{group}-left").status == 404
