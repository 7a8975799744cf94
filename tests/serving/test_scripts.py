"""Score scripts as users write them, through the replica host: what run() gets, what its caller gets back."""

import json
import threading
import time

import pytest

from entrepot.compute.backend import State
from tests.serving.conftest import Serve

ECHO = """
import json

def init():
    print("init ran")

def run(raw_data):
    return {"got": raw_data, "type": type(raw_data).__name__}
"""


def test_run_gets_the_body_as_text_and_its_value_is_json(serve: Serve) -> None:
    host = serve(ECHO)
    reply = host.call(body='{"a": 1}')
    assert (reply.status, reply.json) == (200, {"got": '{"a": 1}', "type": "str"})
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-ms-run-function-failed"] == "False"
    assert float(reply.headers["x-ms-run-fn-exec-ms"]) >= 0
    assert reply.headers["x-ms-request-id"]
    assert "init ran" in host.log


def test_probes_answer_once_the_model_is_loaded_and_only_with_the_key(serve: Serve) -> None:
    host = serve(ECHO)
    assert (host.call("GET", "/").status, host.call("GET", "/").body) == (200, b"Healthy")
    assert host.call("GET", "/ready").status == 200
    assert host.call("GET", "/", key=None).status == 401
    assert host.call("GET", "/", key="wrong").status == 401
    assert host.call(body="{}", key=None).status == 401
    assert host.call("GET", "/nothing").status == 404
    assert host.call("POST", "/ready", body="{}").status == 405


def test_ids_of_requests_come_back(serve: Serve) -> None:
    host = serve(ECHO)
    reply = host.call(body="{}", headers={"x-ms-client-request-id": "mine", "x-request-id": "r1", "TraceId": "t"})
    assert reply.headers["x-ms-client-request-id"] == "mine"
    assert (reply.headers["x-request-id"], reply.headers["x-ms-request-id"]) == ("r1", "mine")
    assert reply.headers["traceid"] == "t"
    assert host.call(body="{}", headers={"x-request-id": "r" * 101}).status == 431


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("'text'", "text"), ("None", {}), ("[1, 2.5, True, None]", [1, 2.5, True, None]), ("{1, 1}", [1]),
        ("__import__('datetime').date(2026, 11, 25)", "2026-11-25"), ("b'bytes'", "bytes"),
    ],
)  # fmt: skip
def test_values_become_json(serve: Serve, value: str, sent: object) -> None:
    host = serve(f"def init(): pass\ndef run(data): return {value}")
    assert host.call(body="{}").json == sent


def test_a_get_is_its_query_as_json(serve: Serve) -> None:
    reply = serve(ECHO).call("GET", "/score?a=1&b=[1,2]&c=x&c=2&d=")
    assert json.loads(reply.json["got"]) == {"a": 1, "b": [1, 2], "c": ["x", 2], "d": ""}


def test_an_exception_is_a_model_error_that_the_log_tells_of(serve: Serve) -> None:
    host = serve("def init(): pass\ndef run(data): raise ValueError('secret cause')")
    reply = host.call(body="{}")
    assert reply.status == 424
    assert reply.headers["ms-azureml-model-error-statuscode"] == "500"
    assert reply.headers["ms-azureml-model-error-reason"] == "model_error"
    assert reply.headers["x-ms-run-function-failed"] == "True"
    assert "Check the logs" in reply.json["message"] and "secret cause" not in reply.json["message"]
    assert "ValueError: secret cause" in host.log
    assert host.call("GET", "/").status == 200


def test_a_script_that_calls_exit_fails_that_request_and_not_the_next(serve: Serve) -> None:
    host = serve("import sys\ndef init(): pass\ndef run(data): sys.exit(3) if data == 'go' else None")
    reply = host.call(body="go")
    assert (reply.status, reply.headers["x-ms-run-function-failed"]) == (424, "True")
    assert "SystemExit: 3" in host.log
    assert host.call(body="stay").status == 200
    assert host.call("GET", "/load").json["under_way"] == 0


def test_a_value_that_json_cannot_hold_says_so_in_the_log(serve: Serve) -> None:
    host = serve("def init(): pass\ndef run(data): return object()")
    assert host.call(body="{}").status == 424
    assert "run() returned a value that JSON cannot hold, of type object" in host.log


def test_a_body_that_is_no_text_is_refused_as_the_model_would(serve: Serve) -> None:
    reply = serve(ECHO).call(body=b"\xff\xfe")
    assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "400")
    assert "@rawhttp" in reply.json["message"]


RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse

def init(): pass

@rawhttp
def run(request):
    assert isinstance(request, AMLRequest)
    if request.method == "GET":
        return AMLResponse({"a": request.args.get("a")}, 200, json_str=True)
    if request.headers.get("X-Want") == "file":
        return AMLResponse(request.files["image"].read(), 200, {"Content-Type": "image/png", "X-Tags": "a, b"})
    if request.method == "POST":
        return AMLResponse(request.get_data(False), 200)
    return AMLResponse("bad verb " + request.method, 501)
"""


def test_rawhttp_gets_the_request_and_decides_the_whole_answer(serve: Serve) -> None:
    host = serve(RAW)
    assert host.call("GET", "/score?a=7").json == {"a": "7"}
    assert host.call(body=b"\x00\xff").body == b"\x00\xff"
    form = b'--B\r\nContent-Disposition: form-data; name="image"; filename="i.png"\r\n\r\n\x89PNG\xff\r\n--B--\r\n'
    reply = host.call(body=form, headers={"Content-Type": "multipart/form-data; boundary=B", "X-Want": "file"})
    assert (reply.body, reply.headers["content-type"]) == (b"\x89PNG\xff", "image/png")
    reply = host.call("PATCH", body=b"x")
    assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "501")
    assert reply.body == b"bad verb PATCH"


def test_names_of_microsofts_newer_package_are_there_too(serve: Serve) -> None:
    script = RAW.replace("azureml.contrib.services", "azureml_inference_server_http.api")
    assert serve(script).call(body=b"\x01").body == b"\x01"


def test_an_answer_of_the_scripts_own_status_is_a_model_error_with_its_body(serve: Serve) -> None:
    host = serve(
        "from azureml.contrib.services.aml_response import AMLResponse\n"
        "def init(): pass\n"
        "def run(data): return AMLResponse({'why': data}, 422, {'x-more': '1'}, json_str=True)"
    )
    reply = host.call(body="bad")
    assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "422")
    assert (reply.json, reply.headers["x-more"]) == ({"why": "bad"}, "1")


def test_run_may_ask_for_the_headers_and_be_a_coroutine(serve: Serve) -> None:
    host = serve("def init(): pass\nasync def run(data, request_headers): return request_headers['X-Mine']")
    assert host.call(body="{}", headers={"x-mine": "yes"}).json == "yes"


def test_options_are_answered_without_run(serve: Serve) -> None:
    host = serve("def init(): pass\ndef run(data): raise SystemError")
    assert host.call("OPTIONS").status == 200


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_pieces_of_a_generator_arrive_as_they_come(serve: Serve, kind: str) -> None:
    pause = "await asyncio.sleep" if kind == "async def" else "time.sleep"
    host = serve(
        f"import asyncio, os, time\n"
        f"def init(): pass\n"
        f"{kind} pieces():\n"
        f"    yield 'first\\n'\n"
        f"    while not os.path.exists('go'): {pause}(0.01)\n"
        f"    yield {{'second': 2}}\n"
        f"def run(data): return pieces()"
    )
    connection = host.connect()
    connection.request("POST", "/score", body=b"{}", headers={"x-entrepot-replica": host.key})
    answer = connection.getresponse()
    assert answer.readline() == b"first\n"
    (host.launch.cwd / "go").touch()
    assert answer.read() == b'{"second": 2}\n'


def test_a_stream_whose_client_is_gone_ends(serve: Serve) -> None:
    host = serve(
        "import time\n"
        "def init(): pass\n"
        "def pieces():\n"
        "    try:\n"
        "        while True:\n"
        "            time.sleep(0.01)\n"
        "            yield b'x' * 1000\n"
        "    finally:\n"
        "        open('closed', 'w').close()\n"
        "def run(data): return pieces()"
    )
    connection = host.connect()
    connection.request("POST", "/score", body=b"{}", headers={"x-entrepot-replica": host.key})
    connection.getresponse().read(1000)
    connection.close()
    end = time.monotonic() + 60
    while not (host.launch.cwd / "closed").exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    assert host.call("GET", "/").status == 200


def test_requests_run_one_at_a_time_unless_threads_are_asked_for(serve: Serve) -> None:
    script = (
        "import threading, time\n"
        "most = now = 0\n"
        "lock = threading.Lock()\n"
        "def init(): pass\n"
        "def run(data):\n"
        "    global most, now\n"
        "    with lock: now += 1; most = max(most, now)\n"
        "    if data != 'ask': time.sleep(0.1)\n"
        "    with lock: now -= 1\n"
        "    return most"
    )
    for threads, most in ((0, 1), (1, 1), (4, 4)):
        host = serve(script, threads=threads)
        host.call("GET", "/ready")
        together = [threading.Thread(target=host.call, kwargs={"body": "x"}) for _ in range(4)]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        assert host.call(body="ask").json <= most
        assert threads < 4 or host.call(body="ask").json > 1


def test_bodies_over_the_limit_are_refused_whether_announced_or_not(serve: Serve) -> None:
    host = serve("def init(): pass\ndef run(data): return len(data)", body_limit=1 << 20)
    assert host.call(body=b"x" * (1 << 20)).json == 1 << 20
    reply = host.call(body=b"x" * ((1 << 20) + 1))
    assert reply.status == 413 and "1048576" in reply.json["message"]


def test_workers_share_the_socket_and_one_that_dies_is_replaced(serve: Serve) -> None:
    host = serve("import os\ndef init(): pass\ndef run(data):\n  if data == 'die': os._exit(9)\n  return os.getpid()",
                 workers=2)  # fmt: skip
    host.call("GET", "/ready")
    first = host.call(body="{}").json
    connection = host.connect()
    connection.request("POST", "/score", body=b"die", headers={"x-entrepot-replica": host.key})
    with pytest.raises((ConnectionError, OSError)):
        connection.getresponse()
    end = time.monotonic() + 60
    while host.call("GET", "/load").json["ready"] < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert isinstance(first, int) and "worker" in host.log
    assert host.status is State.RUNNING


def test_counts_tell_how_busy_a_replica_is(serve: Serve) -> None:
    host = serve("import time\ndef init(): pass\ndef run(data): time.sleep(0.05)")
    for _ in range(3):
        host.call(body="{}")
    load = host.call("GET", "/load").json
    assert (load["requests"], load["under_way"], load["workers"], load["ready"]) == (3, 0, 1, 1)
    assert load["busy_s"] >= 0.15


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("def init(): raise RuntimeError('no model here')\ndef run(data): pass", "RuntimeError: no model here"),
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found'"),
        ("def run(data): pass", "has no function init()"),
        ("def init(): pass\ndef run(): pass", "run() needs a parameter for the input data"),
        ("def init(): pass\ndef run(*args): pass", "name its parameters"),
        ("def init(): raise SystemExit(0)\ndef run(data): pass", "called exit(0) while loading"),
        ("import threading\nthreading.Thread(target=lambda: __import__('time').sleep(999)).start()\n1/0", "by zero"),
    ],
)
def test_a_script_that_cannot_be_served_ends_the_replica_and_says_why(serve: Serve, script: str, said: str) -> None:
    host = serve(script)
    assert host.end() == (State.FAILED, 3)
    assert said in host.log


def test_a_missing_script_is_told_with_what_there_is(serve: Serve) -> None:
    host = serve(files={"scores.py": "", "README": ""})
    assert host.end() == (State.FAILED, 3)
    assert "There is no scoring script" in host.log and "README, scores.py" in host.log


def test_a_stop_lets_requests_under_way_be_answered(serve: Serve) -> None:
    host = serve(
        "import os, time\ndef init(): pass\n"
        "def run(data):\n  open('began', 'w').close()\n  time.sleep(0.5)\n  return 'answered'",
        threads=1,
    )
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(host.call(body="{}").json))
    thread.start()
    end = time.monotonic() + 60
    while not (host.launch.cwd / "began").exists():
        assert time.monotonic() < end
        time.sleep(0.005)
    host.backend.cancel(host.launch.id, host.launch.folder, grace_s=60)
    thread.join()
    assert found == ["answered"]
    assert host.status is State.CANCELED


def test_modules_of_the_code_folder_are_found_and_win_over_those_laid_beside(serve: Serve) -> None:
    files = {"helper.py": "X = 1", "click.py": "OWN = True", "h11.py": "OWN = 2"}
    script = "import click, helper, h11\ndef init(): pass\ndef run(data): return [click.OWN, helper.X, h11.OWN]"
    assert serve(script, files=files).call(body="{}").json == [True, 1, 2]
