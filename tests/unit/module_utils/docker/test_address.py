"""Addresses of engines, and the messages if they are invalid or the engine is not reachable."""

import ssl

import pytest
from ansible.module_utils.docker_ml_api.docker import address as engine_address
from ansible.module_utils.docker_ml_api.docker.address import (
    Address,
    Certificates,
    EngineAddressError,
    read_address,
)

SSH = Address("ssh", "ada", "server", 2222)
TCP = Address("tcp", "", "server", 2376)
FILES = Certificates("/c/ca.pem", "/c/cert.pem", "/c/key.pem")


@pytest.mark.parametrize(
    ("text", "address", "again"),
    [
        ("", Address(), None),
        (
            "unix:///run/user/1000/docker.sock",
            Address("unix", path="/run/user/1000/docker.sock"),
            0,
        ),
        ("ssh://server", Address("ssh", "", "server"), 0),
        ("ssh://ada@server", Address("ssh", "ada", "server"), 0),
        ("ssh://ada@Server.Example:2222", Address("ssh", "ada", "Server.Example", 2222), 0),
        ("ssh://ada@server/", Address("ssh", "ada", "server"), "ssh://ada@server"),
        ("ssh://a.da-b_c@10.0.0.5", Address("ssh", "a.da-b_c", "10.0.0.5"), 0),
        ("ssh://[::1]:22", Address("ssh", "", "::1", 22), 0),
        ("tcp://server:2376", Address("tcp", "", "server", 2376), 0),
        ("tcp://server", Address("tcp", "", "server", 2376), "tcp://server:2376"),
        ("tcp://[fe80::1]:99", Address("tcp", "", "fe80::1", 99), 0),
    ],
)
def test_addresses(text, address, again):
    found = read_address(text)
    assert found == address
    assert found.remote == text.startswith(("ssh:", "tcp:"))
    if again is not None:
        assert str(found) == (again or text)


@pytest.mark.parametrize(
    "text",
    [
        *("server", "local", "http://server", "https://server:2376", "npipe:////./pipe/x", "ssh:"),
        *(
            "ssh://",
            "ssh://ada@",
            "ssh://-oProxyCommand=x",
            "ssh://-l@server",
            "ssh://a b",
            "tcp://",
        ),
        *(
            "ssh://server:port",
            "ssh://server:99999",
            "ssh://server:",
            "ssh://server:0",
            "tcp://:2376",
        ),
        *(
            "ssh://server/var/run/docker.sock",
            "ssh://server?x=1",
            "tcp://server#x",
            "tcp://a@server",
        ),
        *("unix://docker.sock", "unix:docker.sock", "unix:///a b", "unix://", "tcp://[::1"),
    ],
)
def test_what_is_no_address(text):
    with pytest.raises(EngineAddressError) as caught:
        read_address(text)
    assert str(caught.value) == f"docker_engine must be {engine_address.FORMS}; it is '{text}'."


@pytest.mark.parametrize(
    "text", ["ssh://ada:s3cret@server", "tcp://:s3cret@server:x", "x://a:s3cret@"]
)
def test_a_password_is_not_repeated(text):
    assert engine_address.password_in(text) == "s3cret"
    with pytest.raises(EngineAddressError, match="docker_engine holds a password") as caught:
        read_address(text)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "files", "found"),
    [
        ("", {}, None),
        ("/c", {}, FILES),
        ("/c", {"ca": "/x.pem"}, Certificates("/x.pem", FILES.cert, FILES.key)),
        ("", {"ca": "/1", "cert": "/2", "key": "/3"}, Certificates("/1", "/2", "/3")),
        ("", {"ca": "/1", "key": "/3"}, "docker_engine_tls_cert is not set"),
    ],
)
def test_certificates(folder, files, found):
    given = {"ca": "", "cert": "", "key": ""} | files
    if isinstance(found, str):
        with pytest.raises(EngineAddressError, match=found):
            engine_address.read_certificates(folder, given)
    else:
        assert engine_address.read_certificates(folder, given) == found


def test_certificates_must_be_there(tmp_path):
    with pytest.raises(EngineAddressError, match=r"used with TLS only.*docker_engine_tls.*ssh://"):
        engine_address.check_certificates(TCP, None)
    files = engine_address.read_certificates(str(tmp_path), {"ca": "", "cert": "", "key": ""})
    for name in ("ca", "cert", "key"):
        with pytest.raises(EngineAddressError, match=rf"{name}\.pem cannot be read") as caught:
            engine_address.check_certificates(TCP, files)
        assert f"docker_engine_tls_{name}" in str(caught.value)
        (tmp_path / f"{name}.pem").touch()
    assert engine_address.check_certificates(TCP, files) == files


def test_arguments_of_ssh():
    assert engine_address.read_arguments("") == []
    assert engine_address.read_arguments("-i 'a b' -o X=y") == ["-i", "a b", "-o", "X=y"]
    with pytest.raises(EngineAddressError, match="docker_engine_ssh_args cannot be read"):
        engine_address.read_arguments("-i 'a b")


def test_commands():
    dial = engine_address.ssh_command(SSH, ["-i", "key"], "/f/login")
    end = ["-l", "ada", "-p", "2222", "--", "server", "docker", "system", "dial-stdio"]
    assert dial[-len(end) :] == end
    # If an option is given twice, ssh uses the first one.
    assert dial.index("-i") < dial.index("BatchMode=yes")
    assert {"ControlPath=/f/login", "ControlMaster=no", "ControlPersist=no"} < set(dial)
    assert dial.index("ControlPath=/f/login") < dial.index("-i")

    master = engine_address.ssh_command(SSH, [], "/f/login", master=True)
    assert "ControlMaster=yes" in master

    port = engine_address.ssh_command(
        Address("ssh", "", "server"), [], "/f/login", port="127.0.0.1:9000"
    )
    assert port[-4:] == ["-W", "127.0.0.1:9000", "--", "server"]
    assert "-l" not in port
    assert "-p" not in port


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("ada@server: Permission denied (publickey).", "docker_engine_ssh_args='-i FILE'"),
        ("Received disconnect: Too many authentication failures", "accepts no key"),
        ("Host key verification failed.", "ssh -p 2222 ada@server"),
        ("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!", "ssh-keygen -R '[server]:2222'"),
        ("ssh: connect to host server port 2222: Connection refused", "nothing listens there"),
        ("ssh: Could not resolve hostname server: Name or service not known", "is unknown"),
        ("ssh: connect to host server port 22: Connection timed out", "does not answer"),
        ("ssh: timed out after 30 s", "does not answer"),
        ("bash: line 1: docker: command not found", "finds no docker command"),
        ("zsh:1: command not found: docker", "finds no docker command"),
        ("sh: 1: docker: not found", "finds no docker command"),
        ("'docker' is not recognized as an internal or external command", "no docker command"),
        (
            "permission denied while trying to connect to the Docker daemon socket at unix:///x",
            "add the user to the group docker",
        ),
        ("Cannot connect to the Docker daemon at unix:///x. Is it running?", "start it"),
        ("channel 0: open failed: administratively prohibited", "AllowTcpForwarding"),
        ("Warning: Identity file /x not accessible: No such file.", "cannot use its key"),
        ("first\nsomething else.\n", "cannot be reached: something else."),
        ("", "it said nothing"),
    ],
)
def test_what_ssh_says(said, meaning):
    sentence = engine_address.explain_ssh(SSH, said)
    assert sentence.startswith("docker_engine ssh://ada@server:2222 cannot be reached: ")
    assert meaning in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def tls_error(kind, reason):
    error = kind(1, "[SSL] told")
    error.reason = reason
    error.verify_message = reason
    return error


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (
            tls_error(ssl.SSLCertVerificationError, "self-signed"),
            "its certificate is refused (self",
        ),
        (tls_error(ssl.SSLError, "TLSV13_ALERT_CERTIFICATE_REQUIRED"), "docker_engine_tls_cert"),
        (tls_error(ssl.SSLError, "KEY_VALUES_MISMATCH"), "are no pair"),
        (tls_error(ssl.SSLError, "WRONG_VERSION_NUMBER"), "does not speak TLS"),
        (tls_error(ssl.SSLError, "RECORD_LAYER_FAILURE"), "does not speak TLS"),
        (tls_error(ssl.SSLError, "NO_CERTIFICATE"), "TLS fails (no certificate)"),
        (tls_error(ssl.SSLEOFError, "UNEXPECTED_EOF"), "it hangs up on /c/cert.pem"),
        (ConnectionResetError(104, "reset"), "it hangs up on /c/cert.pem"),
        (ConnectionRefusedError(111, "refused"), "nothing listens there"),
        (TimeoutError("timed out"), "does not answer"),
        (OSError(113, "No route to host"), "No route to host"),
        (ValueError("what"), "what"),
    ],
)
def test_what_tls_says(error, meaning):
    sentence = engine_address.explain_tls(TCP, FILES, error)
    assert sentence.startswith("docker_engine tcp://server:2376 cannot be reached: ")
    assert meaning in sentence
    assert sentence.endswith(".")


def test_what_is_no_engine():
    assert "(HTTP/1.1 404 Not Found)" in engine_address.explain_answer(
        TCP, "HTTP/1.1 404 Not Found"
    )
    assert "(it said nothing)" in engine_address.explain_answer(TCP, "")


def test_the_environment():
    assert engine_address.environment(Address(), "") == {}
    ours = {"DOCKER_CONTEXT": "", "DOCKER_CERT_PATH": ""}
    assert engine_address.environment(read_address("unix:///a"), "") == {
        "DOCKER_HOST": "unix:///a",
        **ours,
    }
    assert engine_address.environment(SSH, "/f/s") == {"DOCKER_HOST": "unix:///f/s", **ours}


@pytest.mark.parametrize("name", ["DOCKER_TLS_VERIFY", "DOCKER_TLS"])
def test_an_environment_in_the_way(name):
    engine_address.check_environment(Address(), {name: "1"})
    engine_address.check_environment(SSH, {"DOCKER_HOST": "tcp://other"})
    with pytest.raises(EngineAddressError, match=f"unset {name}"):
        engine_address.check_environment(SSH, {name: ""})


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        (["/v/bin/python3.11", "/v/bin/ansible-playbook", "site.yml"], "ansible-playbook"),
        (["/v/bin/ansible-playbook", "site.yml"], "ansible-playbook"),
        (["python3"], "python3"),
        (["/bin/sh", "-c", "x"], "sh"),
        ([""], ""),
        ([], ""),
    ],
)
def test_the_program_of_a_command_line(argv, name):
    assert engine_address.program_of(argv) == name
