"""The few pages on which people sign in and agree. No scripts but one of a line, no files, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape

from entrepot.server.calls import Answer, Header

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;margin:12vh auto;padding:0 1rem;color:#1b1b1b}"
    "h1{font-size:1.3rem}label{display:block;margin:.8rem 0 .2rem}input{font:inherit;width:100%;box-sizing:border-box;"
    "padding:.5rem}button{font:inherit;padding:.5rem 1rem;margin:1.2rem .6rem 0 0}.error{color:#a4262c}"
    ":root{color-scheme:light dark}a{color:#0b57a4}pre{overflow:auto}"
    "@media(prefers-color-scheme:dark){body{color:#eee;background:#1b1b1b}.error{color:#f1707b}a{color:#8ab9f1}}"
)
_SUBMIT = "document.forms[0].submit()"


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def security(*, form_targets: Sequence[str] = (), runs_script: bool = False) -> tuple[Header, ...]:
    """Return a page's headers. `form_targets`: origins, besides ours, that its form may be sent to."""
    targets = " ".join(["'self'", *form_targets])
    script = f"; script-src {_hash(_SUBMIT)}" if runs_script else ""
    policy = (
        f"default-src 'none'; style-src {_hash(_STYLE)}; form-action {targets}; "
        f"frame-ancestors 'none'; base-uri 'none'{script}"
    )
    return (
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"cache-control", b"no-store"),
        (b"referrer-policy", b"same-origin"),  # with no-referrer, browsers say "Origin: null" of our own forms
    )


def page(
    title: str, body: str, *, status: int = 200, headers: tuple[Header, ...] = (), form_targets: Sequence[str] = (),
    runs_script: bool = False,
) -> Answer:  # fmt: skip
    """Answer a page; `body` is HTML."""
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
    kind: Header = (b"content-type", b"text/html; charset=utf-8")
    secure = security(form_targets=form_targets, runs_script=runs_script)
    return Answer(status, text.encode(), (kind, *headers), security=secure)


def sign_in(
    *, why: str, error: str = "", name: str = "", targets: Sequence[str] = (), doors: Mapping[str, str] | None = None,
    status: int = 200,
) -> Answer:  # fmt: skip
    """Answer the form for a name and a password. `doors`: {path: title} of outside providers."""
    links = "".join(
        f'<p><a href="{escape(path)}">Sign in with {escape(title)}</a></p>' for path, title in (doors or {}).items()
    )
    body = (
        f"<p>{escape(why)}</p>{_error(error)}"
        '<form method="post">'
        '<label for="u">Account</label><input id="u" name="username" autocomplete="username" required '
        f'value="{escape(name)}" placeholder="name@domain">'
        '<label for="p">Password</label><input id="p" name="password" type="password" '
        'autocomplete="current-password" required>'
        '<button name="do" value="signin">Sign in</button></form>'
        f"{links}"
        "<p>The owner of this server gets a link: <code>entrepot open</code>.</p>"
    )
    return page("Sign in to Entrepot", body, status=status, form_targets=targets)


def consent(*, client: str, account: str, hidden: Mapping[str, str], targets: Sequence[str] = ()) -> Answer:
    """Answer the question whether an application may act for the account."""
    body = (
        f"<p><strong>{escape(client)}</strong> asks to act for you, {escape(account)}.</p>"
        "<p>Go on only if you have just started it yourself.</p>"
        f'<form method="post">{_hidden(hidden)}<button name="do" value="accept">Continue</button>'
        '<button name="do" value="decline">Cancel</button><button name="do" value="switch">Use another account</button>'
        "</form>"
    )
    return page("Sign in to an application", body, form_targets=targets)


def device(
    *, account: str, hidden: Mapping[str, str], code: str = "", error: str = "", status: int = 200,
    headers: tuple[Header, ...] = (),
) -> Answer:  # fmt: skip
    """Answer the form for the code that a device shows."""
    body = (
        f"<p>Signed in as {escape(account)}.</p>{_error(error)}<p>Type the code that the application shows.</p>"
        f'<form method="post">{_hidden(hidden)}<label for="c">Code</label><input id="c" name="user_code" '
        f'autocomplete="off" autofocus required value="{escape(code)}">'
        '<button name="do" value="look">Next</button></form>'
    )
    return page("Sign in on another device", body, status=status, headers=headers)


def form_post(target: str, fields: Mapping[str, str], *, origin: str, headers: tuple[Header, ...] = ()) -> Answer:
    """Answer a page that sends fields on to an application at once."""
    body = (
        f'<form method="post" action="{escape(target)}">{_hidden(fields)}<button>Continue</button></form>'
        f"<script>{_SUBMIT}</script>"
    )
    return page("Signed in", body, headers=headers, form_targets=(origin,), runs_script=True)


def onward(place: str, *, headers: tuple[Header, ...] = ()) -> Answer:
    """Answer a page that goes on to a path of ours by itself.

    A redirect would not do: when another site or a file led here, browsers keep the cookie just set from it.
    """
    body = f'<p><a href="{escape(place)}">Go on</a></p>'
    return page("Signed in", body, headers=(*headers, (b"refresh", f"0; url={place}".encode())))


def home(*, account: str, version: str) -> Answer:
    """Answer the first page of who is signed in."""
    body = (
        f"<p>Signed in as <strong>{escape(account)}</strong> to Entrepot {escape(version)}.</p>"
        "<p>There are no pages for models, jobs and endpoints yet: the command line, <code>az</code> and the SDK work "
        "with all of them.</p>"
        "<pre>entrepot ml registry list -o table\nentrepot ml job list -o table\nentrepot -h</pre>"
        '<p><a href="/openapi.json">What can be asked over HTTP</a> · <a href="/logout">Sign out</a></p>'
    )
    return page("Entrepot", body)


def message(title: str, text: str, *, status: int = 200, headers: tuple[Header, ...] = ()) -> Answer:
    """Answer a page that says one thing."""
    return page(title, f"<p>{escape(text)}</p>", status=status, headers=headers)


def _hidden(fields: Mapping[str, str]) -> str:
    return "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields.items()
    )


def _error(text: str) -> str:
    return f'<p class="error" role="alert">{escape(text)}</p>' if text else ""
