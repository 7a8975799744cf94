"""Every cause of failure that Entrepot tells its callers about, one class each.

A class fixes the category and the ARM code; the message says what was wrong, with which value, and what would
be right. Here is no HTTP: `wire/errors.py` turns categories into statuses.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar


class Category(Enum):
    """Whose fault it is and what the caller can do about it."""

    BAD_REQUEST = "bad_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD = "method"
    CONFLICT = "conflict"
    PRECONDITION = "precondition"
    TOO_LARGE = "too_large"
    THROTTLED = "throttled"
    UNSUPPORTED = "unsupported"
    NO_ROOM = "no_room"
    UNAVAILABLE = "unavailable"
    USER_CODE = "user_code"
    OURS = "ours"


class EntrepotError(Exception):
    """The root of all told errors: `message` for people, `code` for programs, `details` for both."""

    category: ClassVar[Category] = Category.OURS
    code: ClassVar[str] = "InternalServerError"

    def __init__(
        self,
        message: str,
        *,
        target: str | None = None,
        hint: str | None = None,
        details: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.target = target
        self.hint = hint
        self.details = tuple(details)


class InvalidRequest(EntrepotError):
    """The caller's words are wrong: a field, a value, a combination."""

    category = Category.BAD_REQUEST
    code = "UserError"


class InvalidName(InvalidRequest):
    """A name or version outside the rules; the message states the rule."""

    code = "InvalidName"


class InvalidReference(InvalidRequest):
    """A reference that no grammar reads or that this scope may not make."""

    code = "InvalidReference"


class AddressRefused(InvalidReference):
    """An address that this server does not fetch from; the message names the switch."""

    code = "AddressRefused"


class InvalidExpression(InvalidRequest):
    """A `${{ }}` expression that is malformed or names nothing."""

    code = "InvalidExpression"


class InvalidPipeline(InvalidRequest):
    """A graph that cannot run: a cycle, an unbound input, a wrong type."""

    code = "InvalidPipeline"


class RegistryRegionNotSupported(InvalidRequest):
    """The registry does not replicate to the workspace's region."""

    code = "RegistryRegionNotSupported"


class Unauthenticated(EntrepotError):
    """No credential, or one that is wrong or out of date."""

    category = Category.UNAUTHENTICATED
    code = "AuthenticationFailed"


class AccessDenied(EntrepotError):
    """The principal may not do this: names principal, action, scope and a role that would grant it."""

    category = Category.FORBIDDEN
    code = "AuthorizationFailed"


class NotFound(EntrepotError):
    """What was named is not there, or may not be seen by the caller."""

    category = Category.NOT_FOUND
    code = "ResourceNotFound"


class GroupNotFound(NotFound):
    """There is no resource group of this name."""

    code = "ResourceGroupNotFound"


class RouteNotFound(NotFound):
    """No route answers this method and path."""

    code = "InvalidResourceType"


class AlreadyExists(EntrepotError):
    """The name is taken by something else; the message names the differing fields."""

    category = Category.CONFLICT
    code = "Conflict"


class StateConflict(EntrepotError):
    """The thing is not in a state that allows this, such as deleting what is in use."""

    category = Category.CONFLICT
    code = "StateConflict"


class RevisionMismatch(EntrepotError):
    """The document changed since it was read; read again and retry. `key` names it."""

    category = Category.PRECONDITION
    code = "PreconditionFailed"

    def __init__(self, key: str, *, expected: int | None, found: int | None) -> None:
        super().__init__(f"{key} has revision {found or 'none'}, not {expected or 'none'}: read it again and retry")
        self.key = key
        self.expected = expected
        self.found = found


class TooLarge(EntrepotError):
    """A body, header or document over its limit; the message states the limit."""

    category = Category.TOO_LARGE
    code = "RequestEntityTooLarge"


class TemplateLimitExceeded(InvalidRequest):
    """A deployment asks for what its deployment template does not allow; the message names the limit."""

    code = "DeploymentTemplateLimitExceeded"


class Unsupported(EntrepotError):
    """A real thing of Azure ML that this server does not do."""

    category = Category.UNSUPPORTED
    code = "NotSupported"

    def __init__(self, what: str, *, instead: str = "") -> None:
        super().__init__(f"{what} is not supported by this server." + (f" {instead}" if instead else ""))


class NoRoom(EntrepotError):
    """The disk has too little room for these bytes: tells how many are needed and how many there are."""

    category = Category.NO_ROOM
    code = "InsufficientStorage"


class BlobMissing(EntrepotError):
    """Bytes that a manifest names are not in this region's store."""

    category = Category.NOT_FOUND
    code = "BlobNotFound"


class DigestMismatch(EntrepotError):
    """The bytes that arrived are not those that were announced."""

    category = Category.BAD_REQUEST
    code = "Md5Mismatch"


class BuildFailed(EntrepotError):
    """An environment that cannot be built: the message names what is missing."""

    category = Category.USER_CODE
    code = "EnvironmentBuildFailed"


class UserCodeFailed(EntrepotError):
    """The user's command or script failed; the message carries its last lines."""

    category = Category.USER_CODE
    code = "UserError"


class Unavailable(EntrepotError):
    """Something this server needs does not answer now; trying again may help."""

    category = Category.UNAVAILABLE
    code = "ServiceUnavailable"
