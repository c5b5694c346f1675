"""Where webhooks may go, and how they are signed."""

import base64
import dataclasses

import pytest

from queued import webhooks
from queued.settings import Settings
from queued.webhooks import BadCallback, BadSecret

HOSTS = (
    "example.org",
    "port.example.org:8443",
    "*.wide.example.org",
    "http://plain.example.org:8080",
    "[::1]",
)
SETTINGS = Settings(
    "amqp://nowhere:1", "redis://nowhere:1", "sleep", webhook_hosts=HOSTS, webhook_secret="a-secret-for-tests"
)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "https://example.org:443/",
        "https://EXAMPLE.org/hook?secret=1",
        "https://port.example.org:8443/hook",
        "https://a.wide.example.org/",
        "https://a.b.wide.example.org/",
        "http://plain.example.org:8080/hook",
        "https://[::1]/hook",
    ],
)
def test_an_allowed_address_is_taken(url: str) -> None:
    """The host as the operator wrote it, or below it; the scheme's own port unless the entry names one."""
    webhooks.check(url, SETTINGS)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://example.org:8443/",
        "https://port.example.org/",
        "https://wide.example.org/",
        "https://notwide.example.org/",
        "https://evilwide.example.org/",
        "https://plain.example.org:8080/",
        "http://plain.example.org/",
        "https://example.org.evil.net/",
        "https://evil.net/example.org",
        "https://evil.net#example.org",
        "https://example.org./",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:127.0.0.1]/",
        "https://example.org@evil.net/",
        "https://user:password@example.org/",
        "https://evil.net\\@example.org/",
        "https://exam\tple.org/",
        "https://example.org/\nHost: evil.net",
        "https://example.org/a b",
        "https://ex\u00e4mple.org/",
        "https://example.org:99999/",
        "https://example.org:0/",
        "https://[example.org/",
        "https:///hook",
        "https:example.org",
        "//example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "example.org",
        "",
        "https://example.org/" + "x" * 2100,
    ],
)
def test_any_other_address_is_refused_in_one_line(url: str) -> None:
    """Nobody makes the server call what the operator did not list; the answer does not repeat the address."""
    with pytest.raises(BadCallback) as error:
        webhooks.check(url, SETTINGS)
    said = str(error.value)
    assert "\n" not in said
    assert "password" not in said.replace("no user, password", "")


@pytest.mark.parametrize("missing", [{"webhook_hosts": ()}, {"webhook_secret": None}])
def test_without_hosts_or_a_secret_no_address_is_allowed(missing: dict[str, None]) -> None:
    """An unsigned webhook is never sent."""
    with pytest.raises(BadCallback, match="sends no webhooks"):
        webhooks.check("https://example.org/", dataclasses.replace(SETTINGS, **missing))


def test_the_signature_is_the_one_of_the_scheme() -> None:
    """The example of the scheme's reference libraries: secret, id, time, body, and what they give."""
    secrets = webhooks.secrets_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = webhooks.sign(secrets, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_secret_signs_so_that_they_can_be_changed() -> None:
    """A comma list; what is not written the scheme's way is taken as it is."""
    secrets = webhooks.secrets_of("old, whsec_" + base64.b64encode(b"new").decode())
    assert secrets == (b"old", b"new")
    one, two = webhooks.sign(secrets, "id", 1, b"{}").split(" ")
    assert one != two
    assert one.startswith("v1,")
    assert two.startswith("v1,")


def test_an_unusable_secret_is_said_without_showing_it() -> None:
    """At the start, not at the first webhook."""
    with pytest.raises(BadSecret) as error:
        webhooks.secrets_of("whsec_not/base64!")
    assert "not/base64" not in str(error.value)


def test_retries_go_on_for_about_a_day_and_spread_out() -> None:
    """Doubling to a limit, with jitter, so that receivers that were down are not all met at once."""
    spans = [sum(webhooks.delay(n) for n in range(1, webhooks.MAX_TRIES)) / 3600 for _ in range(20)]
    assert all(16 < span < 30 for span in spans)
    assert 3.7 <= webhooks.delay(1) <= 6.3
    assert len({webhooks.delay(5) for _ in range(20)}) > 10
