"""The commands up, down and status."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rehearsal.kubernetes import (
    certificates,
    commands,
    configuration,
    host,
    layout,
    network,
    objects,
    processes,
)
from rehearsal.kubernetes.cgroups import Cgroups
from rehearsal.kubernetes.components import (
    PROGRAMS_OF_KUBERNETES,
    Component,
    all_components,
    environment,
)
from rehearsal.kubernetes.errors import RehearsalError
from rehearsal.kubernetes.images import Image

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rehearsal.kubernetes.layout import Layout

    Report = Callable[[str], None]

_USERNAME = "rehearsal"
_WELL_WITHIN = 90.0
_POLL = 0.1
_LONGEST_SOCKET = 107 - len(".ttrpc")  # unix(7); containerd has a second socket with this suffix
_ERROR_LINE = re.compile(
    r'[EF]\d{4} |panic: |[Ee]rror: |.*level=(error|fatal)|.*"level":"(error|fatal)"'
)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass
class State:
    """The state that `down` needs; written before anything else is done."""

    programs: str
    owner: int
    group: int
    settings: dict[str, str] = field(default_factory=dict)
    made_folders: list[str] = field(default_factory=list)
    enabled_controllers: list[str] = field(default_factory=list)
    boot: str = ""
    prepared: bool = False
    """All files are written."""
    pause_imported: bool = False
    furnished: bool = False
    """The cluster's initial objects are created."""
    token_webhook: str = ""
    """URL of the API server's token webhook; empty: none."""
    administrator: str = ""
    """A further user with all permissions, who is authenticated by the webhook."""

    def take_webhook(self, url: str, administrator: str) -> None:
        """Let the cluster use the webhook.

        :raises RehearsalError: the files are already written with another webhook or without one.
        """
        if self.prepared and (url, administrator) != (self.token_webhook, self.administrator):
            asked = f"{self.token_webhook} (for {self.administrator})"
            raise RehearsalError(
                f"The cluster that is up asks {asked if self.token_webhook else 'nobody'} about "
                f"tokens, not {url} (for {administrator}): `down`, then `up`."
            )
        self.token_webhook, self.administrator = url, administrator

    def write(self, path: Path) -> None:
        """Write the state atomically."""
        new = _unfinished(path)
        new.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")
        new.replace(path)

    @classmethod
    def read(cls, path: Path) -> State | None:
        """Return the state from its file, or None if the file does not exist."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


@dataclass(frozen=True)
class ComponentStatus:
    """The status of a component."""

    component: Component
    pid: int | None
    problem: str | None


def up(
    paths: Layout,
    programs: Path,
    report: Report,
    *,
    token_webhook: str = "",
    administrator: str = "",
) -> list[str]:
    """Start the cluster, or its missing components; return the components that were started.

    If a webhook is given, it must be the one with which the cluster was created.
    """
    host.use_system_programs()
    host.install_missing()
    with _lock(paths, report):
        state = State.read(paths.state)
        if state is None:
            _refuse_folder(paths)
            network.refuse_foreign()
            state = _begin(paths, programs)
        elif state.programs != str(programs):
            report("The cluster that is up was built from other sources: `down`, then `up`.")
        if token_webhook:
            state.take_webhook(token_webhook, administrator)
        cgroups = Cgroups.of_this_machine(paths.cgroup)
        state.enabled_controllers += cgroups.create()
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        if state.boot != boot:
            _forget_boot(paths)
            state.boot = boot
        state.write(paths.state)
        if not state.prepared:
            _prepare(paths, state)
        network.ensure()
        return _start_all(paths, state, cgroups, report)


def down(paths: Layout, report: Report) -> bool:
    """Stop the cluster and remove everything of it; return whether there was anything to remove."""
    host.use_system_programs()
    with _lock(paths, report):
        state = State.read(paths.state)
        if state is None and not _is_leftover(paths):
            return False
        cgroups = Cgroups.of_this_machine(paths.cgroup)
        cgroups.end_all()
        host.unmount_below(paths.folder)
        if state is not None:  # otherwise, only the folder was created
            network.remove()
            network.restore_settings(state.settings)
            host.remove_traces(paths, state.made_folders)
            cgroups.remove(state.enabled_controllers)
        # The state is removed last, so that another `down` can continue if this one is interrupted.
        for path in paths.folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path != paths.state:
                path.unlink()
        shutil.rmtree(paths.folder)
        if state is not None and str(paths.folder.parent) in state.made_folders:
            with suppress(OSError):  # it contains files of others
                paths.folder.parent.rmdir()
        return True


def status(paths: Layout) -> list[ComponentStatus]:
    """Return the status of each component; an empty list if the cluster is not up."""
    host.use_system_programs()
    state = State.read(paths.state)
    if state is None:
        return []
    found = []
    for component in _components(paths, state):
        identity = processes.recorded(paths.processes / component.name)
        if identity is None or not identity.running:
            found.append(ComponentStatus(component, None, "is not running: `up` starts it"))
        else:
            found.append(ComponentStatus(component, identity.pid, component.problem()))
    return found


def _is_leftover(paths: Layout) -> bool:
    """Return whether the folder was created by an `up` that ended before it wrote its state."""
    if not paths.folder.is_dir():
        return False
    return {path.name for path in paths.folder.iterdir()} <= {_unfinished(paths.state).name}


def _refuse_folder(paths: Layout) -> None:
    """Raise RehearsalError if the folder cannot contain a cluster."""
    if paths.folder.exists() and not _is_leftover(paths):
        raise RehearsalError(
            f"{paths.folder} holds something else than a cluster: name another --folder."
        )
    if len(os.fsencode(paths.containerd_socket)) > _LONGEST_SOCKET:
        raise RehearsalError(
            f"The path {paths.folder} is too long for the sockets in it: name a --folder of at "
            f"most {_LONGEST_SOCKET - len('/containerd/containerd.sock')} characters."
        )


def _unfinished(path: Path) -> Path:
    return path.with_suffix(".new")


def _begin(paths: Layout, programs: Path) -> State:
    made = host.missing_shared_folders()
    if not paths.folder.parent.exists():
        made.append(str(paths.folder.parent))
    paths.folder.mkdir(parents=True, exist_ok=True)
    state = State(
        programs=str(programs),
        owner=int(os.environ.get("SUDO_UID", os.getuid())),
        group=int(os.environ.get("SUDO_GID", os.getgid())),
        settings=network.read_settings(),
        made_folders=made,
    )
    state.write(paths.state)
    return state


def _forget_boot(paths: Layout) -> None:
    """Remove runtime state of before a reboot: containerd considers it as running."""
    for name in ("state", "runc"):
        shutil.rmtree(paths.containerd / name, ignore_errors=True)
    shutil.rmtree(paths.processes, ignore_errors=True)
    paths.processes.mkdir(mode=0o700)


def _prepare(paths: Layout, state: State) -> None:
    """Write all files before the first start; repeated until it has succeeded once."""
    for folder in (paths.certificates, paths.kubeconfigs, paths.configuration, paths.etcd):
        folder.mkdir(mode=0o700, exist_ok=True)
    for folder in (paths.logs, paths.programs, paths.containerd, paths.registry, paths.kubelet):
        folder.mkdir(exist_ok=True)
    programs = Path(state.programs)
    links = dict.fromkeys(PROGRAMS_OF_KUBERNETES, programs / "kubernetes")
    links |= {name: programs / name for name in ("etcd", "coredns", "metrics-server")}
    for name, program in links.items():
        link = paths.programs / name
        link.unlink(missing_ok=True)
        link.symlink_to(program)

    certificates.write(paths.certificates)
    for name in certificates.SUBJECTS:
        content = configuration.kubeconfig(paths.certificates, name)
        _write(paths.kubeconfigs / name, content)
    password = secrets.token_urlsafe(24)
    plugins = host.plugins_folder()
    if plugins is None:
        raise RehearsalError("The CNI plugins are missing: install containernetworking-plugins.")
    for path, content in configuration.files(
        paths,
        plugins=plugins,
        snapshotter=host.snapshotter(paths.folder),
        htpasswd=commands.run([paths.programs / "htpasswd", _USERNAME], stdin=password),
        token_webhook=state.token_webhook,
    ).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, content)
    pause = Image({"pause": (programs / "pause").read_bytes()}, {"Entrypoint": ["/pause"]})
    (paths.containerd / "pause.tar").write_bytes(pause.archive(layout.PAUSE_IMAGE))

    # Owned by the user who called the command.
    _write(paths.kubeconfig, configuration.kubeconfig(paths.certificates, "admin"), state)
    login = {"host": layout.REGISTRY, "username": _USERNAME, "password": password}
    _write(paths.login, json.dumps(login), state)
    _write(paths.audit_log, "", state)
    state.prepared = True
    state.write(paths.state)


def _components(paths: Layout, state: State) -> list[Component]:
    names = ("containerd", "docker-registry")
    installed = {name: host.installed(name) for name in names}
    return all_components(paths, installed, token_webhook=bool(state.token_webhook))


def _start_all(paths: Layout, state: State, cgroups: Cgroups, report: Report) -> list[str]:
    started: list[str] = []
    components = _components(paths, state)
    for stage in sorted({component.stage for component in components}):
        of_stage = [component for component in components if component.stage == stage]
        for component in of_stage:
            if _start(paths, cgroups, component):
                report(f"  {component.name} started.")
                started.append(component.name)
        for component in of_stage:
            _wait_for(paths, component)
        if stage == 0 and not state.pause_imported:
            _import_pause(paths)
            state.pause_imported = True
            state.write(paths.state)
        if stage == 1 and not state.furnished:
            _apply_objects(paths, state)
            # metrics-server checks its access only once, and exits if it is denied.
            _wait_until("access for metrics-server", lambda: _access_problem(paths))
            state.furnished = True
            state.write(paths.state)
    _wait_until("the node", lambda: _node_problem(paths))
    _wait_until("the metrics API", lambda: _metrics_problem(paths))
    return started


def _start(paths: Layout, cgroups: Cgroups, component: Component) -> bool:
    """Start a component unless it is running; return whether it was started."""
    record = paths.processes / component.name
    identity = processes.recorded(record)
    if identity is not None and identity.running:
        return False
    processes.start(
        [component.program, *component.arguments],
        cgroups=cgroups,
        component=component.name,
        record=record,
        log=paths.logs / f"{component.name}.log",
        environment=environment(component.name, paths.programs, os.environ),
    )
    return True


def _wait_for(paths: Layout, component: Component) -> None:
    log = paths.logs / f"{component.name}.log"
    record = paths.processes / component.name

    def problem() -> str | None:
        identity = processes.recorded(record)
        if identity is None:
            return "did not start"
        if not identity.running:
            raise RehearsalError(f"{component.name} ended: {last_error(log)} (all of it: {log})")
        return component.problem()

    _wait_until(f"{component.name} ({log})", problem)


def _wait_until(what: str, problem: Callable[[], str | None]) -> None:
    end = time.monotonic() + _WELL_WITHIN
    while found := problem():
        if time.monotonic() > end:
            raise RehearsalError(
                f"After {_WELL_WITHIN:.0f} s {what} is not well ({found}): `down`, then `up`."
            )
        time.sleep(_POLL)


def _import_pause(paths: Layout) -> None:
    options = ["--address", str(paths.containerd_socket), "--namespace", "k8s.io"]
    archive = paths.containerd / "pause.tar"
    commands.run([str(host.installed("ctr")), *options, "images", "import", str(archive)])


def _apply_objects(paths: Layout, state: State) -> None:
    authority = base64.b64encode((paths.certificates / "ca.crt").read_bytes()).decode()
    items = objects.cluster_objects(authority, state.administrator)
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    _kubectl(paths, "apply", "--server-side", "--force-conflicts", "--filename=-", stdin=document)


def _node_problem(paths: Layout) -> str | None:
    nodes = json.loads(_kubectl(paths, "get", "nodes", "--output=json"))["items"]
    return _condition_problem(nodes, "Ready", "has not registered")


def _metrics_problem(paths: Layout) -> str | None:
    service = _kubectl(paths, "get", "apiservice", "v1beta1.metrics.k8s.io", "--output=json")
    return _condition_problem([json.loads(service)], "Available", "is unknown")


def _access_problem(paths: Layout) -> str | None:
    what = "configmaps/extension-apiserver-authentication"
    command = ["auth", "can-i", "get", what, "--namespace=kube-system"]
    try:
        _kubectl(paths, *command, "--as=system:metrics-server")
    except RehearsalError as error:
        return str(error)
    return None


def _condition_problem(items: list[dict[str, Any]], kind: str, absent: str) -> str | None:
    for item in items:
        for condition in item.get("status", {}).get("conditions", []):
            if condition["type"] == kind:
                return None if condition["status"] == "True" else str(condition["message"])
    return absent


def _kubectl(paths: Layout, *arguments: str, stdin: str = "") -> str:
    own = paths.kubeconfigs / "runner"
    return commands.run([paths.kubectl, f"--kubeconfig={own}", *arguments], stdin=stdin)


def _write(path: Path, content: str, owner: State | None = None) -> None:
    """Write a file that is readable only by its owner."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(content, encoding="utf-8")
    if owner is not None:
        os.chown(path, owner.owner, owner.group)


def last_error(log: Path) -> str:
    """Return the last line of the log that reports an error, or else its last line."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        if lines:
            errors = [line for line in lines if _ERROR_LINE.match(line)]
            return (errors or lines)[-1][:500]
    return "it wrote nothing"


@contextmanager
def _lock(paths: Layout, report: Report) -> Iterator[None]:
    """Allow one command at a time; the lock file is removed afterwards."""
    path = Path("/run") / f"{paths.cgroup}.lock"
    while True:
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report("Another command is at it: waiting for it.")
                fcntl.flock(file, fcntl.LOCK_EX)
            if not path.exists() or path.stat().st_ino != os.fstat(file.fileno()).st_ino:
                continue  # the previous holder removed it
            try:
                with commands.inheriting(file.fileno()):
                    yield
            finally:
                path.unlink()
            return
