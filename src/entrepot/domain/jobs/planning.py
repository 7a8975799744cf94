"""From a job as written to a plan: every reference resolved and pinned, every input bound, nested pipelines expanded.

One planner per job type, each returning the same tree of plans; a new job type is a new entry in `PLANNERS`.
Nothing is written here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from entrepot.core.digests import Digest, digest_json
from entrepot.core.errors import InvalidPipeline, InvalidReference, InvalidRequest, NotFound, Unsupported
from entrepot.core.ids import (
    AssetPointer,
    AssetRef,
    DatastorePath,
    JobOutput,
    Reference,
    RegistryScope,
    Scope,
    WebAddress,
    WorkspaceScope,
    parse_reference,
)
from entrepot.core.nouns import CODE, COMPONENT, DATA, ENVIRONMENT, MODEL, Kind
from entrepot.domain import computes, datastores, replication
from entrepot.domain.assets import catalog
from entrepot.domain.hub import Hub, Principal
from entrepot.domain.jobs import expressions, graph, spec
from entrepot.domain.jobs.control_flow import loops
from entrepot.domain.jobs.control_flow.settings import DoWhile
from entrepot.domain.jobs.graph import BoundNode, Located, NodePath, Source, named_outputs
from entrepot.domain.jobs.spec import (
    MODEL_TYPES,
    Content,
    Given,
    GivenOutput,
    InputPort,
    Job,
    Loop,
    Pipeline,
    Settings,
    Step,
    Sweep,
)
from entrepot.domain.jobs.sweeping.settings import SweepSettings
from entrepot.domain.scopes import BLOB_ORIGIN, home
from entrepot.store.documents import Document
from entrepot.store.web import addresses
from entrepot.store.web.addresses import Allowed

SERVERLESS = "serverless"
_INLINE = "azureml_anonymous"  # the one name that clients give to all inline components
_NOT_CONTENT = ("name", "version", "display_name", "description", "tags", "$schema", "_source", "is_deterministic")


@dataclass(frozen=True, slots=True)
class Component:
    """A component that a node runs, pinned."""

    ref: AssetRef
    content: Content
    digest: Digest

    @property
    def family(self) -> str:
        """The id that all its versions share; inline components share a name only, so each is a family of its own."""
        is_inline = self.ref.name == _INLINE
        return self.ref.id if is_inline else self.ref.scope.asset_id(COMPONENT, self.ref.name)


@dataclass(frozen=True, slots=True)
class Plan:
    """A job or node with nothing left open. `path` is () for the root; `children` are those of a pipeline.

    `trial` is the pattern of a sweep's trials, or of a loop's first iteration, and `following` that of later ones.
    """

    path: NodePath
    content: Content
    component: Component | None
    inputs: Mapping[str, Source | None]
    outputs: Mapping[str, GivenOutput]
    settings: Settings
    after: tuple[str, ...] = ()
    compute: str = SERVERLESS
    environment: AssetRef | None = None
    code: AssetRef | None = None
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    display_name: str | None = None
    children: tuple["Plan", ...] = ()
    exports: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    trial: "Plan | None" = None
    conditions: tuple[tuple[Source | None, bool], ...] = ()
    following: "Plan | None" = None


@dataclass(slots=True)
class Planner:
    """Resolves references for one submission, each once. `waiting` are registry assets still on their way here."""

    hub: Hub
    principal: Principal
    scope: WorkspaceScope
    waiting: set[str] = field(default_factory=set)
    _documents: dict[tuple[str, str, str], Document] = field(default_factory=dict)
    _computes: set[str] = field(default_factory=set)

    def resolve(self, text: str, kind: Kind, standing: Scope, *, where: str) -> Document:
        """Return the asset version that a reference means now. Raises NotFound, InvalidReference, AccessDenied."""
        key = (text, kind.noun, standing.key)
        if key not in self._documents:
            self._documents[key] = self._resolve(text, kind, standing, where=where)
        return self._documents[key]

    def component(self, text: str, standing: Scope, *, where: str) -> Component:
        """Return the component that a node names, with its content read."""
        document = self.resolve(text, COMPONENT, standing, where=where)
        body = document.body
        ref = catalog.ref_of(body)
        content_spec = body["properties"]["componentSpec"]
        content = spec.read_component(content_spec, where=f"component {ref.name}:{ref.version}")
        kept = {name: value for name, value in content_spec.items() if name not in _NOT_CONTENT}
        return Component(ref, content, digest_json(kept))

    def pin(self, source: Source | None, port: InputPort, standing: Scope, *, owner: str) -> Source | None:
        """Return data with its reference, as it stands in a scope, pinned, and its real type checked with the port."""
        if not isinstance(source, Located):
            return source
        where = f"input {port.name} of {owner}"
        kind = MODEL if source.type in MODEL_TYPES else DATA
        reference = _read_reference(source.uri, kind, where=where)
        if isinstance(reference, AssetPointer):
            body = self.resolve(source.uri, reference.kind, standing, where=where).body
            properties = body["properties"]
            actual = properties.get("dataType") or properties.get("modelType") or source.type
            pinned = Located(body["id"], str(actual).lower(), source.mode)
            graph.check_type(pinned, port, owner=owner)
            return pinned
        if isinstance(reference, WebAddress) and (place := datastores.named_by(self.hub, self.scope, reference.url)):
            return replace(source, uri=datastores.uri(self.scope, place.datastore, place.path))
        if source.mode != "direct":  # then a step gets the address, and reads it itself
            self._check_place(reference, where=where)
        return source

    def compute(self, text: str | None, *, where: str) -> str:
        """Return the name of a compute target. Raises NotFound naming those there are, InvalidReference."""
        if not text:
            return SERVERLESS
        name = text.rpartition("azureml:")[2]  # azure-ai-ml puts its own prefix before one that is there
        if name.startswith(("/", "subscriptions/")):
            head, _, name = name.rpartition("/computes/")
            if head.strip("/").lower() != self.scope.arm_id.strip("/").lower():
                raise InvalidReference(f"Compute {text!r} of {where} is not in {self.scope}: name one of its computes")
        if name.lower() == SERVERLESS or name in self._computes:
            return name
        if self.hub.documents.get(computes.key_of(self.scope, name)) is None:
            page = self.hub.documents.list(f"{self.scope.key}/computes")
            known = ", ".join(sorted(found.key.rpartition("/")[2] for found in page.documents)) or "none"
            raise NotFound(
                f"There is no compute {name!r} in {self.scope}, which {where} asks for: there are {known}",
                target="computeId",
            )
        self._computes.add(name)
        return name

    def _resolve(self, text: str, kind: Kind, standing: Scope, *, where: str) -> Document:
        reference = _read_reference(text, kind, where=where)
        if not isinstance(reference, AssetPointer) or reference.kind is not kind:
            raise InvalidReference(f"{text!r} of {where} does not name a {kind.noun}: write azureml:<name>:<version>")
        try:
            document = catalog.resolve(self.hub, self.principal, reference.within(standing))
        except NotFound as error:
            raise NotFound(f"{error.message} ({where})", target=error.target, hint=error.hint) from error
        ref = catalog.ref_of(document.body)
        region = home(self.hub, self.scope).region
        if isinstance(ref.scope, RegistryScope) and not replication.require_region(self.hub, ref, region):
            self.waiting.add(ref.id)
        return document

    def _check_address(self, url: str, *, where: str) -> None:
        """Refuse an address that will not be fetched before anything runs."""
        if url.startswith(BLOB_ORIGIN):
            return
        scheme = urlsplit(url).scheme
        if scheme not in ("http", "https"):
            raise Unsupported(
                f"Data at {url} ({where})",
                instead="It is read where a datastore of the workspace has its account and container; "
                "`mode: direct` hands the address to the step.",
            )
        try:
            addresses.check(url, Allowed.of(self.hub.settings.fetch_addresses))
        except InvalidRequest as error:
            raise type(error)(f"{error.message} ({where})") from error

    def _check_place(self, reference: Reference, *, where: str) -> None:
        if isinstance(reference, WebAddress):
            self._check_address(reference.url, where=where)
        if isinstance(reference, JobOutput):
            owner = reference.scope or self.scope
            if self.hub.documents.get(f"{owner.key}/jobs/{reference.job}") is None:
                raise NotFound(f"There is no job {reference.job!r} in {owner} ({where})")
        if isinstance(reference, DatastorePath):
            try:
                datastores.container_of(self.hub, reference.scope or self.scope, reference.datastore)
            except NotFound as error:
                raise NotFound(f"{error.message} ({where})", target=error.target, hint=error.hint) from error


def plan(planner: Planner, job: Job) -> Plan:
    """Plan a job. Raises whatever is wrong with it, in words that name the node and the field."""
    return PLANNERS[job.type](planner, job)


def _plan_command(planner: Planner, job: Job) -> Plan:
    component = planner.component(job.component, planner.scope, where="the job") if job.component else None
    content = component.content if component else job.content
    if not isinstance(content, Step):
        raise InvalidRequest(f"{job.component!r} is a pipeline component: submit it as a job of type Pipeline")
    content = spec.distributed_of(content, job.body, where="the job")
    inputs = _root_inputs(planner, job, content)
    outputs = graph.named_outputs(content.outputs, job.outputs, owner="the job")
    plan = Plan(
        path=(), content=content, component=component, inputs=inputs, outputs=outputs, settings=Settings(),
        compute=planner.compute(job.compute, where="the job"), display_name=job.display_name,
    )  # fmt: skip
    return _with_step(
        planner, plan, content, component.ref.scope if component else planner.scope,
        variables=job.environment_variables, timeout_s=job.timeout_s, where="the job",
    )  # fmt: skip


def _plan_pipeline(planner: Planner, job: Job) -> Plan:
    component = planner.component(job.component, planner.scope, where="the job") if job.component else None
    content = component.content if component else job.content
    if not isinstance(content, Pipeline):
        raise InvalidRequest(f"{job.component!r} is a command component: submit it as a job of type Command")
    settings = content.settings if job.settings is None else _inherited(job.settings, content.settings)
    if job.compute and not settings.default_compute:
        settings = replace(settings, default_compute=job.compute)
    inputs = _root_inputs(planner, job, content)
    outputs = graph.named_outputs(content.outputs, job.outputs, owner="the job")
    root = Plan((), content, component, inputs, outputs, settings, display_name=job.display_name)
    return _with_children(planner, root, content, component.ref.scope if component else planner.scope, above=())


def _plan_sweep(planner: Planner, job: Job) -> Plan:
    component = planner.component(job.component, planner.scope, where="the trial") if job.component else None
    content = component.content if component else job.content
    if not isinstance(content, Step) or job.sweep is None:
        raise InvalidRequest(f"{job.component!r} is no command component: a sweep tries commands only")
    content = spec.distributed_of(content, job.body, where="the trial")
    sweep = spec.sweep_of(content, job.sweep, where="the trial")
    inputs = _root_inputs(planner, replace(job, inputs=_without(job.inputs, job.sweep.names)), sweep)
    plan = Plan(
        path=(), content=sweep, component=component, inputs=inputs,
        outputs=graph.named_outputs(sweep.outputs, job.outputs, owner="the job"), settings=Settings(),
        compute=planner.compute(job.compute, where="the job"), display_name=job.display_name,
    )  # fmt: skip
    standing = component.ref.scope if component else planner.scope
    return _with_trial(planner, plan, sweep, standing, variables=job.environment_variables, where="the trial")


PLANNERS: Mapping[str, Callable[[Planner, Job], Plan]] = {
    "Command": _plan_command,
    "Pipeline": _plan_pipeline,
    "Sweep": _plan_sweep,
}


def _root_inputs(planner: Planner, job: Job, content: Content) -> dict[str, Source | None]:
    def resolve(given: Given, port: InputPort) -> Source | None:
        if expressions.has_expression(given.text):
            raise expressions.unknown(
                (str(given.text),), where=f"input {port.name} of the job", available="no expressions"
            )
        return graph.given_source(given, port)

    bound = graph.bind_inputs(content.inputs, job.inputs, owner="the job", resolve=resolve)
    return {
        name: planner.pin(source, content.inputs[name], planner.scope, owner="the job")
        for name, source in bound.items()
    }


def _with_children(planner: Planner, plan: Plan, content: Pipeline, standing: Scope, *, above: tuple[str, ...]) -> Plan:
    found = {n: planner.component(node.component, standing, where=f"node {n}") for n, node in content.nodes.items()}
    for name, node in content.nodes.items():
        own = found[name].content
        if isinstance(own, Step) and own.parallel is not None:
            found[name] = replace(found[name], content=spec.parallel_of(own, node.body, where=f"node {name}"))
        elif isinstance(own, Step):
            found[name] = replace(found[name], content=spec.distributed_of(own, node.work, where=f"node {name}"))
        if node.loop is not None or node.each is not None:
            where = f"node {name}"
            found[name] = loops.looped(found[name], loops.resolved(node, plan.inputs, where=where), where=where)
        if node.sweep is not None:
            found[name] = _swept(found[name], node.sweep, where=f"node {name}")
    contents = {name: component.content for name, component in found.items()}
    bound = graph.bind(content, contents, inputs=plan.inputs, prefix=plan.path)
    children = tuple(
        _plan_node(planner, plan, node, found[node.node.name], standing, above=above) for node in bound.nodes
    )
    return replace(plan, children=children, exports=bound.outputs)


def _plan_node(
    planner: Planner, parent: Plan, bound: BoundNode, component: Component, standing: Scope, *, above: tuple[str, ...]
) -> Plan:
    node, content = bound.node, component.content
    where = f"node {node.name}"
    inputs = {
        name: planner.pin(source, content.inputs[name], standing, owner=where) for name, source in bound.inputs.items()
    }
    plan = Plan(
        path=(*parent.path, node.name), content=content, component=component, inputs=inputs, outputs=bound.outputs,
        settings=parent.settings, after=bound.after, display_name=node.display_name or node.name,
        conditions=bound.conditions,
    )  # fmt: skip
    if isinstance(content, Loop):
        return _with_iterations(planner, plan, node, content, standing, above=above)
    if isinstance(content, Pipeline):
        if component.ref.id in above:
            raise InvalidPipeline(f"Pipeline component {component.ref.name} contains itself, at node {node.name}")
        plan = replace(plan, settings=_inherited(content.settings, parent.settings))
        return _with_children(planner, plan, content, component.ref.scope, above=(*above, component.ref.id))
    plan = replace(plan, compute=planner.compute(node.compute or parent.settings.default_compute, where=where))
    if node.environment:
        plan = replace(
            plan, environment=catalog.ref_of(planner.resolve(node.environment, ENVIRONMENT, standing, where=where).body)
        )
    if isinstance(content, Sweep):
        return _with_trial(
            planner, plan, content, component.ref.scope, variables=node.environment_variables, where=where
        )
    return _with_step(
        planner, plan, content, component.ref.scope,
        variables=node.environment_variables, timeout_s=node.timeout_s, where=where,
    )  # fmt: skip


def _with_iterations(
    planner: Planner, plan: Plan, node: spec.Node, loop: Loop, standing: Scope, *, above: tuple[str, ...]
) -> Plan:
    assert plan.component is not None
    body = replace(plan.component, content=loop.body)
    plain = replace(node, loop=None, each=None, conditions=(), outputs=loops.kept(node.outputs), display_name=None)

    def iteration(name: str, inputs: Mapping[str, Source | None]) -> Plan:
        named = named_outputs(loop.body.outputs, plain.outputs, owner=f"node {node.name}")
        bound = BoundNode(replace(plain, name=name), inputs, named, ())
        return _plan_node(planner, plan, bound, body, standing, above=above)

    if isinstance(loop.rule, DoWhile):
        fed = loops.fed(plan.path, loop, plan.inputs)
        return replace(plan, trial=iteration("first", plan.inputs), following=iteration("next", fed))
    items = loops.items(loop, plan.inputs, where=f"node {node.name}")
    children = tuple(iteration(name, {**plan.inputs, **given}) for name, given in items.items())
    exports = {output: tuple((name, output) for name in items) for output in loop.outputs}
    return replace(plan, children=children, exports=exports)


def _with_step(
    planner: Planner,
    plan: Plan,
    step: Step,
    standing: Scope,
    *,
    variables: Mapping[str, str],
    timeout_s: float | None,
    where: str,
) -> Plan:
    names = expressions.Names(dict.fromkeys(plan.inputs), dict.fromkeys(plan.outputs))
    expressions.check_command(step.command, names, where=f"the command of {where}")
    environment = plan.environment
    if environment is None:
        if not step.environment:
            raise InvalidRequest(f"{where.capitalize()} has no environment: give one, such as azureml:<name>:<version>")
        environment = catalog.ref_of(planner.resolve(step.environment, ENVIRONMENT, standing, where=where).body)
    code = catalog.ref_of(planner.resolve(step.code, CODE, standing, where=where).body) if step.code else None
    return replace(
        plan, environment=environment, code=code, environment_variables={**step.environment_variables, **variables},
        timeout_s=timeout_s if timeout_s is not None else step.timeout_s,
    )  # fmt: skip


def _swept(component: Component, settings: SweepSettings, *, where: str) -> Component:
    if not isinstance(component.content, Step):
        raise InvalidPipeline(f"The trial of {where} is no command component: a sweep tries commands only")
    if strange := sorted(set(settings.names) - set(component.content.inputs)):
        known = ", ".join(sorted(component.content.inputs)) or "none"
        raise InvalidPipeline(f"The search space of {where} names {strange[0]}: its component's inputs are {known}")
    return replace(component, content=spec.sweep_of(component.content, settings, where=where))


def _with_trial(
    planner: Planner, plan: Plan, sweep: Sweep, standing: Scope, *, variables: Mapping[str, str], where: str
) -> Plan:
    """Plan the pattern of a sweep's trials: a step whose parameters have no value yet."""
    names = sweep.settings.names
    spelled = {key: expressions.renamed(text, "search_space", names, "inputs") for key, text in variables.items()}
    # an asset is made of the sweep's output, not of every trial's
    outputs = {name: replace(given, uri=None, asset_name=None, binding=None) for name, given in plan.outputs.items()}
    trial = replace(
        plan, path=(*plan.path, "trial"), content=sweep.trial, outputs=outputs, after=(), exports={},
        inputs={**plan.inputs, **dict.fromkeys(names)},
    )  # fmt: skip
    timeout_s = sweep.settings.trial_timeout_s
    trial = _with_step(planner, trial, sweep.trial, standing, variables=spelled, timeout_s=timeout_s, where=where)
    return replace(plan, trial=trial)


def _without(inputs: Mapping[str, Given], names: tuple[str, ...]) -> dict[str, Given]:
    """Return the inputs that are not swept over: azure-ai-ml may send a fixed value for those, too."""
    return {name: given for name, given in inputs.items() if name not in names}


def _inherited(own: Settings, parent: Settings) -> Settings:
    return Settings(
        default_compute=own.default_compute or parent.default_compute,
        default_datastore=own.default_datastore or parent.default_datastore,
        continue_on_step_failure=own.continue_on_step_failure and parent.continue_on_step_failure,
        force_rerun=own.force_rerun or parent.force_rerun,
    )


def _read_reference(text: str, kind: Kind, *, where: str) -> Reference:
    if text.startswith(BLOB_ORIGIN):
        return WebAddress(text)
    try:
        reference = parse_reference(text, kind)
        if reference is None and text and not text.startswith((".", "/", "~", "file:")) and "/" not in text:
            reference = parse_reference(f"azureml:{text}", kind)  # azure-ai-ml drops the prefix of short references
    except InvalidReference as error:
        raise InvalidReference(f"{error.message} ({where})") from error
    if reference is None:
        raise InvalidReference(f"{text!r} of {where} is a path on your machine: the client has to upload it first")
    return reference
