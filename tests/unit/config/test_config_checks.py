"""Health checks in conf/geosteer.toml: what the prober is told, and what is refused."""

from __future__ import annotations

import pytest

from support.config_file import GOOD, changed, load, problems

LITERAL = (
    "holds a literal secret and would be published: write ${NAME}, an environment variable of the prober"
)


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def checks(settings: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = load(GOOD + f"[nodes.ams1.check]\n{settings}\n").document["nodes"][
        "ams1"
    ]["checks"]
    return found


def test_a_tcp_check_has_a_port_and_the_usual_pace():
    assert checks('type = "tcp"\nport = 443') == [
        {"type": "tcp", "interval": 10, "timeout": 2, "profile": {"up": 3, "ok": 3, "down": 2}, "port": 443}
    ]


def test_an_http_check_wants_status_200_of_its_url_unless_told_otherwise():
    (check,) = checks('type = "http"\nurl = "http://192.0.2.2/health"\nprofile = "gdnsd"')
    assert check == {
        "type": "http", "interval": 10, "timeout": 2, "profile": {"up": 20, "ok": 10, "down": 10},
        "url": "http://192.0.2.2/health", "status": [200], "body": None, "host": None, "headers": {},
    }  # fmt: skip


def test_an_https_check_verifies_the_certificate_unless_told_otherwise():
    (check,) = checks(
        'type = "https"\nurl = "https://192.0.2.2:8443/"\nstatus = [200, 204]\nsni = "WWW.example.net"\n'
        'host = "www.example.net"\nbody = "ok"\nheaders = { Authorization = "Bearer ${T}", X-From = "prober" }'
    )
    assert check == {
        "type": "https", "interval": 10, "timeout": 2, "profile": {"up": 3, "ok": 3, "down": 2},
        "url": "https://192.0.2.2:8443/", "status": [200, 204], "body": "ok", "host": "www.example.net",
        "headers": {"Authorization": "Bearer ${T}", "X-From": "prober"}, "sni": "www.example.net", "verify": True,
    }  # fmt: skip


def test_a_command_check_is_a_list_of_words():
    (check,) = checks(
        'type = "command"\ncommand = ["/bin/check", "--token", "${T}"]\ninterval = "1m"\ntimeout = "20s"'
    )
    assert (check["command"], check["interval"], check["timeout"]) == (
        ["/bin/check", "--token", "${T}"],
        60,
        20,
    )


def test_a_node_may_have_several_checks_and_thresholds_of_its_own():
    more = "".join(
        f'[[nodes.ams1.check]]\ntype = "tcp"\nport = {port}\nprofile = {{ up = 5, ok = 4, down = 2 }}\n'
        for port in (80, 443)
    )
    found = load(GOOD + more).document["nodes"]["ams1"]["checks"]
    assert [check["port"] for check in found] == [80, 443]
    assert found[0]["profile"] == {"up": 5, "ok": 4, "down": 2}


def test_a_login_behind_an_option_is_a_secret_but_a_path_or_a_port_is_none():
    def said(*words: str) -> list[str]:
        return problems(GOOD + f'[nodes.ams1.check]\ntype = "command"\ncommand = {["/bin/check", *words]}\n')

    for words in (("-a", "me:word"), ("-H", "h", "-u", "me:word"), ("--user", "me:${PW}x")):
        assert said(*words) == [f"c.toml: nodes.ams1.check.command: {LITERAL}"], words
    for harmless in (
        ("-a", "me:${PW}"),
        ("-u", "/path:x"),
        ("-a", "192.0.2.1:80"),
        ("-H", "me:word"),
        ("-u",),
    ):
        assert said(*harmless) == [], harmless


def test_a_short_interval_brings_a_short_timeout():
    (check,) = checks('type = "tcp"\nport = 1\ninterval = 1')
    assert check["timeout"] == 1


CASES = {
    "no type": ("port = 443", ["nodes.ams1.check.type: is missing"]),
    "unknown type": (
        'type = "icmp"',
        ['nodes.ams1.check.type: must be "tcp" or "http" or "https" or "command", not "icmp"'],
    ),
    "no port": ('type = "tcp"', ["nodes.ams1.check.port: is missing"]),
    "port": (
        'type = "tcp"\nport = 65536',
        ["nodes.ams1.check.port: must be a whole number from 1 to 65535, not 65536"],
    ),
    "no url": ('type = "http"', ["nodes.ams1.check.url: is missing"]),
    "other scheme": (
        'type = "http"\nurl = "https://192.0.2.1/"',
        ["nodes.ams1.check.url: must begin with http://, as the type of the check says"],
    ),
    "no host in the url": (
        'type = "https"\nurl = "https:///health"',
        ["nodes.ams1.check.url: must be a URL such as https://192.0.2.1/health"],
    ),
    "status": (
        'type = "http"\nurl = "http://h/"\nstatus = [200, 600]',
        ["nodes.ams1.check.status[2]: must be a whole number from 100 to 599, not 600"],
    ),
    "no status": (
        'type = "http"\nurl = "http://h/"\nstatus = []',
        ["nodes.ams1.check.status: has no status"],
    ),
    "setting of another type": (
        'type = "http"\nurl = "http://h/"\nverify = false',
        ["nodes.ams1.check.verify: is a setting of checks of type https only"],
    ),
    "no command": (
        'type = "command"',
        [
            'nodes.ams1.check.command: is missing: the program and its arguments, such as ["/usr/local/bin/check", "-q"]'
        ],
    ),
    "command in one text": (
        'type = "command"\ncommand = "check -q"',
        ["nodes.ams1.check.command: must be a list, not text: put it in [ ]"],
    ),
    "timeout": (
        'type = "tcp"\nport = 1\ntimeout = "11s"',
        ["nodes.ams1.check.timeout: must not be longer than the interval, 10 s"],
    ),
    "profile": (
        'type = "tcp"\nport = 1\nprofile = "slow"',
        ['nodes.ams1.check.profile: must be "fast", "gdnsd" or a table of up, ok and down, not "slow"'],
    ),
    "profile as a list": (
        'type = "tcp"\nport = 1\nprofile = ["fast"]',
        ['nodes.ams1.check.profile: must be "fast", "gdnsd" or a table of up, ok and down, not a list'],
    ),
    "half a profile": (
        'type = "tcp"\nport = 1\nprofile = { up = 1, ok = 1 }',
        ["nodes.ams1.check.profile.down: is missing"],
    ),
    "profile that cannot come up": (
        'type = "tcp"\nport = 1\nprofile = { up = 1, ok = 2, down = 1 }',
        ["nodes.ams1.check.profile.ok: must not be more than up"],
    ),
    "header name": (
        'type = "http"\nurl = "http://h/"\nheaders = { "a b" = "c" }',
        ['nodes.ams1.check.headers."a b": is not a header name'],
    ),
    "literal authorization": (
        'type = "http"\nurl = "http://h/"\nheaders = { Authorization = "Bearer hunter2" }',
        [f"nodes.ams1.check.headers.Authorization: {LITERAL}"],
    ),
    "literal token header": (
        'type = "http"\nurl = "http://h/"\nheaders = { x-auth-token = "hunter2" }',
        [f"nodes.ams1.check.headers.x-auth-token: {LITERAL}"],
    ),
    "half a reference": (
        'type = "http"\nurl = "http://h/"\nheaders = { Cookie = "${A}hunter2" }',
        [f"nodes.ams1.check.headers.Cookie: {LITERAL}"],
    ),
    "literal in a url": (
        'type = "http"\nurl = "http://h/?token=hunter2"',
        [f"nodes.ams1.check.url: {LITERAL}"],
    ),
    "literal user in a url": (
        'type = "http"\nurl = "http://me:hunter2@h/"',
        [f"nodes.ams1.check.url: {LITERAL}"],
    ),
    "literal in a command": (
        'type = "command"\ncommand = ["check", "--password=hunter2"]',
        [f"nodes.ams1.check.command: {LITERAL}"],
    ),
    "literal after an option": (
        'type = "command"\ncommand = ["check", "--api-key", "hunter2"]',
        [f"nodes.ams1.check.command: {LITERAL}"],
    ),
    "literal setting": (
        'type = "tcp"\nport = 1\npassword = "hunter2"',
        [f"nodes.ams1.check.password: unknown setting; {LITERAL}"],
    ),
}


@pytest.mark.parametrize(("settings", "expected"), CASES.values(), ids=CASES)
def test_a_mistake_in_a_check_is_named_without_showing_secrets(settings, expected):
    found = problems(GOOD + f"[nodes.ams1.check]\n{settings}\n")
    assert found == [f"c.toml: {line}" for line in expected]
    assert "hunter2" not in "".join(found)


def test_a_check_in_a_list_is_named_by_its_number():
    text = changed(more='[[nodes.ams1.check]]\ntype = "tcp"\nport = 1\n[[nodes.ams1.check]]\ntype = "tcp"\n')
    assert problems(text) == ["c.toml: nodes.ams1.check[2].port: is missing"]


def test_secrets_by_reference_are_published_unresolved():
    (check,) = checks('type = "http"\nurl = "http://me:${PW}@h/?token=${T}"')
    assert check["url"] == "http://me:${PW}@h/?token=${T}"


def test_a_probers_control_targets_are_hosts_with_ports_or_urls():
    targets = ["gateway", "192.0.2.1:53", "[2001:db8::1]:53", "gw.example.net:80", "https://www.example.com/"]
    assert load(GOOD + f"[prober]\ncontrol = {targets}\n").prober.control == tuple(targets)
    assert load(GOOD + "[prober]\ncontrol = []\n").prober.control == ()
    assert load(GOOD).prober.control == ("gateway",)


# ---- names of hosts

INVALID_HOSTS = {
    "empty label": ("lon1..example.net", "has an empty label"),
    "label of 64": ("x" * 64 + ".example.net", "has a label of 64 bytes, more than 63"),
    "no address": ("192.0.2.300", "is not a host name: its last label is a number; no valid address either"),
    "three numbers": ("192.0.2", "is not a host name: its last label is a number; no valid address either"),
    "too long": (".".join(["x" * 60] * 5), "is 306 bytes long, more than 255"),
    "star": ("*.example.net", "is a wildcard; a single name is needed here"),
}
FIELDS = {
    "node": ("[nodes.par1]\nhostname = {}\n", "nodes.par1.hostname"),
    "url": ('[nodes.ams1.check]\ntype = "http"\nurl = {url}\n', "nodes.ams1.check.url"),
    "host": ('[nodes.ams1.check]\ntype = "http"\nurl = "http://h/"\nhost = {}\n', "nodes.ams1.check.host"),
    "sni": ('[nodes.ams1.check]\ntype = "https"\nurl = "https://h/"\nsni = {}\n', "nodes.ams1.check.sni"),
    "control": ("[prober]\ncontrol = [{port}]\n", "prober.control[1]"),
    "control url": ("[prober]\ncontrol = [{url}]\n", "prober.control[1]"),
    "redis": ("[redis]\nurl = {redis}\n", "redis.url"),
    "source": ('[[sources.geo]]\nformat = "mmdb"\npath = {https}\n', "sources.geo[2].path"),
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("case", INVALID_HOSTS)
def test_a_host_that_cannot_be_reached_is_refused_wherever_one_is_named(case: str, field: str) -> None:
    host, reason = INVALID_HOSTS[case]
    text, place = FIELDS[field]
    forms = {
        "url": f"http://{host}/",
        "port": f"{host}:80",
        "redis": f"redis://{host}",
        "https": f"https://{host}/x",
    }
    table = text.format(f'"{host}"', **{key: f'"{value}"' for key, value in forms.items()})
    found = [line for line in problems(GOOD + table) if place in line]
    assert len(found) == 1, found
    assert found[0].startswith(f"c.toml: {place}: ")
    assert reason in found[0] or (field == "redis" and found[0].endswith(": invalid host")), found


@pytest.mark.parametrize("server", ["192.0.2.1", "192.0.2.300"])
def test_a_name_server_that_is_an_address_is_refused(server: str) -> None:
    found = problems(changed(('ns = ["ns1.example.net"', f'ns = ["{server}"')))
    wanted = (
        "is an address; a host" if server == "192.0.2.1" else "is not a host name: its last label is a number"
    )
    assert any(f'"{server}" {wanted}' in line for line in found), found


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "192.0.2.1",
        "[2001:db8::1]",
        "_x.example.net",
        "a-b.example.net.",
        "bücher.example",
        "xn--bcher-kva.example",
        "${H}.example.net",
    ],
)
def test_hosts_that_are_good_pass(host: str) -> None:
    (check,) = checks(f'type = "https"\nurl = "https://{host}:8443/"\nhost = "{host}:8443"')
    assert (check["url"], check["host"]) == (f"https://{host}:8443/", f"{host}:8443")


def test_a_check_may_name_its_own_authority_by_an_absolute_path() -> None:
    (check,) = checks('type = "https"\nurl = "https://h/"\nca = "/etc/ca.pem"')
    assert check["ca"] == "/etc/ca.pem"
    for setting, reason in (
        ('ca = "ca.pem"', "must be an absolute path: it is read on the hosts of the probers"),
        ('ca = "/ca.pem"\nverify = false', "has no effect with verify = false"),
    ):
        text = f'[nodes.ams1.check]\ntype = "https"\nurl = "https://h/"\n{setting}\n'
        assert problems(GOOD + text) == [f"c.toml: nodes.ams1.check.ca: {reason}"]


def test_a_check_may_be_strict_about_certificates_and_says_so_only_then() -> None:
    strict, *plain = (
        checks(f'type = "https"\nurl = "https://h/"\n{more}')[0]
        for more in ("tls_strict = true", "tls_strict = false", "")
    )
    assert strict["tls_strict"] is True
    assert ["tls_strict" in check for check in plain] == [False, False]
    text = '[nodes.ams1.check]\ntype = "https"\nurl = "https://h/"\nverify = false\ntls_strict = true\n'
    reason = "has no effect with verify = false"
    assert problems(GOOD + text) == [f"c.toml: nodes.ams1.check.tls_strict: {reason}"]
