"""az's mirror of extensions: `az extension add -n ml` finds the index here, and the wheel beside it."""

from entrepot.core.errors import NotFound
from entrepot.server.calls import Answer, Call, reply, reply_raw
from entrepot.server.mirror.index import command_tree, index
from entrepot.server.mirror.wheel import wheel
from entrepot.server.routing import Route

MIRROR = "/azmirror"
_PLACE = f"{MIRROR}/extensions"
_PUBLIC = "az fetches extensions before anyone signs in; they are this program's own, published code"
_WHEEL_TYPE = (b"content-type", b"application/octet-stream")


def _index(call: Call) -> Answer:
    return reply(index(call.url(_PLACE)))


def _command_tree(call: Call) -> Answer:
    return reply(command_tree())


def _wheel(call: Call) -> Answer:
    made = wheel()
    if call.params["file"] != made.filename:
        raise NotFound(f"There is no extension {call.params['file']}; this server has {made.filename}")
    return reply_raw(made.content, headers=(_WHEEL_TYPE,))


ROUTES = (
    Route("GET", f"{_PLACE}/index.json", None, _index, reason=_PUBLIC, is_anonymous=True),
    Route("GET", f"{_PLACE}/extensionCommandTree.json", None, _command_tree, reason=_PUBLIC, is_anonymous=True),
    Route("GET", f"{_PLACE}/{{file}}", None, _wheel, reason=_PUBLIC, is_anonymous=True),
)
