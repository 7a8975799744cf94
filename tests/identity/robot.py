"""A person at a browser, as far as our pages need one: follows links, keeps cookies, fills forms in and sends them.

Run as BROWSER by the genuine clients: signs in with ROBOT_NAME and ROBOT_PASSWORD and lets the client have its code.
"""

import os
import ssl
import sys
import urllib.error
import urllib.request
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from urllib.parse import urlencode, urljoin, urlsplit


class _Page(HTMLParser):
    """A page's one form: where it goes, and what it carries."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.action = found.get("action") or ""
        elif tag == "input" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""


class Robot:
    """A browser of its own."""

    def __init__(self, authority: str) -> None:
        self.cookies = CookieJar()
        context = ssl.create_default_context(cafile=authority)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=context),
            urllib.request.HTTPCookieProcessor(self.cookies),
        )
        self.url = ""
        self.status = 0
        self.text = ""
        self.headers: dict[str, str] = {}

    def visit(self, url: str, data: dict[str, str] | None = None, **headers: str) -> str:
        """Go somewhere, or send a form there; return the page's text."""
        body = None if data is None else urlencode(data).encode()
        if body is not None:
            at = urlsplit(self.url or url)
            headers.setdefault("Origin", f"{at.scheme}://{at.netloc}")
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            answer = self._opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.url, self.status, self.text = answer.url, answer.status, answer.read().decode()
            self.headers = {name.lower(): value for name, value in answer.headers.items()}
        return self.text

    def send(self, *, to: str = "", **fields: str) -> str:
        """Fill the form on this page in and send it."""
        page = self.form()
        target = to or urljoin(self.url, page.action or self.url)
        return self.visit(target, {**page.fields, **fields})

    def form(self) -> _Page:
        """Return the form on this page."""
        page = _Page()
        page.feed(self.text)
        return page

    def sign_in(self, name: str, password: str) -> str:
        """Send name and password."""
        return self.send(username=name, password=password, do="signin")


def main(url: str) -> None:
    """Do what a person does whom `az login` sent to the browser."""
    robot = Robot(os.environ["REQUESTS_CA_BUNDLE"])
    robot.visit(url)
    robot.sign_in(os.environ["ROBOT_NAME"], os.environ["ROBOT_PASSWORD"])
    if robot.form().action:  # form_post: what the page's script does
        robot.send()


if __name__ == "__main__":
    main(sys.argv[1])
