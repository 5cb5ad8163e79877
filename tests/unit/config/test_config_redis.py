"""`[redis]`: URLs, the environment, and passwords that are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.config_file import load, problems

FORMS = "must begin with unix://, redis://, rediss://, redis+sentinel://, redis+cluster://"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_without_settings_it_is_the_socket_of_this_host():
    settings = load("").redis
    assert (settings.url, settings.prefix) == ("unix:///run/redis/redis.sock", "geosteer")
    assert (settings.username, settings.password, settings.timeout) == (None, None, 5)


def test_the_environment_takes_the_place_of_url_and_prefix():
    text = '[redis]\nurl = "redis://192.0.2.1"\nprefix = "one"\n'
    settings = load(text, {"GEOSTEER_REDIS_URL": "unix:///tmp/x.sock", "GEOSTEER_REDIS_PREFIX": "two"}).redis
    assert (settings.url, settings.prefix) == ("unix:///tmp/x.sock", "two")
    assert load(text, {"GEOSTEER_REDIS_URL": ""}).redis.url == "redis://192.0.2.1"


def test_a_user_in_the_url_of_the_environment_comes_in_place_of_the_files():
    text = '[redis]\nurl = "redis://192.0.2.1"\nusername = "loader"\npassword_file = "absent"\n'
    url = "rediss://reader:secret@192.0.2.2:6380"
    settings = load(text, {"GEOSTEER_REDIS_URL": url}).redis
    assert (settings.username, settings.password) == ("reader", "secret")
    assert (
        "absent cannot be read"
        in problems("[redis]\n" + 'password_file = "absent"\n', {"GEOSTEER_REDIS_URL": "redis://x"})[0]
    )


def test_a_mistake_in_the_environment_is_named_as_such():
    assert problems("", {"GEOSTEER_REDIS_URL": "localhost", "GEOSTEER_REDIS_PREFIX": "{x}"}) == [
        "environment: GEOSTEER_REDIS_PREFIX: \"{x}\" is not 1 to 64 letters, digits and '_', '.', ':', '-'",
        f"environment: GEOSTEER_REDIS_URL: {FORMS}",
    ]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost", "redis://[2001:db8::1]:6379/3", "rediss://redis.example.net:6380",
        "unix:///run/redis/redis.sock?db=2", "redis+sentinel://a:26379,b,c/mymaster", "redis+sentinel://a/mymaster/2",
        "redis+cluster://a:7000,b:7001",
    ],
)  # fmt: skip
def test_every_kind_of_url_is_taken_as_it_stands(url):
    assert load(f'[redis]\nurl = "{url}"\n').redis.url == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://localhost", FORMS),
        ("localhost:6379", FORMS),
        ("unix://run/redis.sock", "must have three slashes after unix:, an absolute path"),
        ("redis://a,b", "takes one host; several need redis+sentinel:// or redis+cluster://"),
        ("redis://localhost:66000", "invalid port"),
        ("redis://local host", "invalid host"),
        ("redis://", "invalid host"),
        ("redis+sentinel://a,b", "must name the primary after the hosts, as Sentinel calls it"),
        ("redis://a/x", "invalid database number"),
        ("redis://a?socket_timeout=1", "takes no option but ?db=NUMBER"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url, reason):
    assert problems(f'[redis]\nurl = "{url}"\n') == [f"c.toml: redis.url: {reason}"]


def test_user_and_password_are_taken_out_of_the_url():
    settings = load('[redis]\nurl = "redis://me:p%40ss@192.0.2.1/1"\n').redis
    assert (settings.url, settings.username, settings.password) == ("redis://192.0.2.1/1", "me", "p@ss")
    assert load('[redis]\nurl = "redis://:${PW}@h"\n', {"PW": "x"}).redis.password == "x"


def test_a_password_may_stand_in_the_environment_or_in_a_file():
    assert load('[redis]\npassword = "${PW}"\n', {"PW": "from outside"}).redis.password == "from outside"
    Path("secret").write_text("from a file\n")
    assert load('[redis]\npassword_file = "secret"\n').redis.password == "from a file"
    assert load('[redis]\npassword = "as it is"\n').redis.password == "as it is"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('password = "${PW}"', ["redis.password: environment variable PW is not set"]),
        ('password = "${}"', ["redis.password: must be of the form ${NAME} to name an environment variable"]),
        (
            'password_file = "secret"',
            ["redis.password_file: {here}/secret cannot be read: No such file or directory"],
        ),
        ("password = 1", ["redis.password: must be text, not a whole number"]),
        ('passwd = "x"', ['redis.passwd: unknown setting; did you mean "password"?']),
        ("timeout = 0", ["redis.timeout: must be a duration from 0.01 to 600 s, not 0"]),
        ('url = "rediss://h"\ncert = "a.pem"', ["redis.cert: cert and key are needed together"]),
    ],
)
def test_mistakes_around_secrets_are_named(settings, expected):
    here = str(Path.cwd())
    assert problems(f"[redis]\n{settings}\n") == [
        f"c.toml: {line.replace('{here}', here)}" for line in expected
    ]


def test_a_password_in_two_places_or_in_an_empty_file_is_refused():
    Path("secret").write_text("\n")
    assert problems('[redis]\npassword = "x"\npassword_file = "secret"\n') == [
        f"c.toml: redis.password_file: {Path.cwd()}/secret is empty",
        "c.toml: redis.password_file: password is given too",
    ]


@pytest.mark.parametrize(
    "settings",
    [
        'password = "hunter2"',
        'password = "${PW}"',
        'url = "redis://me:hunter2@192.0.2.1"',
    ],
)
def test_a_password_is_not_in_what_is_printed_of_a_configuration(settings):
    loaded = load(f"[redis]\n{settings}\n", {"PW": "hunter2"})
    assert loaded.redis.password == "hunter2"
    assert "hunter2" not in repr(loaded)


@pytest.mark.parametrize(
    "settings",
    [
        'url = "redis://me:hunter2@host:99999"',
        'url = "redis://me:hunter2/3@host"',
        'url = "redis://me:hunter2@h1,h2"',
        'url = "ftp://me:hunter2@host"',
        'url = "unix://me:hunter2@run/x"',
        'password = "hunter2\\u0007"',
    ],
)
def test_a_password_is_not_in_a_complaint(settings):
    found = problems(f"[redis]\n{settings}\n")
    assert found
    assert "hunter2" not in "".join(found)
