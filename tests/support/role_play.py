"""Running the roles image and container with a test's own small apps."""

from __future__ import annotations

import shutil
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from support import ports
from support.ansible_run import Run, run_playbook
from support.real_engine import Engine

_DOCKERFILE = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
ARG GREETING=none
LABEL docker-ml-api.test="%s"
COPY . /srv/
RUN ["/busybox", "sh", "-c", "echo $GREETING > /srv/greeting"]
USER 65532:65532
HEALTHCHECK --interval=1s --timeout=5s --retries=2 \\
    CMD ["/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/index.html"]
CMD ["/busybox", "httpd", "-f", "-p", "8080", "-h", "/srv"]
"""
_PLAYBOOK = [
    {
        "name": "Check the inputs",
        "hosts": "docker_hosts",
        "tasks": [
            {
                "name": f"Inputs of {role}",
                "ansible.builtin.import_role": {"name": role, "tasks_from": "preflight"},
                "tags": [tag],
            }
            for role, tag in (("image", "images"), ("container", "containers"))
        ],
    },
    *(
        {"name": tag, "hosts": "docker_hosts", "roles": [{"role": role}], "tags": [tag]}
        for role, tag in (("image", "images"), ("container", "containers"))
    ),
    {
        "name": "teardown",
        "hosts": "docker_hosts",
        "tags": ["never", "teardown"],
        "roles": [
            {"role": "container", "vars": {"container_state": "absent"}},
            {"role": "image", "vars": {"image_state": "absent"}},
        ],
    },
]


@dataclass
class Play:
    """A playbook with one small app, on the real engine."""

    folder: Path
    engine: Engine = field(default_factory=Engine)

    def __post_init__(self) -> None:
        busybox = shutil.which("busybox")
        assert busybox, "These tests need a static program: apt-get install busybox-static"
        self.base = self.engine.name("base:1")
        self.make_base("1")
        self.app = self.folder / "app"
        self.app.mkdir()
        (self.app / "Dockerfile").write_text(_DOCKERFILE % self.engine.prefix, encoding="utf-8")
        (self.app / "index.html").write_text("hello", encoding="utf-8")
        (self.app / ".dockerignore").write_text("*.pyc\n", encoding="utf-8")
        self.labels = {"managed-by": self.engine.prefix}
        self.port = ports.free()
        self.image = self.engine.name("app:v1")
        self.container = self.engine.name("app")
        self.build_args = {"BASE_IMAGE": self.base, "GREETING": "one"}
        self.variables: dict[str, Any] = {}

    def make_base(self, content: str) -> None:
        """Create the base image again."""
        busybox = Path(shutil.which("busybox") or "").read_bytes()
        self.engine.make_image(self.base, content=content, files={"busybox": busybox})

    def inventory(self) -> dict[str, Any]:
        """Return the current variables of the inventory."""
        return {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "image_labels": self.labels,
            "image_apps": [
                {
                    "name": "app",
                    "folder": str(self.app),
                    "image": self.image,
                    "build_args": self.build_args,
                }
            ],
            "container_labels": self.labels,
            "container_healthy_timeout": 30,
            "container_apps": [
                {
                    "name": "app",
                    "image": self.image,
                    "port": 8080,
                    "container_name": self.container,
                    "published_port": self.port,
                    "published_port_variable": "app_port",
                    "memory": "64m",
                }
            ],
            **self.variables,
        }

    def run(self, *arguments: str, **environment: str) -> Run:
        """Run the playbook."""
        inventory = self.folder / "inventory.yml"
        hosts = {"docker_hosts": {"hosts": {"localhost": self.inventory()}}}
        inventory.write_text(yaml.safe_dump(hosts), encoding="utf-8")
        playbook = self.folder / "playbook.yml"
        playbook.write_text(yaml.safe_dump(_PLAYBOOK, sort_keys=False), encoding="utf-8")
        return run_playbook(f"--inventory={inventory}", playbook, *arguments, **environment)

    def succeed(self, *arguments: str, **environment: str) -> Run:
        """Run the playbook, which must succeed."""
        return self.run(*arguments, **environment).ok()

    def fail(self, *arguments: str, **environment: str) -> str:
        """Run the playbook, which must fail without changes; return its message."""
        result = self.run(*arguments, **environment)
        assert result.status != 0
        assert result.changed == []
        return result.failure

    def answer(self) -> str:
        """Return the app's response."""
        address = f"http://127.0.0.1:{self.port}/index.html"
        with urllib.request.urlopen(address, timeout=10) as response:
            return str(response.read().decode())

    def image_id(self) -> str:
        """Return the ID of the app's image."""
        return self.engine.client.images.get(self.image).id or ""

    def images(self) -> int:
        """Return the number of images with the project's labels, including untagged ones."""
        label = f"managed-by={self.engine.prefix}"
        return len(self.engine.listed_images(label=label))
