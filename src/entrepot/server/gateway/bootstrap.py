"""Envoy's bootstrap: its listeners, filters, limits and its private admin socket. Pure.

What changes while it runs (routes, clusters, replicas) is in files that it watches; see rendering.py.
"""

from importlib.resources import files
from typing import Any

import msgspec

from entrepot.server.gateway.rendering import CLUSTERS, EPOCH, LUA, PICK, ROUTES, watched
from entrepot.server.tls import TlsFiles

Json = Any

ADMIN, PROBE = "admin.sock", "probe.sock"

_TYPE = "type.googleapis.com/envoy"
_FILTERS = f"{_TYPE}.extensions.filters.http"
_HTTP = f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER: Json = {
    "name": "router",
    "typed_config": {"@type": f"{_FILTERS}.router.v3.Router", "suppress_envoy_headers": True},
}
_MOST_CONNECTIONS = 50_000
_BUFFER_BYTES = 1 << 20

_LOCAL_ANSWERS = (
    ("UT", 408, "RequestTimeout", "The model did not answer within the deployment's request_timeout_ms"),
    ("UO", 429, "TooManyRequests", "Too many requests wait for this deployment: its queue is full"),
    ("UH", 503, "NoReplica", "No replica of the deployment is ready"),
    ("NC", 503, "NoReplica", "The deployment is being changed; try again"),
    ("UF", 503, "ReplicaLost", "The replica cannot be reached"),
    ("UC", 503, "ReplicaLost", "The replica ended while it worked on the request"),
    ("URX", 503, "ReplicaLost", "The replica cannot be reached"),
    ("NR", 404, "NotFound", "There is nothing at this address: score at /<endpoint>/score"),
)


def bootstrap(*, folder: str, hosts: tuple[str, str], ports: tuple[int, int], tls: TlsFiles, secret: str) -> bytes:
    """Return the bootstrap. `hosts`, `ports`: plain and TLS; `folder`: of watched files; `secret`: the server's."""
    script = files("entrepot.server.gateway").joinpath("scoring.lua").read_text().replace("@SECRET@", secret)
    plain, secure = ports
    listeners = [
        _listener("plain", hosts[0], plain, _connections(folder, script, "plain")),
        _listener("secure", hosts[1], secure, _connections(folder, script, "secure"), _tls(tls)),
        _probe(f"{folder}/{EPOCH}"),
    ]
    return msgspec.json.encode(
        {
            "node": {"id": "entrepot-gateway", "cluster": "entrepot"},
            "admin": {"address": {"pipe": {"path": ADMIN, "mode": 0o600}}},
            "dynamic_resources": {"cds_config": watched(f"{folder}/{CLUSTERS}")},
            "static_resources": {"listeners": listeners},
            "overload_manager": _overload(),
            "stats_flush_interval": "1s",
            "stats_config": {"histogram_bucket_settings": [_BUCKETS]},
        }
    )


_BUCKETS = {
    "match": {"prefix": "cluster"},
    "buckets": [0.5, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200, 300, 500, 1000, 2000, 5000, 10000, 60000],
}


def _listener(name: str, host: str, port: int, connections: Json, transport: Json = None) -> dict[str, Json]:
    chain: dict[str, Json] = {"filters": [connections]}
    if transport is not None:
        chain["transport_socket"] = transport
    return {
        "name": name,
        "address": {"socket_address": {"address": host, "port_value": port}},
        "enable_reuse_port": False,  # two gateways on one port would share its connections without a word
        "per_connection_buffer_limit_bytes": _BUFFER_BYTES,
        "filter_chains": [chain],
    }


def _probe(file: str) -> dict[str, Json]:
    """Return a listener of ours alone that answers which epoch is in force.

    What was written before the epoch before is in force by then (`Gateway._await_read`).
    """
    options = {
        "@type": _HTTP,
        "stat_prefix": "probe",
        "rds": {"route_config_name": "epoch", "config_source": watched(file)},
        "http_filters": [_ROUTER],
    }
    return {
        "name": "probe",
        "address": {"pipe": {"path": PROBE, "mode": 0o600}},
        "filter_chains": [{"filters": [{"name": "connections", "typed_config": options}]}],
    }


def _connections(folder: str, script: str, name: str) -> dict[str, Json]:
    path_segment = {"name": ":path", "element_separator": "/", "index": 1}
    options = {
        "@type": _HTTP,
        "stat_prefix": name,
        "normalize_path": True,  # and what a slash or a dot may hide behind is not unescaped twice
        "path_with_escaped_slashes_action": "REJECT_REQUEST",
        "server_name": "entrepot",
        "use_remote_address": True,
        "skip_xff_append": True,
        "generate_request_id": True,
        "always_set_request_id_in_response": True,
        "stream_idle_timeout": "600s",
        "request_headers_timeout": "30s",
        "common_http_protocol_options": {"idle_timeout": "600s"},
        "scoped_routes": {
            "name": "endpoints",
            "scope_key_builder": {"fragments": [{"header_value_extractor": path_segment}]},
            "rds_config_source": watched(f"{folder}/{ROUTES}"),
            "scoped_rds": {"scoped_rds_config_source": watched(f"{folder}/{ROUTES}")},
        },
        "http_filters": [
            {"name": "strip", "typed_config": _without(PICK)},
            {"name": "cors", "typed_config": {"@type": f"{_FILTERS}.cors.v3.Cors"}},
            {
                "name": LUA,
                "typed_config": {
                    "@type": f"{_FILTERS}.lua.v3.Lua",
                    "default_source_code": {"inline_string": script},
                },
            },
            _ROUTER,
        ],
        "local_reply_config": _local_replies(),
    }
    return {"name": "connections", "typed_config": options}


def _without(header: str) -> dict[str, Json]:
    """Return a filter that takes a header away, also when the script after it fails."""
    return {
        "@type": f"{_FILTERS}.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": [{"remove": header}]},
    }


def _local_replies() -> dict[str, Json]:
    """What Envoy answers by itself, in ARM's form and with Azure's statuses."""
    return {
        "mappers": [
            {
                "filter": {"response_flag_filter": {"flags": [flag]}},
                "status_code": status,
                "body": {"inline_string": message},
                "body_format_override": {
                    "json_format": {"error": {"code": code, "message": "%LOCAL_REPLY_BODY%"}},
                },
            }
            for flag, status, code, message in _LOCAL_ANSWERS
        ]
    }


def _tls(tls: TlsFiles) -> dict[str, Json]:
    pair = {
        "certificate_chain": {"filename": str(tls.certificate)},
        "private_key": {"filename": str(tls.key)},
        "watched_directory": {"path": str(tls.certificate.parent)},
    }
    context = {
        "tls_certificates": [pair],
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
    }
    return {
        "name": "tls",
        "typed_config": {
            "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": context,
        },
    }


def _overload() -> dict[str, Json]:
    limit = {
        "@type": f"{_TYPE}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": _MOST_CONNECTIONS,
    }
    return {
        "resource_monitors": [
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": limit}
        ]
    }
