"""From the endpoints' state to Envoy's configuration. Pure: the same state gives the same bytes.

One file for the routes (a scope per endpoint, found by the first segment of the path in one look-up) and one for the
clusters (one per deployment, with its replicas). Not a file per deployment: each file that Envoy watches costs it an
inotify instance, of which Linux allows a user 128, and without one it aborts. Facts of Envoy 1.40: envoyproxy.io/docs,
and what was seen running.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from entrepot.domain.endpoints.replicas.records import READY
from entrepot.domain.endpoints.routing import DeploymentRoute, EndpointRoute
from entrepot.server.gateway.sources import Api

Json = Any

PICK = "x-entrepot-pick"
NAMED = "azureml-model-deployment"
SERVER_CLUSTER = "entrepot"
LUA = "lua"
ROUTES, CLUSTERS, EPOCH = "routes.json", "clusters.json", "epoch.json"

_TYPE = "type.googleapis.com/envoy"
_ROUTE_TYPE = f"{_TYPE}.config.route.v3.ScopedRouteConfiguration"
_CLUSTER_TYPE = f"{_TYPE}.config.cluster.v3.Cluster"
_HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_WAKING_S = 180.0
_PATHS = (("score", "/score"), ("swagger.json", "/swagger.json"), ("", "/"))
PRIVATE = (
    r"^127%.", r"^10%.", r"^192%.168%.", r"^169%.254%.", r"^172%.1[6-9]%.", r"^172%.2%d%.", r"^172%.3[01]%.",
    r"^%[::1%]", r"^%[f[cd]%x%x:", r"^%[fe[89ab]%x:",
)  # fmt: skip
"""Loopback, the networks of RFC 1918, link-local and unique local addresses, as Lua patterns of Envoy's `IP:port`."""
_UNSENT = "connect-failure,reset-before-request"
_PLENTY = 1_000_000
_IDLE_S = 30  # below the replica hosts' own, so that no request meets a connection that is just being closed

_encoder = msgspec.json.Encoder(order="deterministic")


@dataclass(frozen=True, slots=True)
class Files:
    """Rendered configuration by file name; `clusters` are whole resources by name, to be joined into one file."""

    routes: bytes
    clusters: Mapping[str, Json]


def render(endpoints: Iterable[EndpointRoute], *, api: Api) -> Files:
    """Render everything. `api` is asked for token checks."""
    known = list(endpoints)
    clusters = {SERVER_CLUSTER: _server_cluster(api)}
    for endpoint in known:
        for deployment in endpoint.deployments:
            name = cluster_name(endpoint.slug, deployment.name)
            clusters[name] = _cluster(name, deployment)
    return Files(resources([_scope(endpoint) for endpoint in known]), clusters)


def resources(items: list[Json]) -> bytes:
    """Return a file of resources as Envoy watches it."""
    return _encoder.encode({"resources": items})


def epoch(text: str) -> bytes:
    """Return the file by which Envoy's probe listener tells what it has read."""
    answer = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": text}}}
    host = {"name": "epoch", "domains": ["*"], "routes": [answer]}
    route = f"{_TYPE}.config.route.v3.RouteConfiguration"
    return resources([{"@type": route, "name": "epoch", "virtual_hosts": [host]}])


def cluster_name(slug: str, deployment: str) -> str:
    """Return the name of a deployment's cluster: neither part has a '_', and no dot disturbs the statistics' names."""
    return f"{slug}_{deployment}"


_NOTHING: Json = {
    "match": {"prefix": "/"},
    "direct_response": {
        "status": 404,
        "body": {
            "inline_string": '{"error":{"code":"NotFound","message":"There is nothing at this address of the endpoint: '
            'score at /<endpoint>/score"}}'
        },
    },
    "response_headers_to_add": [{"header": {"key": "content-type", "value": "application/json"}}],
}


_OF_BROWSERS: Json = {  # the cors filter does nothing without a route to a cluster, and comes before one is picked
    "match": {
        "prefix": "/",
        "headers": [{"name": "origin", "present_match": True}, {"name": PICK, "present_match": False}],
    },
    "route": {"cluster": SERVER_CLUSTER},
}


def _scope(endpoint: EndpointRoute) -> dict[str, Json]:
    host: dict[str, Json] = {
        "name": endpoint.slug,
        "domains": ["*"],
        "metadata": {"filter_metadata": {LUA: {"endpoint": _facts(endpoint)}}},
        "routes": [route for deployment in endpoint.deployments for route in _routes(endpoint, deployment)]
        + [_NOTHING],
    }
    if endpoint.cors:
        host["routes"].insert(-1, _OF_BROWSERS)
        host["typed_per_filter_config"] = {"cors": _cors(endpoint.cors)}
    return {
        "@type": _ROUTE_TYPE,
        "name": endpoint.slug,
        "key": {"fragments": [{"string_key": endpoint.slug}]},
        # a cluster may still be on its way: routes and clusters are files of their own
        "route_configuration": {"name": endpoint.slug, "validate_clusters": False, "virtual_hosts": [host]},
    }


def _facts(endpoint: EndpointRoute) -> dict[str, Json]:
    """Return what scoring.lua reads."""
    facts: dict[str, Json] = {
        "key": endpoint.key,
        "mode": endpoint.auth_mode,
        "keys": list(endpoint.key_digests) if endpoint.auth_mode == "Key" else [],
        "names": {deployment.name.lower(): deployment.name for deployment in endpoint.deployments},
        "traffic": [{"name": name, "percent": percent} for name, percent in sorted(endpoint.traffic.items())],
    }
    facts |= {"networks": list(PRIVATE)} if endpoint.is_private else {}
    return facts | ({"sticky": endpoint.sticky} if endpoint.sticky else {})


def _routes(endpoint: EndpointRoute, deployment: DeploymentRoute) -> list[Json]:
    """Return a deployment's routes, chosen by the header that scoring.lua sets; mirrored ones go before."""
    picked = {"name": PICK, "string_match": {"exact": deployment.name}}
    found = []
    scored = ((deployment.scoring_path, "/score"),) if deployment.scoring_path else ()
    for path, behind in (*_PATHS, *scored):
        match: dict[str, Json] = {"path": f"/{endpoint.slug}/{path}", "headers": [picked]}
        action = _action(endpoint, deployment, behind)
        if endpoint.mirror and behind == "/score":
            unnamed = {"name": NAMED, "present_match": False}
            mirrored = action | {"request_mirror_policies": _mirrors(endpoint)}
            found.append(_route({**match, "headers": [picked, unnamed]}, mirrored, deployment))
        found.append(_route(match, action, deployment))
    return found


def _route(match: Json, action: Json, deployment: DeploymentRoute) -> dict[str, Json]:
    return {
        "match": match,
        "route": action,
        "request_headers_to_remove": [PICK],
        "response_headers_to_add": [_header(NAMED, deployment.name)],
    }


def _action(endpoint: EndpointRoute, deployment: DeploymentRoute, path: str) -> dict[str, Json]:
    is_warm = any(replica.state == READY for replica in deployment.replicas)
    wait_s = deployment.timeout_s if is_warm or not deployment.replicas else deployment.timeout_s + _WAKING_S
    return {
        "cluster": cluster_name(endpoint.slug, deployment.name),
        "prefix_rewrite": path,
        "timeout": _seconds(wait_s),
        "retry_policy": {  # only where nothing was sent: a model may not be asked twice
            "retry_on": _UNSENT,
            "num_retries": 3,
            "retry_back_off": {"base_interval": "0.010s", "max_interval": "0.2s"},
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {
                        "@type": f"{_TYPE}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                    },
                }
            ],
            "host_selection_retry_max_attempts": 3,
        },
    }


def _mirrors(endpoint: EndpointRoute) -> list[Json]:
    return [
        {
            "cluster": cluster_name(endpoint.slug, name),
            "runtime_fraction": {"default_value": {"numerator": percent, "denominator": "HUNDRED"}},
            "trace_sampled": False,
        }
        for name, percent in endpoint.mirror.items()
        if percent
    ]


def _cors(given: Mapping[str, Json]) -> dict[str, Json]:
    policy: dict[str, Json] = {
        "@type": f"{_TYPE}.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [
            {"safe_regex": {"regex": ".*"}} if origin == "*" else {"exact": origin} for origin in given["allowOrigins"]
        ],
        "allow_methods": ", ".join(given.get("allowMethods") or ("GET", "POST", "OPTIONS")),
        "allow_headers": ", ".join(given.get("allowHeaders") or ("authorization", "content-type", NAMED)),
        "expose_headers": ", ".join(given.get("exposeHeaders") or (NAMED,)),
        "max_age": str(given.get("maxAge") or 600),
    }
    if given.get("allowCredentials"):
        policy["allow_credentials"] = True
    return policy


def _cluster(name: str, deployment: DeploymentRoute) -> dict[str, Json]:
    """As documented, twice as many requests are taken as can be worked on; the next is answered 429.

    Envoy counts a request as waiting while its connection is being opened, so with warm connections it takes a third
    share: rather that than to refuse, cold, what would have been taken.
    """
    working = deployment.concurrency * deployment.instances
    limits = {"max_connections": working, "max_pending_requests": 2 * working, "max_requests": _PLENTY}
    return {
        "@type": _CLUSTER_TYPE,
        "name": name,
        "type": "STATIC",
        "load_assignment": _replicas(name, deployment),
        "connect_timeout": "1s",
        "lb_policy": "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [limits | {"max_retries": _PLENTY}]},
        "typed_extension_protocol_options": {_HTTP_OPTIONS: _replica_options()},
    }


def _replica_options() -> dict[str, Json]:
    """Have each request carry the secret of the very replica that it goes to: others must not reach it past us."""
    mutation = {"append": _header("x-entrepot-replica", "%UPSTREAM_METADATA(entrepot:secret)%")}
    return {
        "@type": f"type.googleapis.com/{_HTTP_OPTIONS}",
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"idle_timeout": f"{_IDLE_S}s"},
        "http_filters": [
            {
                "name": "replica",
                "typed_config": {
                    "@type": f"{_TYPE}.extensions.filters.http.header_mutation.v3.HeaderMutation",
                    "mutations": {"request_mutations": [mutation]},
                },
            },
            {
                "name": "codec",
                "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.upstream_codec.v3.UpstreamCodec"},
            },
        ],
    }


def _server_cluster(api: Api) -> dict[str, Json]:
    load = {"cluster_name": SERVER_CLUSTER, "endpoints": [{"lb_endpoints": [_place(api.host, api.port)]}]}
    cluster: dict[str, Json] = {
        "@type": _CLUSTER_TYPE, "name": SERVER_CLUSTER, "connect_timeout": "1s", "load_assignment": load,
        "type": "STATIC" if _is_address(api.host) else "STRICT_DNS",
    }  # fmt: skip
    return cluster | ({"transport_socket": _checked_tls(api)} if api.authority else {})


def _checked_tls(api: Api) -> dict[str, Json]:
    """Speak TLS to a server whose certificate an authority vouches for, under the name that it was asked by."""
    kind = "IP_ADDRESS" if _is_address(api.host) else "DNS"
    trust = {
        "trusted_ca": {"filename": api.authority},
        "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": api.host}}],
    }
    context = {
        "@type": f"{_TYPE}.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        "common_tls_context": {"validation_context": trust},
    }
    return {"name": "tls", "typed_config": context | ({} if _is_address(api.host) else {"sni": api.host})}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _replicas(cluster: str, deployment: DeploymentRoute) -> dict[str, Json]:
    hosts = []
    for replica in deployment.replicas:
        assert replica.address is not None
        host = _host(replica.address)
        host["metadata"] = {"filter_metadata": {"entrepot": {"secret": replica.secret}}}
        hosts.append(host)
    return {"cluster_name": cluster, "endpoints": [{"lb_endpoints": hosts}] if hosts else []}


def _host(address: str) -> dict[str, Json]:
    host, _, port = address.rpartition(":")
    return _place(host.strip("[]"), int(port))


def _place(host: str, port: int) -> dict[str, Json]:
    return {"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}


def watched(path: str) -> dict[str, Json]:
    """Return a source of configuration: a file, read again when another is renamed into its place."""
    return {"path_config_source": {"path": path}, "resource_api_version": "V3"}


def _header(name: str, value: str) -> dict[str, Json]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}s"
