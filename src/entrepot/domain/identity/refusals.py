"""Why nobody was signed in: the words of OAuth 2.0 with Entra's numbers, which clients look at."""

from entrepot.core.errors import Category, EntrepotError


class SignInRefused(EntrepotError):
    """A request to the authority that gets no token. `error` is OAuth's word, `number` that of AADSTS."""

    category = Category.BAD_REQUEST
    code = "SignInRefused"

    def __init__(self, error: str, number: int, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.error = error
        self.number = number

    @property
    def is_of_client(self) -> bool:
        """True when the client failed to prove itself, which HTTP tells as 401."""
        return self.error == "invalid_client"


def missing(parameter: str) -> SignInRefused:
    """Return the refusal of a request that lacks a parameter."""
    return SignInRefused("invalid_request", 900144, f"The request body must contain the parameter '{parameter}'")


def unknown_client(client_id: str) -> SignInRefused:
    """Return the refusal of a client that the tenant does not know."""
    return SignInRefused(
        "unauthorized_client",
        700016,
        f"Application with identifier '{client_id}' was not found in the directory",
        hint="az ad sp list shows what there is",
    )


def bad_secret(client_id: str) -> SignInRefused:
    """Return the refusal of a client secret: the same whether it never was one or was taken back."""
    return SignInRefused("invalid_client", 7000215, f"Invalid client secret provided for app '{client_id}'")


def locked(seconds: float) -> SignInRefused:
    """Return the refusal after too many wrong guesses, whatever is shown this time."""
    return SignInRefused(
        "invalid_grant",
        50053,
        f"Sign-in is blocked for {max(1, round(seconds))} s: there were too many attempts with a wrong credential",
    )
