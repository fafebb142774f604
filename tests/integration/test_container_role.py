"""The role container on the real engine."""

import socket

import pytest

from support.role_play import Play

RUN = "container : Run the containers"


@pytest.fixture
def play(tmp_path):
    made = Play(tmp_path)
    try:
        yield made
    finally:
        made.engine.remove()


def container(play):
    return play.engine.client.containers.get(play.container)


def test_life(play):
    said = play.succeed("--check", "--diff")
    assert f"Would run {play.image} as {play.container} on port {play.port}." in said.messages

    assert play.succeed().changed == [f"image : Build {play.image}", RUN]
    assert play.answer() == "hello"
    first = container(play).id
    assert play.succeed().changed == []
    assert play.succeed("--check", "--diff").changed == []
    assert play.succeed("--tags=containers").changed == []
    assert container(play).id == first

    (play.app / "index.html").write_text("changed")
    assert len(play.succeed("--check").changed) == 2
    assert play.succeed().changed == [f"image : Build {play.image}", RUN]
    assert play.answer() == "changed"
    assert play.images() == 1  # the old container's image was removed
    assert play.succeed().changed == []

    container(play).stop(timeout=0)
    assert play.succeed().changed == [RUN]
    assert play.answer() == "changed"

    assert len(play.succeed("--tags=teardown", "--check").changed) == 2
    assert play.answer() == "changed"
    assert len(play.succeed("--tags=teardown").changed) == 2
    assert play.engine.client.api.containers(all=True, filters={"name": play.container}) == []
    assert play.succeed("--tags=teardown").changed == []


def test_hardened(play):
    app = play.inventory()["container_apps"][0]
    play.variables["container_apps"] = [{**app, "environment": {"GREETING": "two words"}}]
    play.succeed()
    assert play.succeed().changed == []
    attributes = container(play).attrs
    host = attributes["HostConfig"]
    assert host["ReadonlyRootfs"] is True
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert [name.upper() for name in host["CapDrop"]] == ["ALL"]
    assert not host["Privileged"]
    assert not host["CapAdd"]
    assert host["Memory"] == 64 * 1024**2
    assert host["PidsLimit"] == 256
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {
        "Type": "json-file",
        "Config": {"max-size": "10m", "max-file": "3"},
    }
    assert host["PortBindings"] == {
        "8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(play.port)}]
    }
    assert {"PORT=8080", "GREETING=two words"} <= {*attributes["Config"]["Env"]}
    assert attributes["Config"]["User"] == "65532:65532"
    code, output = container(play).exec_run(
        [
            "/busybox",
            "sh",
            "-c",
            "/busybox grep -E '^(NoNewPrivs|CapEff)' /proc/1/status; echo > /x",
        ]
    )
    assert "CapEff:\t0000000000000000" in output.decode()
    assert "NoNewPrivs:\t1" in output.decode()
    assert "Read-only file system" in output.decode()
    assert code != 0


def test_a_version_that_crashes(play):
    with (play.app / "Dockerfile").open("a") as stream:
        stream.write('CMD ["/busybox", "sh", "-c", "echo I cannot start >&2; exit 3"]\n')
    result = play.run()
    assert result.status != 0
    head, *log = result.failure.splitlines()
    assert head == f"The container {play.container} stopped with exit code 3. Its last log lines:"
    # Once for each start.
    assert set(log) == {"I cannot start"}
    assert play.engine.client.containers.get(play.container)


def test_a_version_that_is_unhealthy(play):
    (play.app / "index.html").unlink()
    result = play.run()
    assert result.status != 0
    assert result.failure.startswith(
        f"The container {play.container} is unhealthy; its health check last said: wget:"
    )
    assert "404 Not Found" in result.failure
    # The next run fails, too.
    assert play.run("--tags=containers").status != 0
    (play.app / "index.html").write_text("fixed")
    play.succeed()
    assert play.answer() == "fixed"


def test_a_broken_build_leaves_the_container_alone(play):
    play.succeed()
    first = container(play).id
    with (play.app / "Dockerfile").open("a") as stream:
        stream.write("RUN broken\n")
    play.fail()
    assert play.answer() == "hello"
    assert container(play).id == first


def test_a_foreign_container(play):
    play.succeed("--tags=images")
    foreign = play.engine.client.containers.create(play.image, name=play.container)
    assert play.fail() == (
        f"There is a container {play.container} that is not this project's (it lacks the label "
        f"docker-ml-api.container=app): remove it (docker rm -f {play.container}) "
        "or choose another container_name for app."
    )
    said = play.run("--tags=teardown")
    assert (
        f"The container {play.container} is not this project's (it lacks the label "
        "docker-ml-api.container=app) and stays."
    ) in said.messages
    assert play.engine.client.containers.get(play.container).id == foreign.id


def test_a_port_that_a_program_has(play):
    with socket.create_server(("127.0.0.1", play.port)):
        message = play.fail()
    assert message.startswith(f"Port {play.port} for app is taken by ")
    assert "(pid " in message
    assert message.endswith(": stop it or set app_port.")
    play.succeed()


def test_a_port_that_a_container_has(play):
    play.succeed()
    other = play.engine.name("other")
    app = play.inventory()["container_apps"][0]
    play.variables["container_apps"] = [{**app, "container_name": other}]
    assert play.fail() == (
        f"Port {play.port} for app is taken by the container {play.container}: "
        "stop it or set app_port."
    )


def test_no_image(play):
    message = play.fail("--tags=containers")
    assert message.startswith(f"The engine has no image {play.image}: run the images stage first")


def test_no_engine(play):
    gone = {"DOCKER_HOST": "unix:///nonexistent"}
    assert "run the docker stage first" in play.fail("--tags=containers", **gone)
    said = play.succeed("--check", "--diff", **gone)
    assert len(said.changed) == 2
    assert play.succeed("--tags=teardown", "--check", **gone).changed == []


# Case: (the app's options, part of the message)
WRONG_INPUT = {
    "port 0": ({"published_port": 0}, "app_port must be a number from 1 to 65535; it is '0'."),
    "port 65536": ({"published_port": 65536}, "app_port must be a number from 1 to 65535"),
    "no number": ({"published_port": "many"}, "many"),
    "inner port": ({"port": 70000}, "The port of app must be a number from 1 to 65535"),
    "memory": ({"memory": "lots"}, "The memory of app must be a number with b, k, m or g"),
    "port twice": ({"environment": {"PORT": "1"}}, "of app must not hold PORT, which is set for"),
    "no text": ({"environment": {"A": "1", "B": 2}}, "of app must give B text: quote its value"),
    "name": ({"container_name": "a b"}, "container_name of app must consist of letters"),
}


@pytest.mark.parametrize(("setting", "message"), WRONG_INPUT.values(), ids=WRONG_INPUT)
def test_wrong_input(play, setting, message):
    app = play.inventory()["container_apps"][0]
    play.variables["container_apps"] = [{**app, **setting}]
    failure = play.fail("--tags=containers", DOCKER_HOST="unix:///nonexistent")
    assert message in failure


TWICE = {"published_port": "published_port", "container_name": "container_name"}


@pytest.mark.parametrize("same", TWICE)
def test_two_apps_with_the_same(play, same):
    app = play.inventory()["container_apps"][0]
    other = {**app, "name": "other", "published_port": 1, "container_name": "other"}
    play.variables["container_apps"] = [app, {**other, same: app[same]}]
    assert f"Two apps have the {same} {app[same]}" in play.fail("--tags=containers")
